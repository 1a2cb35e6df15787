// Package completion generates scripts with which bash, zsh and fish complete melo's command line.
package completion

import (
	"fmt"
	"strings"
)

// Place is a position on a command line: before or after a command.
type Place struct {
	Path  []string // commands before it
	Words []Word   // commands that may follow, or values of the first argument
	Flags []Flag
}

// Word is a word that can be typed, and its description.
type Word struct{ Text, Help string }

// Flag is a command-line flag.
type Flag struct {
	Word
	Values []string // possible values, if they can be listed
	Takes  bool     // whether it takes a value
}

// singleQuoted quotes a word for bash and zsh, whose single quotes have no escapes.
func singleQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// placeLoop returns a loop that determines the Place from the words before the cursor. bash and zsh differ only
// in counting and variable names.
func placeLoop(places []Place, words, first, cursor string) string {
	var keys []string
	for _, k := range commandKeys(places) {
		keys = append(keys, singleQuoted(k))
	}
	return fmt.Sprintf(`	local place='' next i
	for ((i = %s; i < %s; i++)); do
		next="${place:+$place }${%s[i]}"
		case "$next" in
		%s) place="$next" ;;
		esac
	done
`, first, cursor, words, strings.Join(keys, "|"))
}

// Bash returns the script for bash. Where it has no suggestions, bash completes file names.
func Bash(places []Place) string {
	var b strings.Builder
	b.WriteString("# bash completion for melo; made by \"melo completion bash\"\n_melo() {\n")
	b.WriteString("\tlocal cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" words='' flags=''\n")
	b.WriteString("\tif [[ $cur == '=' ]]; then cur=''; elif [[ $prev == '=' ]]; then prev=\"${COMP_WORDS[COMP_CWORD-2]}\"; fi\n")
	b.WriteString(placeLoop(places, "COMP_WORDS", "1", "COMP_CWORD"))
	b.WriteString("\tcase \"$place\" in\n")
	for _, p := range places {
		fmt.Fprintf(&b, "\t%s)\n", singleQuoted(p.key()))
		var words, flags []string
		for _, w := range p.Words {
			words = append(words, w.Text)
		}
		b.WriteString("\t\tcase \"$prev\" in\n")
		var files []string
		for _, f := range p.Flags {
			flags = append(flags, f.Text)
			if len(f.Values) > 0 {
				fmt.Fprintf(&b, "\t\t%s) COMPREPLY=($(compgen -W %s -- \"$cur\")); return ;;\n", f.Text, singleQuoted(strings.Join(f.Values, " ")))
			} else if f.Takes {
				files = append(files, f.Text)
			}
		}
		if len(files) > 0 {
			fmt.Fprintf(&b, "\t\t%s) return ;;\n", strings.Join(files, "|"))
		}
		b.WriteString("\t\tesac\n")
		fmt.Fprintf(&b, "\t\twords=%s\n\t\tflags=%s ;;\n", singleQuoted(strings.Join(words, " ")), singleQuoted(strings.Join(flags, " ")))
	}
	b.WriteString("\tesac\n\tif [[ $cur == -* ]]; then words=\"$flags\"; fi\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n")
	b.WriteString("complete -o default -F _melo melo\n")
	return b.String()
}

// Zsh returns the script for zsh, to be sourced or installed in fpath.
func Zsh(places []Place) string {
	described := func(w Word) string {
		text := strings.ReplaceAll(w.Text, ":", `\:`)
		if w.Help != "" {
			text += ":" + w.Help
		}
		return singleQuoted(text)
	}
	var b strings.Builder
	b.WriteString("#compdef melo\n# zsh completion for melo; made by \"melo completion zsh\"\n_melo() {\n")
	b.WriteString("\tlocal prev=\"${words[CURRENT-1]}\"\n\tlocal -a list flags values\n")
	b.WriteString(placeLoop(places, "words", "2", "CURRENT"))
	b.WriteString("\tcase \"$place\" in\n")
	for _, p := range places {
		fmt.Fprintf(&b, "\t%s)\n\t\tcase \"$prev\" in\n", singleQuoted(p.key()))
		var files []string
		for _, f := range p.Flags {
			if len(f.Values) > 0 {
				fmt.Fprintf(&b, "\t\t%s) values=(%s); _describe value values; return ;;\n", f.Text, strings.Join(f.Values, " "))
			} else if f.Takes {
				files = append(files, f.Text)
			}
		}
		if len(files) > 0 {
			fmt.Fprintf(&b, "\t\t%s) _files; return ;;\n", strings.Join(files, "|"))
		}
		b.WriteString("\t\tesac\n\t\tlist=(")
		for _, w := range p.Words {
			b.WriteString("\n\t\t\t" + described(w))
		}
		b.WriteString(")\n\t\tflags=(")
		for _, f := range p.Flags {
			b.WriteString("\n\t\t\t" + described(f.Word))
		}
		b.WriteString(") ;;\n")
	}
	b.WriteString("\tesac\n\tif [[ $PREFIX == -* ]]; then _describe -o option flags\n")
	b.WriteString("\telif (( $#list )); then _describe command list\n\telse _files; fi\n}\n")
	b.WriteString("if [[ $funcstack[1] == _melo ]]; then _melo \"$@\"; else compdef _melo melo; fi\n")
	return b.String()
}

// Fish returns the script for fish.
func Fish(places []Place) string {
	quoted := func(s string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
	}
	var keys []string
	for _, k := range commandKeys(places) {
		keys = append(keys, quoted(k))
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# fish completion for melo; made by "melo completion fish"
function __melo_place
    set -l place
    set -l line (commandline -opc)
    for word in $line[2..-1]
        set -l next (string join ' ' -- $place $word)
        if contains -- $next %s
            set place $next
        end
    end
    echo "$place"
end
`, strings.Join(keys, " "))
	for _, p := range places {
		at := fmt.Sprintf("complete -c melo -n %s", quoted(fmt.Sprintf(`test "$(__melo_place)" = "%s"`, p.key())))
		for _, w := range p.Words {
			fmt.Fprintf(&b, "%s -f -a %s -d %s\n", at, w.Text, quoted(w.Help))
		}
		for _, f := range p.Flags {
			fmt.Fprintf(&b, "%s -l %s -d %s", at, strings.TrimPrefix(f.Text, "--"), quoted(f.Help))
			if len(f.Values) > 0 {
				fmt.Fprintf(&b, " -x -a %s", quoted(strings.Join(f.Values, " ")))
			} else if f.Takes {
				b.WriteString(" -r")
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// key returns the name of a place in a script.
func (p *Place) key() string { return strings.Join(p.Path, " ") }

// commandKeys lists the places after a command.
func commandKeys(places []Place) []string {
	var keys []string
	for _, p := range places {
		if len(p.Path) > 0 {
			keys = append(keys, p.key())
		}
	}
	return keys
}
