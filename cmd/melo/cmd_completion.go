package main

import (
	"strings"

	"github.com/alecthomas/kong"
	"melo.example/melo/internal/completion"
)

// completionOptions are the options of "melo completion".
type completionOptions struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell: ${enum}."`
}

// Help returns the long help text.
func (completionOptions) Help() string {
	return `Prints a shell script that completes commands, options and their values. The script contains all of them; pressing
Tab does not run melo.

Examples:

    source <(melo completion bash)               # for good: in ~/.bashrc
    melo completion zsh > "${fpath[1]}/_melo"    # then start zsh anew
    melo completion fish > ~/.config/fish/completions/melo.fish` + exitHelp
}

// completionDocument is the --json document of "melo completion".
type completionDocument struct {
	Shell  string `json:"shell"`
	Script string `json:"script"`
}

// Run prints the script.
func (o *completionOptions) Run(k *kong.Context, s *stdio) error {
	places := completionPlaces(k.Model.Node, nil, nil)
	script := map[string]func([]completion.Place) string{"bash": completion.Bash, "zsh": completion.Zsh, "fish": completion.Fish}[o.Shell](places)
	s.printf("%s", strings.TrimSuffix(script, "\n"))
	return s.document(completionDocument{o.Shell, script})
}

// completionPlaces lists a command and its subcommands with their flags. flags are those of the parent
// commands.
func completionPlaces(n *kong.Node, path []string, flags []completion.Flag) []completion.Place {
	for _, f := range n.Flags {
		if f.Hidden {
			continue
		}
		c := completion.Flag{Word: completion.Word{Text: "--" + f.Name, Help: summary(f.Help)}, Values: enumValues(f.Value), Takes: !f.IsBool()}
		flags = append(flags[:len(flags):len(flags)], c)
		if f.Tag.Negatable != "" {
			flags = append(flags, completion.Flag{Word: completion.Word{Text: "--no-" + f.Name, Help: "Not: " + c.Help}})
		}
	}
	p := completion.Place{Path: path, Flags: flags}
	var below []completion.Place
	for _, child := range n.Children {
		if child.Hidden {
			continue
		}
		p.Words = append(p.Words, completion.Word{Text: child.Name, Help: summary(child.Help)})
		below = append(below, completionPlaces(child, append(path[:len(path):len(path)], child.Name), flags)...)
	}
	if len(n.Positional) > 0 {
		for _, v := range enumValues(n.Positional[0]) {
			p.Words = append(p.Words, completion.Word{Text: v})
		}
	}
	return append([]completion.Place{p}, below...)
}

// enumValues lists the permitted values of an option or argument, nil if it has no such list.
func enumValues(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return v.EnumSlice()
}

// summary returns the first sentence of a help text.
func summary(help string) string {
	text, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(text, ".")
}
