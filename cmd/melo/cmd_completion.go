package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// completionOptions are the options of "melo completion".
type completionOptions struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell: ${enum}."`
}

// Help is the long help text.
func (completionOptions) Help() string {
	return `Prints a script that lets a shell complete commands, options and their values. It is made from the program's own
options and runs nothing when Tab is pressed.

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
	script := map[string]func([]completionPlace) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[o.Shell](places)
	s.printf("%s", strings.TrimSuffix(script, "\n"))
	return s.document(completionDocument{o.Shell, script})
}

// completionPlace is where a command line may be: before a command, or after one.
type completionPlace struct {
	path  []string         // commands so far
	words []completionWord // commands that may follow, or values of the first argument
	flags []completionFlag
}

// completionWord is something to type and what it means.
type completionWord struct{ word, help string }

// completionFlag is an option.
type completionFlag struct {
	completionWord
	values []string // that it takes, if they can be listed
	takes  bool     // it takes a value
}

// completionPlaces lists the places of a command and those below it; flags are those of the commands above.
func completionPlaces(n *kong.Node, path []string, flags []completionFlag) []completionPlace {
	for _, f := range n.Flags {
		if f.Hidden {
			continue
		}
		c := completionFlag{completionWord: completionWord{"--" + f.Name, summary(f.Help)}, values: enumValues(f.Value), takes: !f.IsBool()}
		flags = append(flags[:len(flags):len(flags)], c)
		if f.Tag.Negatable != "" {
			flags = append(flags, completionFlag{completionWord: completionWord{"--no-" + f.Name, "Not: " + c.help}})
		}
	}
	p := completionPlace{path: path, flags: flags}
	var below []completionPlace
	for _, child := range n.Children {
		if child.Hidden {
			continue
		}
		p.words = append(p.words, completionWord{child.Name, summary(child.Help)})
		below = append(below, completionPlaces(child, append(path[:len(path):len(path)], child.Name), flags)...)
	}
	if len(n.Positional) > 0 {
		for _, v := range enumValues(n.Positional[0]) {
			p.words = append(p.words, completionWord{word: v})
		}
	}
	return append([]completionPlace{p}, below...)
}

// enumValues lists what an option or argument may be, if that is listed.
func enumValues(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return v.EnumSlice()
}

// summary is the first sentence of a help text.
func summary(help string) string {
	text, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(text, ".")
}

// key is the name of a place in a script.
func (p *completionPlace) key() string { return strings.Join(p.path, " ") }

// commandKeys lists the places that words on a line lead to.
func commandKeys(places []completionPlace) []string {
	var keys []string
	for _, p := range places {
		if len(p.path) > 0 {
			keys = append(keys, p.key())
		}
	}
	return keys
}
