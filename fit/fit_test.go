package fit

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// drawn returns n summaries whose numbers vary together along three directions.
func drawn(seed uint64, n, size int, shift float64) *Sample {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := &Sample{Size: size}
	for range n {
		a, b, c := rng.NormFloat64(), rng.NormFloat64(), rng.NormFloat64()
		for j := range size {
			x := 3 + float64(j%7) + 2*a*math.Sin(float64(j)) + b*math.Cos(3*float64(j)) + 0.5*c*float64(j%2) + 0.2*rng.NormFloat64() + shift*float64(j%3)
			s.X = append(s.X, float32(x))
		}
	}
	return s
}

// The stated share of images of the same kind is unlike, on images that nothing was chosen on; images of another kind are,
// and so is what is no number.
func TestRefusesTheStatedShare(t *testing.T) {
	const size = 40
	d, chosen, err := Estimate(drawn(1, 400, size, 0), drawn(2, 500, size, 0), DefaultRefusal)
	if err != nil {
		t.Fatal(err)
	}
	if chosen.Held || chosen.Images != 500 || chosen.Expected > DefaultRefusal || chosen.Expected < 0.005 {
		t.Errorf("chosen %+v", chosen)
	}
	unlike, mean, fresh := 0, 0.0, drawn(3, 4000, size, 0)
	for i := range fresh.N() {
		v := d.Of(fresh.row(i))
		mean += v.Score / float64(fresh.N())
		if v.Unlike {
			unlike++
		}
	}
	// The share varies as that of the 500 images of the threshold: three standard deviations.
	if share := float64(unlike) / 4000; share < 0.001 || share > 0.025 {
		t.Errorf("%.4f of the same kind are unlike", share)
	}
	if mean < 0.8 || mean > 1.3 {
		t.Errorf("the mean score is %.3f, expected about 1", mean)
	}
	other := drawn(4, 200, size, 1)
	for i := range other.N() {
		if v := d.Of(other.row(i)); !v.Unlike || v.Percentile != 100 {
			t.Fatalf("an image of another kind: %+v", v)
		}
	}
	bad := append([]float32{}, fresh.row(0)...)
	bad[3] = float32(math.NaN())
	if v := d.Of(bad); !v.Unlike || v.Score != math.MaxFloat32 {
		t.Errorf("no number: %+v", v)
	}
}

// Where validation is too small, training images are held out in turn, whole groups, and the threshold holds as well.
func TestHeldOutTraining(t *testing.T) {
	const size = 40
	train := drawn(1, 400, size, 0)
	d, chosen, err := Estimate(train, drawn(2, 30, size, 0), DefaultRefusal)
	if err != nil || !chosen.Held || chosen.Images != 430 {
		t.Fatalf("chosen %+v, error %v", chosen, err)
	}
	fresh, unlike := drawn(3, 4000, size, 0), 0
	for i := range fresh.N() {
		if d.Of(fresh.row(i)).Unlike {
			unlike++
		}
	}
	if share := float64(unlike) / 4000; share < 0.0005 || share > 0.025 {
		t.Errorf("%.4f of the same kind are unlike", share)
	}
	train.Groups = make([]string, train.N())
	for i := range train.Groups {
		train.Groups[i] = string(rune('a' + i/40))
	}
	for k := range folds {
		in, out := division(train, k)
		if len(in)+len(out) != 400 || len(out) != 80 {
			t.Errorf("fold %d has %d and %d images", k, len(in), len(out))
		}
		seen := map[string]bool{}
		for _, i := range out {
			seen[train.Groups[i]] = true
		}
		for _, i := range in {
			if seen[train.Groups[i]] {
				t.Fatalf("fold %d: group %s is on both sides", k, train.Groups[i])
			}
		}
	}
	for i := range train.Groups {
		train.Groups[i] = "one"
	}
	if _, _, err := Estimate(train, nil, DefaultRefusal); err == nil || !strings.Contains(err.Error(), "one group") {
		t.Errorf("one group: error %v", err)
	}
	if _, _, err := Estimate(drawn(1, 9, size, 0), nil, DefaultRefusal); err == nil {
		t.Error("nine images were described")
	}
}

// With few images the threshold is the greatest score, and what is to be expected is said.
func TestFewImages(t *testing.T) {
	d, chosen, err := Estimate(drawn(1, 20, 30, 0), nil, DefaultRefusal)
	if err != nil {
		t.Fatal(err)
	}
	if chosen.Images != 20 || math.Abs(chosen.Expected-1.0/21) > 1e-9 || d.Threshold < float64(d.Scores[len(d.Scores)-1])-1e-3 {
		t.Errorf("chosen %+v, threshold %v, greatest %v", chosen, d.Threshold, d.Scores[len(d.Scores)-1])
	}
}

// A score is unlike above the threshold, not at it: the images that the threshold was chosen on are like themselves.
func TestThresholdItself(t *testing.T) {
	held := drawn(2, 500, 30, 0)
	d, chosen, err := Estimate(drawn(1, 400, 30, 0), held, DefaultRefusal)
	if err != nil {
		t.Fatal(err)
	}
	unlike, at := 0, false
	for i := range held.N() {
		v := d.Of(held.row(i))
		at = at || v.Score == d.Threshold && !v.Unlike
		if v.Unlike {
			unlike++
		}
	}
	// Of 501 places the threshold has the 496th.
	if !at || unlike != 4 || chosen.Images != 500 {
		t.Errorf("%d of %d images are unlike, the one of the threshold is like them: %v", unlike, chosen.Images, at)
	}
}

// The same images give the same description, within the bytes that it may take, whatever the width of the base.
func TestEstimateIsBoundedAndTheSame(t *testing.T) {
	for _, size := range []int{8, 384, 1536, 3072} {
		s := drawn(1, 60, size, 0)
		a, _, err := Estimate(s, nil, DefaultRefusal)
		if err != nil {
			t.Fatal(size, err)
		}
		b, _, _ := Estimate(s, nil, DefaultRefusal)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%d numbers: two descriptions differ", size)
		}
		full := &Description{Size: size, Mean: make([]float32, size), Scale: make([]float32, size), Scores: make([]float32, quantiles+1)}
		r := rankFor(size, 1<<20)
		full.Directions, full.Steps, full.Variances = make([]int8, r*size), make([]float32, r), make([]float32, r)
		if full.Bytes() > MaxBytes || r == 0 {
			t.Errorf("%d numbers: rank %d takes %d bytes", size, r, full.Bytes())
		}
	}
}

// Numbers that are constant in training, or images that are all the same, make no description that divides by zero.
func TestConstantImages(t *testing.T) {
	s := &Sample{Size: 4}
	for range 30 {
		s.X = append(s.X, 1, 2, 0, -5)
	}
	d, _, err := Estimate(s, nil, DefaultRefusal)
	if err != nil {
		if !strings.Contains(err.Error(), "fit:") {
			t.Error(err)
		}
		return
	}
	if v := d.Of([]float32{1, 2, 0, -5}); v.Unlike {
		t.Errorf("the same image: %+v", v)
	}
	if v := d.Of([]float32{9, 2, 0, -5}); !v.Unlike {
		t.Errorf("another image: %+v", v)
	}
}

func TestValidateRefuses(t *testing.T) {
	for name, change := range map[string]func(d *Description){
		"no scores":         func(d *Description) { d.Scores = nil },
		"short mean":        func(d *Description) { d.Mean = d.Mean[1:] },
		"nothing varies":    func(d *Description) { d.Scale[2] = 0 },
		"negative variance": func(d *Description) { d.Variances[0] = -1 },
		"infinite mean":     func(d *Description) { d.Mean[1] = float32(math.Inf(1)) },
		"descending scores": func(d *Description) { d.Scores[1] = d.Scores[0] - 1 },
		"no threshold":      func(d *Description) { d.Threshold = 0 },
	} {
		d, _, err := Estimate(drawn(1, 100, 12, 0), nil, DefaultRefusal)
		if err != nil {
			t.Fatal(err)
		}
		change(d)
		if d.Validate() == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	var e *UnlikeError
	if !errors.As(error(&UnlikeError{Verdict{true, 9.5, 100}}), &e) || !strings.Contains(e.Error(), "9.5") {
		t.Errorf("%v", e)
	}
}
