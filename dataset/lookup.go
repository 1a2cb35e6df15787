package dataset

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/text/unicode/norm"

	"melo.example/melo/dataset/layout"
)

// lookup finds files by the names in tables: full paths, path suffixes, names without folder or extension, and
// numbers without leading zeros.
type lookup struct {
	names  []string
	base   map[string][]int // by folded name without folder
	stem   map[string][]int // by folded name without folder and extension
	number map[string][]int // by stem, if that is a number, without leading zeros
	prefix map[string][]int // by the part of the stem before the first "_", if that is a number
	tail   map[string][]int // by the number at the end of the stem
}

// foldName normalises the spelling of a file name.
func foldName(s string) string { return strings.ToLower(norm.NFC.String(s)) }

func newLookup(names []string) *lookup {
	l := &lookup{names: names, base: map[string][]int{}, stem: map[string][]int{}, number: map[string][]int{}, prefix: map[string][]int{}, tail: map[string][]int{}}
	for i, name := range names {
		base := foldName(path.Base(name))
		stem := strings.TrimSuffix(base, path.Ext(base))
		l.base[base] = append(l.base[base], i)
		l.stem[stem] = append(l.stem[stem], i)
		if isDigits(stem) {
			n := strings.TrimLeft(stem, "0")
			l.number[n] = append(l.number[n], i)
		}
		if n, ok := tailOf(stem); ok {
			l.tail[n] = append(l.tail[n], i)
		}
		if head, _, ok := strings.Cut(stem, "_"); ok && isDigits(head) {
			l.prefix[head] = append(l.prefix[head], i)
		}
	}
	return l
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// The ways in which a name can be found, in order of preference.
const (
	byPath      = iota // exact path
	byEnd              // suffix of the path
	byStem             // without extension, or with another one
	byNumber           // without leading zeros
	byBeginning        // part before the first "_"
	byTail             // number at the end
	notFound
)

// find returns the file for a name in a table in folder dir, and how it was found. It returns an error if the
// name matches several files.
func (l *lookup) find(name, dir string) (string, int, error) {
	name = strings.ReplaceAll(name, "\\", "/")
	if len(name) > 2 && name[1] == ':' && name[2] == '/' { // a Windows drive letter
		name = name[3:]
	}
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return "", notFound, nil
	}
	base := foldName(path.Base(name))
	if hits := l.base[base]; len(hits) > 0 {
		best, err := l.choose(hits, name, dir)
		if err != nil {
			return "", notFound, err
		}
		how := byEnd
		if f := norm.NFC.String(l.names[best]); f == norm.NFC.String(name) || f == norm.NFC.String(path.Join(dir, name)) {
			how = byPath
		}
		return l.names[best], how, nil
	}
	stem := base
	if layout.IsImage(base) {
		stem = strings.TrimSuffix(base, path.Ext(base))
	}
	stem = wholeNumber(stem)
	number := strings.TrimLeft(stem, "0")
	for _, way := range []struct {
		hits []int
		how  int
	}{{l.stem[stem], byStem}, {l.numbered(stem, number), byNumber}, {l.prefix[stem], byBeginning}, {l.tailed(stem), byTail}} {
		if len(way.hits) > 0 {
			best, err := l.choose(way.hits, path.Join(path.Dir(name), "x"), dir)
			if err != nil {
				return "", notFound, err
			}
			return l.names[best], way.how, nil
		}
	}
	return "", notFound, nil
}

// wholeNumber returns "12" for "12.0", the form in which programs write integers in a column with gaps.
func wholeNumber(s string) string {
	if whole, rest, ok := strings.Cut(s, "."); ok && isDigits(whole) && strings.Trim(rest, "0") == "" {
		return whole
	}
	return s
}

// tailOf returns the number at the end of a stem, without leading zeros.
func tailOf(stem string) (string, bool) {
	head := strings.TrimRight(stem, "0123456789")
	return strings.TrimLeft(stem[len(head):], "0"), len(head) < len(stem)
}

// tailed finds the single file that ends with the same number as a stem, if one of both is only the number:
// "ISIC_7" and "7.png". If several files end with it, there is no match.
func (l *lookup) tailed(stem string) []int {
	n, ok := tailOf(stem)
	ok = ok && !strings.Contains(stem, ".") // a decimal number
	if hits := l.tail[n]; ok && len(hits) == 1 {
		base := foldName(path.Base(l.names[hits[0]]))
		if isDigits(stem) || isDigits(strings.TrimSuffix(base, path.Ext(base))) {
			return hits
		}
	}
	return nil
}

func (l *lookup) numbered(stem, number string) []int {
	if !isDigits(stem) {
		return nil
	}
	return l.number[number]
}

// choose returns, of several files, the one whose folders match the name best, or else one below the table's
// folder.
func (l *lookup) choose(hits []int, name, dir string) (int, error) {
	if len(hits) == 1 {
		return hits[0], nil
	}
	want := strings.Split(foldName(path.Join(dir, name)), "/")
	best, most, ties := -1, -1, []string(nil)
	for _, i := range hits {
		have := strings.Split(foldName(l.names[i]), "/")
		n := 0
		for k := 2; k <= min(len(want), len(have)) && want[len(want)-k] == have[len(have)-k]; k++ {
			n++
		}
		n *= 4
		if dir != "." && dir != "" && strings.HasPrefix(l.names[i], dir+"/") {
			n += 2
		}
		if path.Base(l.names[i]) == path.Base(name) {
			n++
		}
		switch {
		case n > most:
			best, most, ties = i, n, []string{l.names[i]}
		case n == most:
			ties = append(ties, l.names[i])
		}
	}
	if len(ties) > 1 {
		return 0, fmt.Errorf("fits %d files: %s", len(ties), layout.First(ties))
	}
	return best, nil
}
