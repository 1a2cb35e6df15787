// Package lines shows the documents of commands to people, as lines for a terminal of 80 columns: what was evaluated,
// compared, searched for, trained, converted; what is in a data set or a file; how fast a machine is.
package lines

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"melo.example/melo/internal/text"
)

// Width is the room of a line, in columns.
const Width = 80

// Writer writes lines. Control characters, which a terminal would obey, are left out.
type Writer struct{ w io.Writer }

// To returns a writer of lines to w. Its errors are those of w, which are not looked at.
func To(w io.Writer) Writer { return Writer{w} }

// Printf writes a line, or several with line breaks between them.
func (l Writer) Printf(format string, args ...any) {
	fmt.Fprintln(l.w, text.Visible(fmt.Sprintf(format, args...)))
}

// Entry writes a label and what stands behind it, over several lines if one is too narrow.
func (l Writer) Entry(label, format string, args ...any) {
	line := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
	line = text.Wrap(line, Width-len(label), 0)
	l.Printf("%s%s", label, strings.ReplaceAll(line, "\n", "\n"+strings.Repeat(" ", len(label))))
}

// hexOf is a SHA-256 without its name: 64 digits leave room for a label only.
func hexOf(digest string) string { return strings.TrimPrefix(digest, "sha256:") }

// nameWidth is the room for names of labels and values in tables, which are at most 80 columns wide.
const nameWidth = 22

// cut shortens a name to a width, and fills it up to that; right aligns it to the right.
func cut(name string, width int, right bool) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, name)
	if n := utf8.RuneCountInString(name); n > width {
		name = string([]rune(name)[:width-1]) + "~"
	} else if fill := strings.Repeat(" ", width-n); right {
		name = fill + name
	} else {
		name += fill
	}
	return name
}

// share writes a number between 0 and 1, or so, in five columns.
func share(v *float64) string {
	if v == nil {
		return "    -"
	}
	return fmt.Sprintf("%5.3f", *v)
}

// marked puts a mark behind the remark of an interval that may miss its level.
func marked(name string, approximate []string) string {
	if slices.Contains(approximate, name) {
		return "~"
	}
	return " "
}

// interval95 writes an interval in 14 columns.
func interval95(v *[2]float64) string {
	if v == nil {
		return "-             "
	}
	return text.Range(v[0], v[1])
}

// signedRange writes the interval of a difference in 16 columns.
func signedRange(v *[2]float64) string {
	if v == nil {
		return "-               "
	}
	return fmt.Sprintf("%+.3f to %+.3f", v[0], v[1])
}
