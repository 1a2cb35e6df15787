package experiment

import (
	"slices"
	"strings"
	"testing"

	"melo.example/melo/dataset"
)

// TestFewImages: what is too little to learn or to choose by is said, once, and what is enough is not.
func TestFewImages(t *testing.T) {
	samples := func(n int, every int) *Set {
		d := &dataset.Dataset{Task: dataset.Binary, Labels: []string{"no", "yes"}}
		for i := range n {
			d.Samples = append(d.Samples, dataset.Sample{Label: min(i%every, 1) ^ 1})
		}
		return &Set{Dataset: d}
	}
	upTo := func(from, to int) (list []int) {
		for i := from; i < to; i++ {
			list = append(list, i)
		}
		return list
	}
	for name, c := range map[string]struct {
		set        *Set
		train, val int
		want       []string
	}{
		"two":          {samples(2, 2), 2, 0, []string{"trained on 2 images only", "fewer than 10 training images: no (1), yes (1)"}},
		"ten":          {samples(14, 2), 10, 4, []string{"trained on 10 images only", "no (5), yes (5)", "validation has 4 images"}},
		"rare":         {samples(200, 40), 160, 40, []string{"fewer than 10 training images: yes (4)"}},
		"enough":       {samples(200, 2), 160, 40, nil},
		"no judgement": {samples(100, 2), 100, 0, nil},
	} {
		parts := [3][]int{upTo(0, c.train), upTo(c.train, c.train+c.val)}
		c.set.few(parts)
		c.set.few(parts) // a second run on the same data
		if len(c.set.Warnings) != len(c.want) {
			t.Errorf("%s: %q", name, c.set.Warnings)
		}
		for _, w := range c.want {
			if !slices.ContainsFunc(c.set.Warnings, func(s string) bool { return strings.Contains(s, w) }) {
				t.Errorf("%s: %q does not say %q", name, c.set.Warnings, w)
			}
		}
	}
}
