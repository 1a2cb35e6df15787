package imaging

import (
	"slices"
	"testing"
)

func TestMirror(t *testing.T) {
	x := []float32{1, 2, 3, 4, 5, 6, 7, 8, 9}
	Mirror(x, 3)
	if want := []float32{3, 2, 1, 6, 5, 4, 9, 8, 7}; !slices.Equal(x, want) {
		t.Errorf("%v, want %v", x, want)
	}
	Mirror(x, 3)
	if !slices.IsSorted(x) {
		t.Errorf("mirrored twice: %v", x)
	}
}
