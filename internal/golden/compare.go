package golden

import (
	"fmt"
	"math"
	"testing"
)

// Diff measures the difference between a result and the expected values.
type Diff struct {
	// MaxAbs is the largest absolute difference; NaN counts as +Inf.
	MaxAbs float64
	// RelL2 is |got - want| / |want| in the Euclidean norm, or |got| if want is zero.
	RelL2 float64
	// Scale is the largest |want|.
	Scale float64
	// First is the first index with a difference above tol * Scale (tol if Scale is 0), or -1.
	First int
}

// Compare compares got with want, which must have the same length.
func Compare(got, want []float32, tol float64) (Diff, error) {
	if len(got) != len(want) {
		return Diff{}, fmt.Errorf("golden: %d values, expected %d", len(got), len(want))
	}
	d := Diff{First: -1}
	for _, w := range want {
		d.Scale = max(d.Scale, math.Abs(float64(w)))
	}
	bound := tol
	if d.Scale > 0 {
		bound *= d.Scale
	}
	var diff2, want2 float64
	for i, w := range want {
		e := math.Abs(float64(got[i]) - float64(w))
		if math.IsNaN(e) {
			e = math.Inf(1)
		}
		if e > bound && d.First < 0 {
			d.First = i
		}
		d.MaxAbs = max(d.MaxAbs, e)
		diff2 += e * e
		want2 += float64(w) * float64(w)
	}
	d.RelL2 = math.Sqrt(diff2)
	if want2 > 0 {
		d.RelL2 /= math.Sqrt(want2)
	}
	return d, nil
}

// Check compares got with the tensor name. It fails the test if the relative L2 error is above tol, or an
// element differs by more than tol times the largest element of the tensor.
func (c *Case) Check(t testing.TB, name string, got []float32, tol float64) Diff {
	t.Helper()
	return CheckSlices(t, c.Dir+": "+name, got, c.Data(name), tol)
}

// CheckSlices is Check for any two slices. what is their name in messages.
func CheckSlices(t testing.TB, what string, got, want []float32, tol float64) Diff {
	t.Helper()
	d, err := Compare(got, want, tol)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return d
	}
	switch {
	case d.First >= 0:
		t.Errorf("%s: max abs %.3g, relative L2 %.3g, tolerance %.3g: first at %d: got %v, want %v",
			what, d.MaxAbs, d.RelL2, tol, d.First, got[d.First], want[d.First])
	case d.RelL2 > tol:
		t.Errorf("%s: max abs %.3g, relative L2 %.3g, tolerance %.3g", what, d.MaxAbs, d.RelL2, tol)
	}
	return d
}
