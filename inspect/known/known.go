// Package known tells which published vision model a set of tensors resembles, by the names of the tensors: timm's,
// torchvision's and transformers' models are listed in a table that tools/knownmodels wrote.
package known

import (
	_ "embed"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed models.txt
var text string

// Match is the model that a file resembles most.
type Match struct {
	// Package is whose model it is, Family its kind there, and Models those that come closest, at most a few.
	Package string   `json:"package"`
	Family  string   `json:"family"`
	Models  []string `json:"models"`
	// Likeness is the share of patterns that both have of those that either has.
	Likeness float64 `json:"likeness"`
	// Missing and Extra are patterns, names with # for each number, that the model has and the file does not, and the other way
	// round. Tensors and Parameters are the model's.
	Missing    []string `json:"missing"`
	Extra      []string `json:"extra"`
	Tensors    int      `json:"tensors"`
	Parameters int64    `json:"parameters"`
}

// least is the likeness below which a file resembles nothing.
const least = 0.35

// few bounds how many models of equal likeness are named.
const few = 3

// Of returns what tensors of these names, with so many numbers in all, resemble. ok is false if that is nothing known.
func Of(names []string, numbers int64) (m Match, ok bool) {
	t := read()
	var best candidate
	for _, names := range [][]string{names, inside(names)} {
		if c := t.nearest(patterns(names), len(names), numbers); c.score > best.score {
			best = c
		}
	}
	if best.likeness < least {
		return Match{}, false
	}
	g := best.group
	m = Match{Package: g.of, Family: g.family, Likeness: best.likeness, Missing: []string{}, Extra: []string{}, Tensors: best.model.tensors,
		Parameters: best.model.numbers}
	m.Models = t.equal(&best)
	for _, p := range g.patterns {
		if _, there := slices.BinarySearch(best.patterns, t.patterns[p]); !there {
			m.Missing = append(m.Missing, t.patterns[p])
		}
	}
	for _, p := range best.patterns {
		if i, there := t.index[p]; !there || !slices.Contains(g.patterns, i) {
			m.Extra = append(m.Extra, p)
		}
	}
	return m, true
}

// table is models.txt.
type table struct {
	patterns []string
	index    map[string]int
	groups   []group
}

// group is models whose tensors have the same patterns.
type group struct {
	of, family string
	patterns   []int
	models     []model
}

type model struct {
	name    string
	tensors int
	numbers int64
}

// read parses the table, once it is needed.
var read = sync.OnceValue(func() *table {
	t := &table{index: map[string]int{}}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch f[0] {
		case "p":
			t.index[f[1]] = len(t.patterns)
			t.patterns = append(t.patterns, f[1])
		case "g":
			g := group{of: f[1], family: f[2]}
			for _, n := range f[3:] {
				i, _ := strconv.Atoi(n) // a test reads them all
				g.patterns = append(g.patterns, i)
			}
			t.groups = append(t.groups, g)
		case "m":
			g := &t.groups[len(t.groups)-1]
			tensors, _ := strconv.Atoi(f[2])
			numbers, _ := strconv.ParseInt(f[3], 10, 64)
			g.models = append(g.models, model{f[1], tensors, numbers})
		}
	}
	return t
})

// candidate is a model beside a file.
type candidate struct {
	group    *group
	model    model
	patterns []string // of the file
	likeness float64
	score    float64
}

// nearest is the model of the greatest likeness; of equal ones that with about as many tensors and numbers.
func (t *table) nearest(found []string, tensors int, numbers int64) candidate {
	var ids []int
	for _, p := range found {
		if i, ok := t.index[p]; ok {
			ids = append(ids, i)
		}
	}
	slices.Sort(ids)
	var best candidate
	for i := range t.groups {
		g := &t.groups[i]
		shared := 0
		for _, p := range g.patterns {
			if _, ok := slices.BinarySearch(ids, p); ok {
				shared++
			}
		}
		if shared == 0 {
			continue
		}
		likeness := float64(shared) / float64(len(g.patterns)+len(found)-shared)
		for _, m := range g.models {
			away := min(1, math.Abs(math.Log(float64(m.numbers)/float64(max(numbers, 1)))))
			other := min(1, math.Abs(float64(m.tensors-tensors))/float64(m.tensors))
			score := likeness - 0.02*away - 0.01*other
			if g.family == "vision_transformer" {
				score += 1e-6 // of equal ones the plain name
			}
			if score > best.score {
				best = candidate{g, m, found, likeness, score}
			}
		}
	}
	return best
}

// equal names models that are as near as the best: those of its own group first.
func (t *table) equal(best *candidate) (names []string) {
	for _, own := range []bool{true, false} {
		for i := range t.groups {
			g := &t.groups[i]
			if (g == best.group) != own || g.of != best.group.of || !slices.Equal(g.patterns, best.group.patterns) {
				continue
			}
			for _, x := range g.models {
				if x.tensors == best.model.tensors && x.numbers == best.model.numbers && len(names) < few {
					names = append(names, x.name)
				}
			}
		}
	}
	return names
}

// patterns are the names with # for each number, sorted.
func patterns(names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = pattern(name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func pattern(name string) string {
	var b strings.Builder
	digits := false
	for _, c := range name {
		if digit := c >= '0' && c <= '9'; digit {
			if !digits {
				b.WriteByte('#')
			}
			digits = true
			continue
		}
		digits = false
		b.WriteRune(c)
	}
	return b.String()
}

// inside are the names without what all begin with, up to a dot: "module." of a model that was wrapped.
func inside(names []string) []string {
	for len(names) > 1 {
		first, _, ok := strings.Cut(names[0], ".")
		if !ok || slices.ContainsFunc(names, func(name string) bool { return !strings.HasPrefix(name, first+".") }) {
			return names
		}
		cut := make([]string, len(names))
		for i, name := range names {
			cut[i] = name[len(first)+1:]
		}
		names = cut
	}
	return names
}
