// Package label reads the values of label columns as people write them: several spellings of one name, several findings
// in one cell, and the ways to say that nothing is known.
package label

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold is what spellings of one name have in common: case, composed letters, spaces, and for numbers their value.
func Fold(s string) string {
	s = strings.Join(strings.Fields(norm.NFC.String(s)), " ")
	if v, err := strconv.ParseFloat(s, 64); err == nil && v-v == 0 && strings.Trim(s, "+-.0123456789") == "" {
		return strconv.FormatFloat(v+0, 'g', -1, 64)
	}
	return cases.Fold().String(s)
}

// Missing tells whether a value says that there is none. "None" is a name: of no tumour, say.
func Missing(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "", "nan", "na", "n/a", "<na>", "#n/a", "null", "?":
		return true
	}
	return false
}

// NoFinding tells whether a value among several findings says that there is none of them.
func NoFinding(s string) bool {
	switch Fold(s) {
	case "no finding", "no findings", "no_finding":
		return true
	}
	return false
}

// Merge maps every value to the spelling of its name that is most frequent, and of equally frequent ones to the first in
// order. Numbers become as short as they can be. The notes say which spellings are one name.
func Merge(count map[string]int) (to map[string]string, notes []string) {
	sets := map[string][]string{}
	for v := range count {
		f := Fold(v)
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
		best := norm.NFC.String(strings.Join(strings.Fields(spellings[0]), " "))
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

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// Ambiguous is the error about cells that may be one name or several.
type Ambiguous struct {
	Separator string
	Value     string   // one that may be several
	Known     []string // parts that occur by themselves, too
	Alone     []string // parts that do not
}

// Error says which value may be one label or several, and why.
func (e *Ambiguous) Error() string {
	return fmt.Sprintf("%q may be one label, or several with %q between them: of its parts %s occur by themselves, too, and %s do not",
		e.Value, e.Separator, quoted(e.Known), quoted(e.Alone))
}

func quoted(items []string) string {
	out := make([]string, 0, len(items))
	for _, v := range items {
		out = append(out, strconv.Quote(v))
	}
	return strings.Join(out[:min(3, len(out))], ", ")
}

// Separators are what may stand between the findings in a cell.
var Separators = []string{"|", ";", ","}

// Separator finds what stands between several findings in a cell; empty: a cell is one name. A bar always separates. A
// semicolon or comma does when every part of every value occurs by itself or beside other parts, and does not when no
// part does; otherwise the error is *Ambiguous.
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
		partners := map[string]map[string]bool{} // a part, and the sets that it is in
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
		for _, v := range joined { // show one that has both
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
	return "", nil
}

func keys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// bracketed tells whether a value is a list as Python and JSON write it: ['a', 'b'].
func bracketed(v string) bool { return strings.HasPrefix(v, "[") && strings.HasSuffix(v, "]") }

// Parts are the findings in a cell, without doubles and without empty ones.
func Parts(v, sep string) []string {
	if bracketed(v) {
		v = strings.TrimSuffix(strings.TrimPrefix(v, "["), "]")
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
