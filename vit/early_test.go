package vit

import (
	"slices"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// Summaries are of what enters the block, whatever the parts in which a batch passes; features stay what they are, and the
// steady state allocates nothing.
func TestEarlySummaries(t *testing.T) {
	for name, c := range families() {
		t.Run(name, func(t *testing.T) {
			const n = 5
			pool := testPool(2, t.Cleanup)
			m := randomModel(pool, c, 1)
			images := randomImages(n, &c, 3)
			f := &features{engine: newEngine(m, pool, n, c.Depth)}
			want := slices.Clone(f.Features(images, n))
			block := compute.MiddleBlock(&c)
			if block != 1 {
				t.Fatalf("the middle is block %d", block)
			}
			var wanted []float32
			f.Tap = func(stage string, x kernel.Mat) {
				if stage == "block.0" {
					for i := range n {
						rows := x.RowRange(i*c.Tokens(), (i+1)*c.Tokens())
						if c.Class {
							wanted = append(wanted, rows.Row(0)...)
						}
						mean := make([]float32, c.Width)
						m.meanPatches(mean, rows)
						wanted = append(wanted, mean...)
					}
				}
			}
			f.Features(images, n)
			f.Tap = nil
			f.KeepEarly(block)
			for _, pass := range []int{1, 2, 5} {
				f.LimitPass(pass)
				if !slices.Equal(f.Features(images, n), want) {
					t.Errorf("in parts of %d: features differ", pass)
				}
				if got := f.EarlyRows(); !slices.Equal(got, wanted) {
					t.Errorf("in parts of %d: summaries differ", pass)
				}
				if got := f.EarlyOnly(images, n); !slices.Equal(got, wanted) {
					t.Errorf("in parts of %d: summaries of the first blocks alone differ", pass)
				}
			}
			if a := testing.AllocsPerRun(3, func() { f.Features(images, n); f.EarlyRows() }); a != 0 {
				t.Errorf("%v allocations a pass", a)
			}
			f.KeepEarly(-1)
			if !slices.Equal(f.Features(images, n), want) {
				t.Error("features differ after the summaries")
			}
		})
	}
}
