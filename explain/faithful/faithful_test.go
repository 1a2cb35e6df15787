package faithful

import (
	"math"
	"slices"
	"testing"
)

// oneCounts is a subject whose probability is the mean of one patch's pixels: 1 where it is whole.
func oneCounts(patch int) (*Subject, []float32) {
	const side, size = 16, 4
	s := &Subject{Side: side, Patch: size}
	input := make([]float32, 3*side*side)
	s.Probabilities = func(inputs []float32, n int) []float64 {
		out := make([]float64, n)
		for i := range out {
			one := inputs[i*len(input) : (i+1)*len(input)]
			for c := range 3 {
				for y := range size {
					for x := range size {
						out[i] += float64(one[(c*side+patch/4*size+y)*side+patch%4*size+x]) / 48
					}
				}
			}
		}
		return out
	}
	for c := range 3 {
		for y := range size {
			for x := range size {
				input[(c*side+patch/4*size+y)*side+patch%4*size+x] = 1
			}
		}
	}
	return s, input
}

// TestMeasure: the map that shows the one patch that counts is better by both areas than its opposite, and one that has it in the
// middle lies between.
func TestMeasure(t *testing.T) {
	s, input := oneCounts(6)
	measure := func(rank float32) Areas {
		t.Helper()
		values := make([]float32, 16)
		for i := range values {
			values[i] = float32(i%3) / 10
		}
		values[6] = rank
		a, err := s.Measure(input, values, 16)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	best, middle, worst := measure(1), measure(0.1), measure(-1)
	if !(best.Insertion > middle.Insertion && middle.Insertion > worst.Insertion) || !(best.Deletion < middle.Deletion && middle.Deletion < worst.Deletion) {
		t.Errorf("best %+v, middle %+v, worst %+v", best, middle, worst)
	}
	if best.Insertion < 0.9 || worst.Deletion < 0.9 {
		t.Errorf("best %+v, worst %+v", best, worst)
	}
	if _, err := s.Measure(input, make([]float32, 9), 4); err == nil {
		t.Error("a map of another grid is measured")
	}
}

// TestIn: mass and pointing by hand.
func TestIn(t *testing.T) {
	s, _ := oneCounts(0)
	region := make([]bool, 256)
	for y := range 4 { // the left half of patch 5
		for x := range 2 {
			region[(4+y)*16+4+x] = true
		}
	}
	values := make([]float32, 16)
	values[5], values[9], values[0] = 3, 1, -5
	p, err := s.In(values, region)
	if err != nil || !p.Hit || math.Abs(p.Mass-0.375) > 1e-9 || math.Abs(p.Area-8.0/256) > 1e-9 {
		t.Errorf("%+v, %v", p, err)
	}
	values[9] = 4
	if p, _ = s.In(values, region); p.Hit {
		t.Error("a patch outside the region hits it")
	}
	if p, _ = s.In(make([]float32, 16), region); p.Hit || p.Mass != 0 {
		t.Errorf("a map of nothing: %+v", p)
	}
	if _, err := s.In(values, region[1:]); err == nil {
		t.Error("a region of another size is taken")
	}
}

// TestRank: Spearman's correlation, with ties by hand: ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3 reversed.
func TestRank(t *testing.T) {
	a := []float32{1, 2, 2, 9}
	if r := Rank(a, []float32{1, 4, 4, 100}); math.Abs(r-1) > 1e-12 {
		t.Errorf("%v, expected 1", r)
	}
	if r, want := Rank(a, []float32{4, 3, 2, 1}), -math.Sqrt(0.9); math.Abs(r-want) > 1e-12 {
		t.Errorf("%v, expected %v", r, want)
	}
	if r := Rank(a, make([]float32, 4)); r != 0 {
		t.Errorf("%v with a constant", r)
	}
}

// TestBlurAndShift: a blur keeps one colour and the sum in the middle; a shift moves.
func TestBlurAndShift(t *testing.T) {
	flat := slices.Repeat([]float32{0.5}, 3*64)
	for _, v := range Blur(flat, 8, 2) {
		if math.Abs(float64(v)-0.5) > 1e-6 {
			t.Fatalf("%v", v)
		}
	}
	x := make([]float32, 3*64)
	x[3*8+3] = 1
	if b := Blur(x, 8, 1); b[3*8+3] > 0.2 || b[3*8+3] < b[3*8+5] || b[64+3*8+3] != 0 {
		t.Errorf("%v", b[:64])
	}
	if s := Shift(x, 8, 1, 2); s[5*8+4] != 1 || s[3*8+3] != 0 {
		t.Error("not moved")
	}
}
