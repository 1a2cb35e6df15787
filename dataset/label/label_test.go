package label

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func counts(values ...string) map[string]int {
	m := map[string]int{}
	for _, v := range values {
		m[v]++
	}
	return m
}

func TestMerge(t *testing.T) {
	to, notes := Merge(counts("a", "a", "A ", "b", "0", "0.0", "00", "caf\u00e9", "cafe\u0301", "1e3", "1000", "-", "x  y", "X Y", "X Y"))
	for v, want := range map[string]string{"a": "a", "A ": "a", "b": "b", "0": "0", "0.0": "0", "00": "0", "cafe\u0301": "caf\u00e9", "1e3": "1e3", "x  y": "X Y"} {
		if to[v] != want {
			t.Errorf("%q is %q, expected %q", v, to[v], want)
		}
	}
	if len(notes) != 4 {
		t.Errorf("notes: %q", notes)
	}
}

func TestSeparator(t *testing.T) {
	for _, c := range []struct {
		values    []string
		sep       string
		ambiguous bool
	}{
		{[]string{"a", "b"}, "", false},
		{[]string{"a|b", "c"}, "|", false},
		{[]string{"a;b", "a", "b"}, ";", false},
		{[]string{"a, b", "b, c", "a, c"}, ",", false},
		{[]string{"carcinoma, basal", "melanoma"}, "", false},
		{[]string{"carcinoma, basal", "carcinoma, squamous", "naevus"}, "", true},
		{[]string{"['a', 'b']", "['a']"}, ",", false},
		{[]string{"{a,b}", "{a}", "{}"}, ",", false},
		{[]string{"head/neck", "torso"}, "", false},
		{[]string{"upper lobe", "lower lobe", "lobe"}, "", false},
	} {
		sep, err := Separator(counts(c.values...))
		var e *Ambiguous
		if sep != c.sep || errors.As(err, &e) != c.ambiguous {
			t.Errorf("%q: %q, %v", c.values, sep, err)
		}
		if c.ambiguous && !strings.Contains(err.Error(), `"basal", "squamous" do not`) {
			t.Error(err)
		}
	}
}

// TestDoubtfulSeparator: what stands in many names separates nothing by itself, and is no single label where its parts are
// labels.
func TestDoubtfulSeparator(t *testing.T) {
	for _, v := range []string{"A/B", "A+B", "A & B", "A and B", "A B", `A\B`} {
		sep, err := Separator(counts(v, "A", "b", "C"))
		var e *Ambiguous
		if sep != "" || !errors.As(err, &e) || e.Value != v || strings.Contains(err.Error(), "do not") {
			t.Errorf("%q: %q, %v", v, sep, err)
		}
	}
}

func TestGaps(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   string
	}{
		{[]string{"x", "y", "", "-", "n/a", "."}, " - . n/a"},
		{[]string{"+", "-"}, ""},
		{[]string{"0", "1", "-1"}, "-1"},
		{[]string{"-1", "1"}, "-1"},
		{[]string{"-1", "x"}, ""},
		{[]string{"-1"}, ""},
		{[]string{"none", "unknown"}, ""},
	} {
		if got := strings.Join(keys(Gaps(counts(c.values...))), " "); got != c.want {
			t.Errorf("%q: %q, expected %q", c.values, got, c.want)
		}
	}
}

// TestSpellings: names that look the same, or nearly so, are one label.
func TestSpellings(t *testing.T) {
	for _, c := range [][2]string{{"y\u200b", "y"}, {"\uff21", "a"}, {"non\u2013small", "Non-small"}, {"lung_aca", "lung  aca"}, {"'a'", "a"}, {"benign.", "Benign"}, {"x\u00a0", "x"}} {
		if to, _ := Merge(counts(c[0], c[1], c[1])); to[c[0]] != c[1] && Fold(to[c[0]]) != Fold(c[1]) || len(to) != 2 || to[c[0]] != to[c[1]] {
			t.Errorf("%q and %q are %q", c[0], c[1], to)
		}
	}
	if to, _ := Merge(counts("y\u200b")); to["y\u200b"] != "y" {
		t.Errorf("%q", to)
	}
	if to, _ := Merge(counts("Y", "yes", "yes", "n", "No", "No")); to["Y"] != "yes" || to["n"] != "No" {
		t.Errorf("%q", to)
	}
	if to, _ := Merge(counts("N", "no", "V")); to["N"] == to["no"] {
		t.Errorf("%q: types of beats are no answers", to)
	}
}

func TestParts(t *testing.T) {
	for v, want := range map[string][]string{"a| b|a|": {"a", "b"}, "['x', \"y z\"]": {"x", "y z"}, "": nil} {
		sep := "|"
		if bracketed(v) {
			sep = ","
		}
		if got := Parts(v, sep); !slices.Equal(got, want) {
			t.Errorf("%q: %q", v, got)
		}
	}
}

func TestMissing(t *testing.T) {
	for v, want := range map[string]bool{"": true, " NaN ": true, "?": true, "None": false, "0": false, "normal": false} {
		if Missing(v) != want {
			t.Errorf("%q: %v", v, !want)
		}
	}
}
