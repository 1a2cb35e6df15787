package vit

import (
	"testing"

	"melo.example/melo/internal/kernel"
)

// TestKeptBytes: what is said to be kept for a backward pass is what an engine makes room for, but for the padding of rows.
func TestKeptBytes(t *testing.T) {
	for kind := range goldenKinds {
		_, m, _ := openGolden(t, kind)
		for _, from := range []int{0, m.Depth - 1, m.Depth} {
			e := newEngine(m, m.workers, 1, from)
			bytes := 0
			for i := range e.keep {
				s := &e.keep[i]
				for _, x := range []kernel.Mat{s.in, s.mid, s.qkv, s.o, s.rounded, s.pre} {
					bytes += 4 * x.Rows * x.Cols
				}
				bytes += 4 * (len(s.lse) + len(s.st1.Mean)*4)
			}
			if got := KeptBytes(&m.Config, m.Precision, from); int(got) != bytes {
				t.Errorf("%s from block %d: %d bytes, expected %d", kind, from, got, bytes)
			}
		}
	}
}
