// Package text writes errors, lists, times, sizes and counts for people, on one line.
package text

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// packages begin the messages of those that are ours: a hint for who uses the library.
var packages = []string{"access", "answer", "adapterfile", "atomicfile", "audit", "bases", "client", "dataset", "dicom", "experiment", "host", "hub", "imaging", "kernel", "lora", "melo",
	"memo", "metric", "phantom", "pixel", "plot", "pretrain", "report", "safetensors", "serve", "telemetry", "train", "vit"}

// OneLine writes an error without the packages that it went through, which say nothing to who runs the program, and
// without line breaks or control characters: messages quote names from files.
func OneLine(err error) string {
	line := err.Error()
	for {
		name, rest, _ := strings.Cut(line, ": ")
		if !slices.Contains(packages, name) || rest == "" {
			break
		}
		line = rest
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, line)
}

// List joins at most ten names.
func List(names []string) string {
	const most = 10
	list := ""
	for i, n := range names {
		if i == most {
			return fmt.Sprintf("%s and %d more", list, len(names)-most)
		}
		if i > 0 {
			list += ", "
		}
		list += n
	}
	return list
}

// Duration writes d for people: "45s", "3m20s", "2h05m".
func Duration(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	}
	return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
}

// Bytes writes n for people in powers of ten, as file sizes are quoted: "591.0 kB".
func Bytes(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for f >= unit && i < 4 {
		f /= unit
		i++
	}
	return fmt.Sprintf("%.1f %cB", f, "kMGTP"[i])
}

// Count writes n with thin groups of three digits: "147,456".
func Count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Plural counts things: "1 image", "1,234 images".
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(int64(n)) + " " + many
}

// Seconds writes a duration with three digits: "6.71ms".
func Seconds(s float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}} {
		if s >= 0.9995*unit.size { // what three digits round up to one
			return fmt.Sprintf("%.3g%s", s/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%.3gns", s/1e-9)
}

// Capital begins a sentence.
func Capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// Visible is text without control characters, line breaks and tabs apart: labels and names come from files, and a terminal
// obeys what it is sent.
func Visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
}

// Wrap breaks text at spaces so that no line has more than width columns, where the words allow it. Lines after
// the first begin with indent spaces. Text that begins with a space is left alone: it is a command to be copied,
// or a table.
func Wrap(text string, width, indent int) string {
	if strings.HasPrefix(text, " ") || utf8.RuneCountInString(text) <= width {
		return text
	}
	var b strings.Builder
	for rest := text; ; {
		cut := breakAt(rest, width-indent*min(b.Len(), 1))
		if cut < 0 {
			b.WriteString(rest)
			return b.String()
		}
		b.WriteString(strings.TrimRight(rest[:cut], " ") + "\n" + strings.Repeat(" ", indent))
		rest = strings.TrimLeft(rest[cut:], " ")
	}
}

// breakAt returns where to break text so that at most width columns stand before, -1 if it fits or has no space.
func breakAt(text string, width int) int {
	columns, last := 0, -1
	for i, r := range text {
		if r == ' ' && i > 0 {
			if last = i; columns >= width {
				return last
			}
		} else if columns >= width && last > 0 {
			return last
		}
		columns++
	}
	return -1
}

// Command is a command line of melo as it is typed.
func Command(args []string) string {
	words := []string{"melo"}
	for _, a := range args {
		words = append(words, ShellWord(a))
	}
	return strings.Join(words, " ")
}

// ShellWord quotes a word that a shell would not take as it is.
func ShellWord(w string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=,:+@%", r)
	}
	if w != "" && strings.IndexFunc(w, func(r rune) bool { return !plain(r) }) < 0 {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// InLine is a file's name in a line: quoted where it would break the line, or is no text.
func InLine(name string) string {
	if utf8.ValidString(name) && strings.IndexFunc(name, unicode.IsControl) < 0 {
		return name
	}
	return strconv.Quote(name)
}
