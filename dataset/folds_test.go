package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestFolds(t *testing.T) {
	for _, groupSize := range []int{1, 3} {
		d := synthetic([]int{200, 90, 45}, groupSize)
		d.hashes[250] = d.hashes[3]
		folds, err := d.Folds(5, SplitOptions{Seed: 4})
		if err != nil {
			t.Fatal(err)
		}
		held := make([]int, len(d.Samples))
		for f, x := range folds {
			where := map[string]int{}
			for p, part := range [][]int{x.Train, x.Val, x.Held} {
				if !slices.IsSorted(part) {
					t.Errorf("fold %d: part %d is not sorted", f, p)
				}
				share := []float64{0.65, 0.15, 0.2}[p]
				for l, n := range d.Counts(part) {
					if want := share * float64(d.Counts(nil)[l]); float64(n) < want-float64(3*groupSize) || float64(n) > want+float64(3*groupSize) {
						t.Errorf("groups of %d, fold %d: part %d has %d of label %d, expected about %.1f", groupSize, f, p, n, l, want)
					}
				}
				for _, i := range part {
					unit := fmt.Sprint(d.Samples[i].Group, d.hashes[i])
					if groupSize > 1 {
						unit = d.Samples[i].Group
					}
					if q, ok := where[unit]; ok && q != p {
						t.Errorf("fold %d: %s is in two parts", f, d.Samples[i].Path)
					}
					where[unit] = p
				}
			}
			if n := len(x.Train) + len(x.Val) + len(x.Held); n != len(d.Samples) {
				t.Errorf("fold %d has %d samples", f, n)
			}
			for _, i := range x.Held {
				held[i]++
			}
		}
		if slices.Min(held) != 1 || slices.Max(held) != 1 {
			t.Error("not every sample is held out once")
		}
		again, err := d.Folds(5, SplitOptions{Seed: 4})
		if err != nil || !slices.Equal(again[2].Val, folds[2].Val) || !slices.Equal(again[4].Held, folds[4].Held) {
			t.Error("folds do not follow from the seed")
		}
		other, err := d.Folds(5, SplitOptions{Seed: 5})
		if err != nil || slices.Equal(other[0].Held, folds[0].Held) {
			t.Error("the seed does not matter")
		}
	}
}

func TestFoldsGiven(t *testing.T) {
	d := synthetic([]int{60, 60}, 1)
	for i := range d.Samples {
		d.Samples[i].Split = []string{Train, Val, Test}[i%3]
	}
	folds, err := d.Folds(4, SplitOptions{Val: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range folds {
		if len(x.Held) != 20 || len(x.Train) != 60 || len(x.Val) != 0 {
			t.Errorf("%d, %d, %d samples", len(x.Train), len(x.Val), len(x.Held))
		}
		for _, i := range slices.Concat(x.Train, x.Held) {
			if i%3 == 2 {
				t.Error("a sample of the given test split is in a fold")
			}
		}
	}
}

func TestFoldsRefuse(t *testing.T) {
	torn := synthetic([]int{20, 20}, 1)
	torn.Samples[1].Split, torn.Samples[1].Group, torn.Samples[2].Group = Test, "p", "p"
	for _, c := range []struct {
		d    *Dataset
		k    int
		opt  SplitOptions
		want string
	}{
		{synthetic([]int{20, 20}, 1), 1, SplitOptions{}, "expected 2 to 100"},
		{synthetic([]int{20, 20}, 1), 101, SplitOptions{}, "expected 2 to 100"},
		{synthetic([]int{20, 20}, 1), 2, SplitOptions{Val: 0.5}, "nothing for training"},
		{synthetic([]int{20, 20}, 10), 5, SplitOptions{Val: -1}, "4 images or groups are too few for 5 folds"},
		{synthetic([]int{20, 2}, 1), 5, SplitOptions{Val: -1}, "all 4 samples of the part held out have the same label"},
		{torn, 5, SplitOptions{}, `"p" (train and test)`},
	} {
		_, err := c.d.Folds(c.k, c.opt)
		if !errors.Is(err, ErrBadData) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, expected %q", err, c.want)
		}
	}
}
