// Package text formats errors, lists, times, sizes and counts for people, on one line.
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

// packages lists our packages whose names start error messages. They help users of the library.
var packages = []string{"access", "answer", "adapterfile", "atomicfile", "audit", "bases", "client", "dataset", "dicom", "experiment", "host", "hub", "imaging", "kernel", "lora", "melo",
	"memo", "metric", "phantom", "pixel", "plot", "pretrain", "report", "safetensors", "serve", "telemetry", "train", "vit"}

// OneLine formats an error without package prefixes, which mean nothing to users of the program, and without
// line breaks or control characters, since messages quote names from files.
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

// Duration formats d as "45s", "3m20s" or "2h05m".
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

// Bytes formats n in powers of ten, as is usual for file sizes: "591.0 kB".
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

// Count formats n in groups of three digits: "147,456".
func Count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Plural formats a count: "1 image", "1,234 images".
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(int64(n)) + " " + many
}

// Seconds formats a duration in seconds with three digits: "6.71ms".
func Seconds(s float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}} {
		if s >= 0.9995*unit.size { // three digits would round to 1
			return fmt.Sprintf("%.3g%s", s/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%.3gns", s/1e-9)
}

// Capital capitalises the first letter of a sentence.
func Capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// Visible removes control characters other than line breaks and tabs. Labels and names come from files, and
// must not send commands to a terminal.
func Visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
}

// Wrap breaks text at spaces so that no line has more than width columns, as far as the words allow. Lines
// after the first are indented by indent spaces. Text that begins with a space is not wrapped: it is a command
// to copy, or a table.
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

// breakAt returns the index of the space at which to break text so that at most width columns come before it.
// It returns -1 if the text fits or has no space.
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

// Command formats a command line of melo as it would be typed.
func Command(args []string) string {
	words := []string{"melo"}
	for _, a := range args {
		words = append(words, ShellWord(a))
	}
	return strings.Join(words, " ")
}

// ShellWord quotes a word if a shell would interpret it.
func ShellWord(w string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=,:+@%", r)
	}
	if w != "" && strings.IndexFunc(w, func(r rune) bool { return !plain(r) }) < 0 {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// InLine quotes a file name if it is not valid text or would break the line.
func InLine(name string) string {
	if utf8.ValidString(name) && strings.IndexFunc(name, unicode.IsControl) < 0 {
		return name
	}
	return strconv.Quote(name)
}
