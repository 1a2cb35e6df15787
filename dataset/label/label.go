// Package label interprets the values of label columns as people write them: several spellings of one name,
// several findings in one cell, and the ways to write that nothing is known.
package label

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// Fold normalises a name so that different spellings agree: it removes differences in case, composed letters,
// spaces and underscores, dashes, full-width letters, invisible characters, surrounding quotes and trailing
// punctuation. Numbers are compared by value.
func Fold(s string) string {
	s = strings.Join(strings.Fields(strings.Map(plainRune, width.Fold.String(norm.NFC.String(s)))), " ")
	if bare := strings.TrimRight(strings.Trim(s, "'\"`"), ".,;: "); bare != "" {
		s = bare
	}
	if v, err := strconv.ParseFloat(s, 64); err == nil && v-v == 0 && strings.Trim(s, "+-.0123456789") == "" {
		return strconv.FormatFloat(v+0, 'g', -1, 64)
	}
	return cases.Fold().String(s)
}

// plainRune drops invisible characters, and unifies dashes, spaces and underscores.
func plainRune(r rune) rune {
	switch {
	case visible(r) < 0:
		return -1
	case unicode.Is(unicode.Pd, r):
		return '-'
	case r == '_':
		return ' '
	}
	return r
}

// visible drops invisible formatting characters.
func visible(r rune) rune {
	if unicode.Is(unicode.Cf, r) {
		return -1
	}
	return r
}

// Missing reports whether a value means "not given". "None" does not: it is a name, for example for no tumour.
func Missing(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "", "nan", "na", "n/a", "n.a.", "<na>", "#n/a", "null", "nil", "nat", "?", "missing", "not available":
		return true
	}
	return false
}

// Gaps returns the values of a column that mean "not given": the missing ones, dashes unless there are also
// plus signs, and -1 among class numbers.
func Gaps(count map[string]int) map[string]bool {
	gaps, plus, numbers := map[string]bool{}, false, 0
	for v := range count {
		switch f := Fold(v); {
		case Missing(v) || f == "-" || f == "--" || f == ".":
			gaps[v] = true
		case f == "-1":
		default:
			plus = plus || strings.Contains(f, "+")
			if strings.Trim(f, "0123456789") != "" {
				numbers = len(count) + 1 // not class numbers
			}
			numbers++
		}
	}
	for v := range count {
		switch f := Fold(v); {
		case f == "-" && plus:
			delete(gaps, v)
		case f == "-1" && numbers > 0 && numbers <= len(count):
			gaps[v] = true
		}
	}
	return gaps
}

// MayBeGap reports whether one of several labels may mean "unknown": such words, or 999 among names.
func MayBeGap(v string) bool {
	switch Fold(v) {
	case "unknown", "not known", "undetermined", "indeterminate", "not specified", "unspecified", "-1", "-9", "-99", "-999", "99", "999", "9999":
		return true
	}
	return false
}

// NoFinding reports whether a value among several findings means that there is none.
func NoFinding(s string) bool {
	switch Fold(s) {
	case "no finding", "no findings":
		return true
	}
	return false
}

// Merge maps every value to the most frequent spelling of its name, the first in order in case of a tie.
// Numbers get their shortest form. The notes list spellings that were merged.
func Merge(count map[string]int) (to map[string]string, notes []string) {
	sets := map[string][]string{}
	answers := yesNo(count)
	for v := range count {
		f := Fold(v)
		if answers {
			f = yesNoWords[f]
		}
		sets[f] = append(sets[f], v)
	}
	to = make(map[string]string, len(count))
	for f, spellings := range sets {
		slices.SortFunc(spellings, func(a, b string) int {
			if d := count[b] - count[a]; d != 0 {
				return d
			}
			return strings.Compare(a, b)
		})
		best := norm.NFC.String(strings.Join(strings.Fields(strings.Map(visible, spellings[0])), " "))
		if len(spellings) > 1 && isNumber(f) {
			best = f
		}
		for _, v := range spellings {
			to[v] = best
		}
		if len(spellings) > 1 {
			quoted := make([]string, len(spellings))
			for i, v := range spellings {
				quoted[i] = fmt.Sprintf("%q (%d)", v, count[v])
			}
			notes = append(notes, fmt.Sprintf("%s are one label, %q", strings.Join(quoted, ", "), best))
		}
	}
	slices.Sort(notes)
	return to, notes
}

// yesNoWords maps answers to their normal form.
var yesNoWords = map[string]string{"yes": "yes", "y": "yes", "no": "no", "n": "no", "true": "true", "t": "true", "false": "false", "f": "false"}

// yesNo reports whether all values are answers, each possibly spelled in two ways.
func yesNo(count map[string]int) bool {
	for v := range count {
		if yesNoWords[Fold(v)] == "" {
			return false
		}
	}
	return true
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// Ambiguous is the error about cells that may be one name or several.
type Ambiguous struct {
	Separator string
	Value     string   // a value that may be several
	Known     []string // parts that also occur alone
	Alone     []string // parts that do not
}

// Error says which value may be one label or several, and why.
func (e *Ambiguous) Error() string {
	text := fmt.Sprintf("%q may be one label, or several with %q between them: of its parts %s occur by themselves, too", e.Value, e.Separator, quoted(e.Known))
	if len(e.Alone) == 0 {
		return text
	}
	return fmt.Sprintf("%s, and %s do not", text, quoted(e.Alone))
}

func quoted(items []string) string {
	out := make([]string, 0, len(items))
	for _, v := range items {
		out = append(out, strconv.Quote(v))
	}
	return strings.Join(out[:min(3, len(out))], ", ")
}

// Separators lists what may separate the findings in a cell.
var Separators = []string{"|", ";", ","}

// Separator determines what separates several findings in a cell; "" means that a cell is one name. A bar
// always separates. A semicolon or comma does if every part of every value occurs alone or beside other parts,
// and does not if no part does. Otherwise the error is *Ambiguous.
func Separator(count map[string]int) (string, error) {
	for _, sep := range Separators {
		var joined []string
		for v := range count {
			if strings.Contains(v, sep) && !bracketed(v) {
				joined = append(joined, v)
			}
		}
		slices.Sort(joined)
		if sep == "|" && len(joined) > 0 {
			return sep, nil
		}
		known, alone := map[string]bool{}, map[string]bool{}
		partners := map[string]map[string]bool{} // each part, with the sets that contain it
		for v := range count {
			parts := Parts(v, sep)
			for _, p := range parts {
				f := Fold(p)
				if partners[f] == nil {
					partners[f] = map[string]bool{}
				}
				partners[f][Fold(v)] = true
			}
		}
		for _, v := range joined {
			for _, p := range Parts(v, sep) {
				if len(partners[Fold(p)]) > 1 {
					known[p] = true
				} else {
					alone[p] = true
				}
			}
		}
		switch {
		case len(joined) == 0 || len(known) == 0:
			continue
		case len(alone) == 0:
			return sep, nil
		}
		e := &Ambiguous{Separator: sep, Known: keys(known), Alone: keys(alone)}
		for _, v := range joined { // show a value that has both
			parts := Parts(v, sep)
			if e.Value == "" || slices.ContainsFunc(parts, func(p string) bool { return known[p] }) && slices.ContainsFunc(parts, func(p string) bool { return alone[p] }) {
				e.Value = v
			}
		}
		return "", e
	}
	for v := range count {
		if bracketed(v) {
			return ",", nil
		}
	}
	return "", doubtful(count)
}

// doubtfulSeparators lists separators that are also part of many names. They never separate by themselves.
var doubtfulSeparators = []string{"/", "+", "&", " and ", "\\", " "}

// doubtful returns an error about values whose parts are all labels by themselves: "A/B" beside "A" and "B".
func doubtful(count map[string]int) error {
	folded := map[string]bool{}
	for v := range count {
		folded[Fold(v)] = true
	}
	values := keys(count)
	for _, sep := range doubtfulSeparators {
		for _, v := range values {
			parts := Parts(v, sep)
			if len(parts) > 1 && !slices.ContainsFunc(parts, func(p string) bool { return !folded[Fold(p)] }) {
				return &Ambiguous{Separator: sep, Value: v, Known: parts}
			}
		}
	}
	return nil
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// bracketed reports whether a value is a list or a set in a program's notation: ['a', 'b'], {a,b}.
func bracketed(v string) bool {
	return strings.HasPrefix(v, "[") && strings.HasSuffix(v, "]") || strings.HasPrefix(v, "{") && strings.HasSuffix(v, "}") && !strings.Contains(v, ":")
}

// Parts returns the findings in a cell, without duplicates and empty ones.
func Parts(v, sep string) []string {
	if bracketed(v) {
		v = v[1 : len(v)-1]
	}
	var out []string
	items := []string{v}
	if sep != "" {
		items = strings.Split(v, sep)
	}
	for _, p := range items {
		p = strings.TrimSpace(p)
		if n := len(p); n >= 2 && (p[0] == '\'' || p[0] == '"') && p[n-1] == p[0] {
			p = strings.TrimSpace(p[1 : n-1])
		}
		if p != "" && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
