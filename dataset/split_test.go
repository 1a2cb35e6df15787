package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// synthetic is a data set without files: labels by the given counts, groups of the given size, and every
// file different.
func synthetic(counts []int, groupSize int) *Dataset {
	d := &Dataset{Task: MultiClass}
	for l, n := range counts {
		d.Labels = append(d.Labels, fmt.Sprint("label", l))
		for range n {
			i := len(d.Samples)
			s := Sample{Path: fmt.Sprintf("%05d.png", i), Label: l}
			if groupSize > 1 {
				s.Group = fmt.Sprint("patient", i/groupSize)
			}
			d.Samples = append(d.Samples, s)
			d.hashes = append(d.hashes, [32]byte{byte(i), byte(i >> 8), byte(i >> 16)})
		}
	}
	return d
}

func mustSplit(t *testing.T, d *Dataset, opt SplitOptions) [3][]int {
	t.Helper()
	a, b, c, err := d.Split(opt)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, part := range [][]int{a, b, c} {
		if !slices.IsSorted(part) {
			t.Error("indices are not ascending")
		}
		for _, i := range part {
			if seen[i] {
				t.Errorf("sample %d stands in two splits", i)
			}
			seen[i] = true
		}
	}
	return [3][]int{a, b, c}
}

func TestSplitStratified(t *testing.T) {
	d := synthetic([]int{437, 210, 133, 20}, 1)
	parts := mustSplit(t, d, SplitOptions{Val: 0.2, Test: 0.1, Seed: 5})
	for p, share := range []float64{0.7, 0.2, 0.1} {
		for l, n := range d.Counts(parts[p]) {
			if want := share * float64(d.Counts(nil)[l]); float64(n) < want-1 || float64(n) > want+1 {
				t.Errorf("%s has %d of label %d, expected %.1f", splitNames[p], n, l, want)
			}
		}
	}
	again := mustSplit(t, d, SplitOptions{Val: 0.2, Test: 0.1, Seed: 5})
	other := mustSplit(t, d, SplitOptions{Val: 0.2, Test: 0.1, Seed: 6})
	if !slices.Equal(parts[1], again[1]) || slices.Equal(parts[1], other[1]) {
		t.Error("the split must follow from the seed")
	}
}

func TestSplitGrouped(t *testing.T) {
	d := synthetic([]int{300, 150, 60}, 7)
	parts := mustSplit(t, d, SplitOptions{Seed: 1})
	where := map[string]int{}
	for p := range parts {
		if n := len(parts[p]); p > 0 && (n < 60 || n > 95) {
			t.Errorf("%s has %d samples, expected about %.0f", splitNames[p], n, DefaultShare*510)
		}
		for _, i := range parts[p] {
			g := d.Samples[i].Group
			if q, ok := where[g]; ok && q != p {
				t.Errorf("group %s is torn", g)
			}
			where[g] = p
		}
	}
}

func TestSplitMultiLabel(t *testing.T) {
	d := synthetic([]int{400}, 1)
	d.Task, d.Labels = MultiLabel, []string{"common", "rare", "rarest"}
	for i := range d.Samples {
		d.Samples[i].Label = -1
		d.Samples[i].Targets = []float32{b2f(i%2 == 0), b2f(i%10 == 3), b2f(i%40 == 7)}
	}
	parts := mustSplit(t, d, SplitOptions{Val: 0.2, Test: -1})
	for l, n := range d.Counts(parts[1]) {
		if want := 0.2 * float64(d.Counts(nil)[l]); float64(n) < want-1.5 || float64(n) > want+1.5 {
			t.Errorf("validation has %d of %s, expected %.1f", n, d.Labels[l], want)
		}
	}
	if n := len(parts[1]); n < 75 || n > 85 || len(parts[2]) != 0 {
		t.Errorf("validation has %d samples, test %d", n, len(parts[2]))
	}
}

func b2f(b bool) float32 {
	if b {
		return 1
	}
	return 0
}

// TestSplitGiven: what is given stays, what is missing is made from train.
func TestSplitGiven(t *testing.T) {
	for _, c := range []struct {
		name             string
		val, test        int // given
		wantVal, wantTst int
	}{
		{"nothing", 0, 0, 30, 30}, {"test", 0, 40, 24, 40}, {"validation", 40, 0, 40, 0}, {"both", 40, 20, 40, 20},
	} {
		d := synthetic([]int{100, 100}, 1)
		for i := range d.Samples {
			switch k := i % 100; {
			case k < c.val/2:
				d.Samples[i].Split = Val
			case k < c.val/2+c.test/2:
				d.Samples[i].Split = Test
			default:
				d.Samples[i].Split = Train
			}
		}
		parts := mustSplit(t, d, SplitOptions{})
		if len(parts[1]) != c.wantVal || len(parts[2]) != c.wantTst || len(parts[0]) != 200-c.wantVal-c.wantTst {
			t.Errorf("%s given: got %d, %d, %d", c.name, len(parts[0]), len(parts[1]), len(parts[2]))
		}
	}
}

func TestSplitCopiesStayTogether(t *testing.T) {
	d := synthetic([]int{50, 50}, 1)
	d.hashes[70] = d.hashes[3] // one image, two labels
	for seed := range uint64(20) {
		parts := mustSplit(t, d, SplitOptions{Seed: seed, Val: 0.4, Test: 0.2})
		for _, part := range parts {
			if slices.Contains(part, 3) != slices.Contains(part, 70) {
				t.Fatalf("seed %d: copies are on two sides", seed)
			}
		}
	}
	all := strings.Join(d.Warnings, "\n")
	if len(d.Warnings) != 1 || !strings.Contains(all, "00003.png (label0) = 00070.png (label1)") {
		t.Errorf("warnings: %q", d.Warnings)
	}
}

func TestSplitRefuses(t *testing.T) {
	given := func(edit func(d *Dataset)) *Dataset {
		d := synthetic([]int{50, 50}, 1)
		for i := range d.Samples {
			d.Samples[i].Split = []string{Train, Val, Test}[i%3]
		}
		edit(d)
		return d
	}
	same := given(func(d *Dataset) { d.hashes[1] = d.hashes[0] })
	for _, c := range []struct {
		name string
		d    *Dataset
		opt  SplitOptions
		want []string
	}{
		{"group on both sides", given(func(d *Dataset) { d.Samples[0].Group, d.Samples[2].Group = "p7", "p7" }), SplitOptions{}, []string{`"p7" (train and test)`}},
		{"image on both sides", same, SplitOptions{}, []string{"00000.png (label0, train) = 00001.png (label0, val)", "both sides"}},
		{"one class in train", given(func(d *Dataset) {
			for i := range 50 {
				d.Samples[i].Split = Val
			}
		}), SplitOptions{}, []string{"train", `"label1"`}},
		{"one class in test", given(func(d *Dataset) {
			for i := range 50 {
				d.Samples[i].Split = []string{Train, Val}[i%2]
			}
		}), SplitOptions{}, []string{"test", `"label1"`}},
		{"label missing in train", given(func(d *Dataset) {
			d.Labels = append(d.Labels, "label2")
			d.Samples[1].Label = 2
		}), SplitOptions{}, []string{"train has no samples of", `"label2"`}},
		{"no train", given(func(d *Dataset) {
			for i := range d.Samples {
				d.Samples[i].Split = Test
			}
		}), SplitOptions{}, []string{"no training samples"}},
		{"shares", synthetic([]int{5, 5}, 1), SplitOptions{Val: 0.6, Test: 0.5}, []string{"nothing for training"}},
	} {
		_, _, _, err := c.d.Split(c.opt)
		if err == nil || !errors.Is(err, ErrBadData) {
			t.Errorf("%s: got %v", c.name, err)
			continue
		}
		for _, text := range c.want {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %q does not say %q", c.name, err, text)
			}
		}
	}
	if _, _, _, err := same.Split(SplitOptions{AllowDuplicates: true}); err != nil || len(same.Warnings) == 0 {
		t.Errorf("allowed duplicates: %v, warnings %q", err, same.Warnings)
	}
}

func TestDigest(t *testing.T) {
	files := map[string]string{"labels.csv": "path,label\n1.png,a\n2.png,b\n", "1.png": "#1", "2.png": "#2"}
	digest := func() string {
		d, err := Open(write(t, files), Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := d.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := digest()
	files["labels.csv"] = "path,label\n2.png,b\n1.png,a\n"
	if digest() != first {
		t.Error("the order of rows changes the digest")
	}
	files["labels.csv"] = "path,label\n2.png,a\n1.png,b\n"
	if digest() == first {
		t.Error("the labels do not change the digest")
	}
	files["labels.csv"], files["2.png"] = "path,label\n1.png,a\n2.png,b\n", "#3"
	if digest() == first {
		t.Error("the content does not change the digest")
	}
}

func TestHashNamesTheFile(t *testing.T) {
	root := write(t, map[string]string{"a/1.png": "#1", "b/2.png": "#2"})
	d, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(root, "b", "2.png")); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := d.Split(SplitOptions{}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "2.png") {
		t.Errorf("got %v", err)
	}
}
