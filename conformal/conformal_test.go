package conformal

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// draw makes n images of a model that is right about its probabilities after a temperature, or not at all.
func draw(rng *rand.Rand, n, labels int, exclusive bool, sharp float64) (prob []float64, truth []bool) {
	for range n {
		row, yes := make([]float64, labels), make([]bool, labels)
		is := rng.IntN(labels)
		sum := 0.0
		for l := range row {
			z := rng.NormFloat64()
			if exclusive && l == is || !exclusive && rng.Float64() < 0.3 {
				yes[l], z = true, z+1.5
			}
			row[l] = math.Exp(sharp * z)
			sum += row[l]
		}
		for l := range row {
			if exclusive {
				row[l] /= sum
			} else {
				row[l] /= 1 + row[l]
			}
		}
		prob, truth = append(prob, row...), append(truth, yes...)
	}
	return prob, truth
}

// TestCoverage: over many calibrations sets hold the truth of new images as often as they say, whether or not the probabilities are
// any good, for labels of their own and for each label of several.
func TestCoverage(t *testing.T) {
	names := []string{"a", "b", "c"}
	for _, exclusive := range []bool{true, false} {
		for _, n := range []int{30, 200, 1000} {
			for _, sharp := range []float64{0.3, 3} {
				rng := rand.New(rand.NewPCG(7, uint64(n)))
				held, all := 0, 0
				for range 60 {
					p, y := draw(rng, n, 3, exclusive, sharp)
					c := New(p, y, 3, exclusive)
					if err := c.Validate(3, exclusive); err != nil {
						t.Fatal(err)
					}
					p, y = draw(rng, 100, 3, exclusive, sharp)
					for at := 0; at < len(p); at += 3 {
						s := c.Of(p[at:at+3], names, 0.9)
						for l := range names {
							in := slices.Contains(s.Labels, names[l])
							switch {
							case exclusive && y[at+l]:
								all++
								if in {
									held++
								}
							case !exclusive:
								all++
								if y[at+l] && in || !y[at+l] && !slices.Contains(s.Sure, names[l]) {
									held++
								}
							}
						}
					}
				}
				// At least the coverage, up to four standard errors of the simulation; and not everything: sets are of use.
				share := float64(held) / float64(all)
				if se := math.Sqrt(0.09/float64(all)) + 0.3/math.Sqrt(60*float64(n)); share < 0.9-4*se {
					t.Errorf("exclusive %v, %d images, sharpness %v: %.4f of %d held, expected 0.9", exclusive, n, sharp, share, all)
				}
				if n >= 200 && share > 0.97 {
					t.Errorf("exclusive %v, %d images, sharpness %v: %.4f held: sets are too large", exclusive, n, sharp, share)
				}
			}
		}
	}
}

// TestQuantile: ranks by hand, everything where there are too few images, thinned groups never below what they stand for.
func TestQuantile(t *testing.T) {
	g := NewGroup([]float64{0.5, 0.1, 0.3, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9})
	for coverage, want := range map[float64]float64{0.9: 0.9, 0.8: 0.8, 0.5: 0.5, 0.1: 0.1, 0.91: 1} {
		if got := g.Quantile(coverage); math.Abs(got-want) > 1e-9 {
			t.Errorf("coverage %v: %v, want %v", coverage, got, want)
		}
	}
	if (&Group{}).Quantile(0.5) != 1 {
		t.Error("no images leave something out")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		scores := make([]float64, 1+rng.IntN(700))
		for i := range scores {
			scores[i] = rng.Float64()
		}
		g := NewGroup(slices.Clone(scores))
		slices.Sort(scores)
		for _, coverage := range []float64{0.5, 0.8, 0.9, 0.95, 0.99} {
			exact := 1.0
			if r := int(math.Ceil(float64(len(scores)+1)*coverage - 1e-9)); r <= len(scores) {
				exact = scores[r-1]
			}
			if got := g.Quantile(coverage); got < exact-1e-12 || len(g.Scores) > MaxScores {
				t.Fatalf("%d scores, coverage %v: %v, exactly %v", len(scores), coverage, got, exact)
			}
		}
	}
}

// TestOf: the most probable label is always there, a certain one is sure, and a label whose absence cannot be excluded is not.
func TestOf(t *testing.T) {
	names := []string{"a", "b"}
	c := &Calibration{All: &Group{N: 99, Scores: []float64{0.2}}, Labels: []Group{{N: 50, Scores: []float64{0.6}}, {}}}
	if s := c.Of([]float64{0.5, 0.5}, names, 0.9); !slices.Equal(s.Labels, []string{"a"}) || !slices.Equal(s.Sure, []string{"a"}) {
		t.Errorf("%+v", s) // b needs 0.8
	}
	if s := c.Of([]float64{0.45, 0.55}, names, 0.9); !slices.Equal(s.Labels, names) || len(s.Sure) != 0 {
		t.Errorf("%+v", s)
	}
	m := &Calibration{Labels: []Group{{N: 99, Scores: []float64{0.5}}, {N: 99, Scores: []float64{0.5}}}, Absent: []Group{{N: 99, Scores: []float64{0.7}}, {N: 99, Scores: []float64{0.7}}}}
	if s := m.Of([]float64{0.6, 0.8}, names, 0.9); !slices.Equal(s.Labels, names) || !slices.Equal(s.Sure, []string{"b"}) {
		t.Errorf("%+v", s)
	}
	if s := m.Of([]float64{0.4, 0.4}, names, 0.9); len(s.Labels) != 0 || s.Labels == nil || s.Sure == nil {
		t.Errorf("%+v", s)
	}
}

// TestNew: the scores of labels by hand: what a present label lacks, and what an absent one has.
func TestNew(t *testing.T) {
	prob, truth := []float64{0.9, 0.2, 0.7, 0.4, 0.1, 0.6}, []bool{true, false, true, true, false, true}
	near := func(g Group, want ...float64) bool {
		return g.N == len(want) && slices.EqualFunc(g.Scores, want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })
	}
	c := New(prob, truth, 2, false)
	if c.All != nil || !near(c.Labels[0], 0.1, 0.3) || !near(c.Labels[1], 0.4, 0.6) || !near(c.Absent[0], 0.1) || !near(c.Absent[1], 0.2) {
		t.Errorf("each by itself: %+v", c)
	}
	c = New([]float64{0.9, 0.1, 0.3, 0.7, 0.6, 0.4}, []bool{true, false, false, true, false, true}, 2, true)
	if c.Absent != nil || !near(*c.All, 0.1, 0.3, 0.6) || !near(c.Labels[0], 0.1) || !near(c.Labels[1], 0.3, 0.6) {
		t.Errorf("one of them: %+v", c)
	}
	if New(nil, nil, 2, true) != nil || New(prob, truth[1:], 2, true) != nil {
		t.Error("a calibration of nothing")
	}
}

// TestValidate: what a file may claim and is not so is refused.
func TestValidate(t *testing.T) {
	good := Group{N: 3, Scores: []float64{0.1, 0.2, 0.3}}
	for name, c := range map[string]*Calibration{
		"labels":      {All: &good, Labels: []Group{good}},
		"no all":      {Labels: []Group{good, good}},
		"order":       {All: &Group{N: 2, Scores: []float64{0.2, 0.1}}, Labels: []Group{good, good}},
		"range":       {All: &Group{N: 2, Scores: []float64{0.2, 1.1}}, Labels: []Group{good, good}},
		"NaN":         {All: &Group{N: 1, Scores: []float64{math.NaN()}}, Labels: []Group{good, good}},
		"more scores": {All: &Group{N: 1, Scores: []float64{0.1, 0.2}}, Labels: []Group{good, good}},
		"no scores":   {All: &Group{N: 1}, Labels: []Group{good, good}},
		"too many":    {All: &Group{N: 1000, Scores: make([]float64, MaxScores+1)}, Labels: []Group{good, good}},
		"absent":      {All: &good, Labels: []Group{good, good}, Absent: []Group{good, good}},
	} {
		if c.Validate(2, true) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := (&Calibration{All: &good, Labels: []Group{good, {}}}).Validate(2, true); err != nil {
		t.Error(err)
	}
	if New(nil, nil, 2, true) != nil {
		t.Error("a calibration of nothing")
	}
}
