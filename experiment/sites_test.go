package experiment

import (
	"slices"
	"testing"

	"melo.example/melo/vit"
)

func TestParseSites(t *testing.T) {
	kinds, ranks, err := parseSites("v, q,fc1=8")
	if err != nil || !slices.Equal(kinds, []vit.Kind{vit.Q, vit.V, vit.FC1}) || len(ranks) != 1 || ranks[vit.FC1] != 8 {
		t.Errorf("got %v, %v, %v", kinds, ranks, err)
	}
	kinds, ranks, err = parseSites("all")
	if err != nil || !slices.Equal(kinds, []vit.Kind{vit.Q, vit.K, vit.V, vit.Proj, vit.FC1, vit.FC2}) || ranks != nil {
		t.Errorf("all: got %v, %v, %v", kinds, ranks, err)
	}
	for _, bad := range []string{"", "x", "all,q", "q,q", "q=0", "q=a", "q,,v"} {
		if _, _, err := parseSites(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestParseBlocks(t *testing.T) {
	for s, want := range map[string][]int{
		"all":        nil,
		"last:2":     {10, 11},
		"0,2,8-10":   {0, 2, 8, 9, 10},
		"3-5,4, 5-6": {3, 4, 5, 6},
		"11":         {11},
		"last:12":    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
	} {
		got, err := ParseBlocks(s, 12)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %v, %v, want %v", s, got, err, want)
		}
	}
	for _, bad := range []string{"12", "-1", "5-3", "a", "last:0", "last:13", "1,,2", "0-99999999999"} {
		if _, err := ParseBlocks(bad, 12); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
