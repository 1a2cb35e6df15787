package kernel

import (
	"math"
	"testing"
)

// TestSelfTestNotices: what SelfTest looks for is an error, and nothing is taken as equal for want of an order.
func TestSelfTestNotices(t *testing.T) {
	want := []float32{1, -20, 3}
	for _, got := range [][]float32{{1, -20, 3.001}, {1, 20, 3}, {float32(math.NaN()), -20, 3}, {1, float32(math.Inf(-1)), 3}} {
		if agree("test", got, want) == nil {
			t.Errorf("%v agrees with %v", got, want)
		}
	}
	if err := agree("test", []float32{1, -20, 3.00001}, want); err != nil {
		t.Error(err)
	}
}
