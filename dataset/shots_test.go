package dataset

import (
	"slices"
	"testing"
)

// TestShots: so many of each label, all where there are fewer, nested for growing numbers, others for other seeds.
func TestShots(t *testing.T) {
	d := &Dataset{Labels: []string{"a", "b", "c"}, Task: MultiClass}
	var all []int
	for i := range 100 {
		label := i % 2
		if i >= 96 {
			label = 2
		}
		d.Samples = append(d.Samples, Sample{Label: label})
		all = append(all, i)
	}
	small, large := d.Shots(all, 3, 1), d.Shots(all, 10, 1)
	if got := d.Counts(small); !slices.Equal(got, []int{3, 3, 3}) {
		t.Errorf("3 of each: %v", got)
	}
	if got := d.Counts(large); !slices.Equal(got, []int{10, 10, 4}) {
		t.Errorf("10 of each: %v", got)
	}
	for _, i := range small {
		if !slices.Contains(large, i) {
			t.Errorf("%d is among 3, but not among 10", i)
		}
	}
	if slices.Equal(small, d.Shots(all, 3, 2)) || !slices.Equal(small, d.Shots(all, 3, 1)) || !slices.IsSorted(large) {
		t.Error("not by the seed, or not in order")
	}

	m := &Dataset{Labels: []string{"a", "b"}, Task: MultiLabel}
	for i := range 40 {
		m.Samples = append(m.Samples, Sample{Targets: [][]float32{{0, 0}, {1, 0}, {1, 1}, {0, Unknown}}[i%4]})
	}
	taken := m.Shots(all[:40], 2, 1)
	none := 0
	for _, i := range taken {
		if !m.has(i, 0) && !m.has(i, 1) {
			none++
		}
	}
	if got := m.Counts(taken); got[0] < 2 || got[1] < 2 || got[0] > 4 || none != 2 {
		t.Errorf("%v, and %d without a label, of %v", got, none, taken)
	}
}
