package known

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestTable: every line of the table is read, and models have what they say.
func TestTable(t *testing.T) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		var n int64
		switch {
		case f[0] == "m":
			if len(f) != 4 {
				t.Fatalf("line %q", line)
			}
			if _, err := fmt.Sscan(f[2]+" "+f[3], &n, &n); err != nil || n <= 0 {
				t.Fatalf("line %q: %v", line, err)
			}
		case f[0] == "g" && len(f) > 3:
			for _, i := range f[3:] {
				if _, err := fmt.Sscan(i, &n); err != nil || n < 0 || int(n) >= len(read().patterns) {
					t.Fatalf("line %q: %v", line, err)
				}
			}
		case !slices.Contains([]string{"p", "v"}, f[0]):
			t.Fatalf("line %q", line)
		}
	}
	if n := len(read().groups); n < 400 {
		t.Errorf("%d groups", n)
	}
}

// TestOf: what is there is recognised, also wrapped, with a part missing and a part too many; what resembles nothing is not.
func TestOf(t *testing.T) {
	names := func(g *group) (all []string) {
		for _, p := range g.patterns {
			all = append(all, strings.ReplaceAll(read().patterns[p], "#", "0"))
		}
		return all
	}
	var swin *group
	for i := range read().groups {
		if g := &read().groups[i]; g.family == "swin_transformer" && g.models[0].name == "swin_base_patch4_window12_384" {
			swin = g
		}
	}
	if swin == nil {
		t.Fatal("no Swin")
	}
	full := names(swin)
	m, ok := Of(full, swin.models[0].numbers)
	if !ok || m.Family != "swin_transformer" || m.Likeness != 1 || len(m.Missing)+len(m.Extra) != 0 || m.Models[0] != swin.models[0].name {
		t.Errorf("%+v", m)
	}
	changed := []string{"module.model.neck.7.weight"}
	for _, name := range full[1:] {
		changed = append(changed, "module.model."+name)
	}
	m, ok = Of(changed, swin.models[0].numbers)
	if !ok || m.Family != "swin_transformer" || !slices.Equal(m.Extra, []string{"neck.#.weight"}) ||
		!slices.Equal(m.Missing, []string{pattern(full[0])}) || !(m.Likeness < 1) {
		t.Errorf("%+v", m)
	}
	for _, none := range [][]string{nil, {"x"}, {"foo.weight", "foo.bias"}, {"..", ".", "7"}} {
		if m, ok := Of(none, 3); ok {
			t.Errorf("%q resembles %+v", none, m)
		}
	}
}

func FuzzOf(f *testing.F) {
	f.Add("blocks.0.attn.qkv.weight\nhead.bias", int64(7))
	f.Fuzz(func(t *testing.T, names string, numbers int64) {
		m, ok := Of(strings.Split(names, "\n"), numbers)
		if ok && (len(m.Models) == 0 || !(m.Likeness >= least && m.Likeness <= 1)) {
			t.Errorf("%+v", m)
		}
	})
}
