package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestDocument: the table is what the program writes from what was measured.
func TestDocument(t *testing.T) {
	t.Chdir("../..")
	m, err := load(stored)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if render(m) != string(text) {
		t.Errorf("%s is not what the program writes: go run ./tools/basestable", document)
	}
}

// TestRows: every row names what there is, and its golden models are as equal as the table's claim, with room for other
// machines' kernels.
func TestRows(t *testing.T) {
	t.Chdir("../..")
	m, err := load(stored)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range rows {
		c, ok := sizes[r.size]
		if !ok || c.Validate() != nil {
			t.Errorf("%s: size %q: %v", r.name, r.size, c.Validate())
		}
		if len(m.Cost[r.size]) != 3 || len(r.golden) == 0 || r.typed == "" {
			t.Errorf("%s: %d costs, golden models %v", r.name, len(m.Cost[r.size]), r.golden)
		}
		for _, g := range r.golden {
			if seen[g] {
				continue
			}
			seen[g] = true
			d, err := equality(filepath.Join(goldens, g))
			if err != nil {
				t.Fatal(err)
			}
			if limit := max(4*m.Equality[g], 2e-6); d > limit || m.Equality[g] > 1e-5 {
				t.Errorf("%s: off by %g, the table says %g", g, d, m.Equality[g])
			}
		}
	}
	for _, x := range []struct {
		value float64
		want  string
	}{{0, "to the bit"}, {3.2e-7, "4e-07"}, {9.4e-7, "1e-06"}, {1e-6, "1e-06"}} {
		if got := bound(x.value); got != x.want {
			t.Errorf("bound of %g: %s, expected %s", x.value, got, x.want)
		}
	}
}
