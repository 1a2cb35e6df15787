package vit

import (
	"math"
	"slices"
	"testing"

	"melo.example/melo/internal/kernel"
)

// TestRelationBatchEqualsSingles: an image's features do not depend on its neighbours or on the number
// of workers, to the last bit.
func TestRelationBatchEqualsSingles(t *testing.T) {
	for name, c := range families() {
		t.Run(name, func(t *testing.T) {
			const n = 5
			one, many := testPool(1, t.Cleanup), testPool(3, t.Cleanup)
			m := randomModel(one, c, 1)
			images := randomImages(n, &c, 2)
			batch := slices.Clone(newEngine(m, many, n, c.Depth).Forward(images, n, nil).Data)
			single := newEngine(m, one, 1, c.Depth)
			size := len(images) / n
			for i := range n {
				f := single.Forward(images[i*size:(i+1)*size], 1, nil)
				if !slices.Equal(f.Data, batch[i*f.Cols:(i+1)*f.Cols]) {
					t.Fatalf("image %d: alone and in a batch differ", i)
				}
			}
		})
	}
}

// TestRelationPruningChangesNothing: class-token-only work in the last block, kept or not kept
// activations, and taps all give the same bits.
func TestRelationPruningChangesNothing(t *testing.T) {
	for name, c := range families() {
		t.Run(name, func(t *testing.T) {
			pool := testPool(2, t.Cleanup)
			m := randomModel(pool, c, 1)
			// More images than tokens, so that compact and strided rows overlap if they share memory.
			n := c.Tokens() + 2
			images := randomImages(n, &c, 3)
			var want []float32
			for from := range c.Depth + 1 {
				for _, tap := range []bool{true, false} {
					e := newEngine(m, pool, n, from)
					if tap {
						e.Tap = func(string, kernel.Mat) {}
					}
					got := slices.Clone(e.Forward(images, n, nil).Data)
					if want == nil {
						want = got
					}
					if !slices.Equal(got, want) {
						t.Fatalf("from %d, tap %v: features differ", from, tap)
					}
				}
			}
		})
	}
}

// TestRelationPassesChangeNothing: a batch that goes through the blocks in parts gives the same bits, through Forward and
// through Prefix and ForwardFrom, also when a Tap asks for all rows afterwards.
func TestRelationPassesChangeNothing(t *testing.T) {
	for name, c := range families() {
		t.Run(name, func(t *testing.T) {
			const n = 5
			pool := testPool(2, t.Cleanup)
			m := randomModel(pool, c, 1)
			images := randomImages(n, &c, 3)
			e := newEngine(m, pool, n, c.Depth)
			e.LimitPass(n)
			want := slices.Clone(e.Forward(images, n, nil).Data)
			prefix := make([]float32, n*e.PrefixSize())
			for _, pass := range []int{1, 2, 4} {
				e.LimitPass(pass)
				if !slices.Equal(e.Forward(images, n, nil).Data, want) {
					t.Errorf("in parts of %d: features differ", pass)
				}
				clear(prefix)
				e.Prefix(prefix, images, n)
				if !slices.Equal(e.ForwardFrom(prefix, n, nil).Data, want) {
					t.Errorf("in parts of %d, from a prefix: features differ", pass)
				}
				rows := 0
				e.Tap = func(stage string, x kernel.Mat) {
					if stage == "block.0" {
						rows = x.Rows
					}
				}
				if !slices.Equal(e.Forward(images, n, nil).Data, want) || rows != n*c.Tokens() {
					t.Errorf("in parts of %d, then with a tap: features differ, or %d rows, expected %d", pass, rows, n*c.Tokens())
				}
				e.Tap = nil
			}
		})
	}
}

// TestFullGradients compares every weight's gradient with central differences of the loss, along a
// random direction per tensor.
func TestFullGradients(t *testing.T) {
	for name, c := range families() {
		t.Run(name, func(t *testing.T) {
			pool := testPool(2, t.Cleanup)
			ex := kernel.NewExec(pool)
			const n = 2
			f := newFull(ex, randomModel(pool, c, 1))
			e := newEngine(f.Model, pool, n, 0)
			e.EnableFull()
			images := randomImages(n, &c, 3)
			weights := randomImages(n, &c, 4)
			loss := func() float64 {
				f.Updated(ex)
				var l float64
				for i, v := range e.Forward(images, n, nil).Data {
					l += float64(v) * float64(weights[i])
				}
				return l
			}
			loss()
			e.Backward(kernel.View(weights, n, c.Features()), nil, &f.Grads)
			for _, p := range f.Params() {
				checkDirection(t, p.Name, p.Data, p.Grad, loss)
			}
		})
	}
}

// checkDirection compares <grad, u> with (loss(x+hu) - loss(x-hu)) / 2h, u the sign of the gradient, so
// that the terms add up instead of cancelling.
func checkDirection(t *testing.T, name string, x, grad []float32, loss func() float64) {
	t.Helper()
	const h = 2e-3
	old := slices.Clone(x)
	var want float64
	move := func(s float32) {
		for i, g := range grad {
			x[i] = old[i]
			if g != 0 {
				x[i] += s * float32(math.Copysign(1, float64(g)))
			}
		}
	}
	for _, g := range grad {
		want += math.Abs(float64(g))
	}
	want *= h
	// A float32 step is inexact for large tensors, so shrink it with the size of the sum.
	s := float32(h / math.Max(1, want*4))
	want = want / h * float64(s)
	move(s)
	up := loss()
	move(-s)
	down := loss()
	copy(x, old)
	got := (up - down) / 2
	// 2 %: third-order terms of the difference and float32 rounding of the loss, both checked to shrink
	// with better step sizes; a wrong formula is off by far more.
	if math.Abs(got-want) > 0.02*want+2e-4 {
		t.Errorf("%s: difference %.6g, gradient says %.6g", name, got, want)
	}
}

// TestSteadyStateAllocatesNothing: after the first pass neither forward nor backward allocates.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for name, c := range families() {
		t.Run(name, func(t *testing.T) {
			pool := testPool(2, t.Cleanup)
			ex := kernel.NewExec(pool)
			f := newFull(ex, randomModel(pool, c, 1))
			e := newEngine(f.Model, pool, 2, 0)
			e.EnableFull()
			images := randomImages(2, &c, 3)
			d := kernel.NewMat(2, c.Features())
			step := func() {
				e.Forward(images, 2, nil)
				e.Backward(d, nil, &f.Grads)
			}
			step()
			if a := testing.AllocsPerRun(5, step); a != 0 {
				t.Errorf("%v allocations a step", a)
			}
		})
	}
}
