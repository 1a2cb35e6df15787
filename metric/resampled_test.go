package metric

import (
	"math"
	"testing"
)

// TestCorrectedResampled: the values are those of the formula in scipy, with Student's distribution of nine degrees of freedom.
func TestCorrectedResampled(t *testing.T) {
	e := CorrectedResampled([]float64{0.01, 0.03, -0.005, 0.02, 0.018, 0.002, 0.031, -0.011, 0.024, 0.009}, 0.25, 0.95)
	for what, v := range map[string][2]float64{"mean": {e.Value, 0.0128}, "low": {e.Low, -0.006406293091193048}, "high": {e.High, 0.03200629309119305}, "p": {e.P, 0.1659250491338355}} {
		if math.Abs(v[0]-v[1]) > 1e-9 {
			t.Errorf("%s %v, want %v", what, v[0], v[1])
		}
	}
	if !e.Bounded || !e.Defined {
		t.Errorf("%+v", e)
	}
	for _, list := range [][]float64{{0.1}, {0.1, 0.1, 0.1}} {
		if e := CorrectedResampled(list, 0.25, 0.95); e.Bounded || !e.Defined || math.Abs(e.Value-0.1) > 1e-12 {
			t.Errorf("%v: %+v", list, e)
		}
	}
	if e := CorrectedResampled(nil, 0.25, 0.95); e.Defined {
		t.Errorf("none: %+v", e)
	}
}
