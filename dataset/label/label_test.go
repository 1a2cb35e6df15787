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
