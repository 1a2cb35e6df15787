package serve

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"melo.example/melo/imaging"
	"melo.example/melo/lora/adapterfile"
)

// TestMirror: adapters that want it answer with the mean over the image and its mirror image, in batches with others that
// do not, with and without matrices, on shared inputs; and the others answer as ever.
func TestMirror(t *testing.T) {
	dir := t.TempDir()
	files := map[string]*adapterfile.File{}
	for i := range 9 {
		name := fmt.Sprintf("task %d", i)
		f := someAdapter(uint64(i))
		f.Meta.Mirror = i%3 != 0
		if i%2 == 0 {
			f.Adapter.Deltas = nil // the bare base: its rows are shared
		}
		files[name] = f
		publish(t, dir, name, f)
	}
	e := newEngine(t, 2, Config{Adapters: dir})
	var group sync.WaitGroup
	for seed := range uint64(4) {
		group.Go(func() {
			var requests []Request
			var want [][]float32
			x := tensor(seed)
			for name, f := range files {
				requests = append(requests, Request{Name: name, Input: Input{Tensor: x}})
				y := alone(e.Model(), f.Adapter, x)
				if f.Meta.Mirror {
					for k, v := range alone(e.Model(), f.Adapter, mirrored(x, e.Side())) {
						y[k] = (y[k] + v) / 2
					}
				}
				want = append(want, y)
			}
			answers, errs := e.Predict(t.Context(), requests...)
			for i, a := range answers {
				if errs[i] != nil || !slices.Equal(a.Logits, want[i]) {
					t.Errorf("%s: %v, %v, want %v", requests[i].Name, a.Logits, errs[i], want[i])
				}
			}
		})
	}
	group.Wait()
}

// mirrored is the mirror image of an input.
func mirrored(x []float32, side int) []float32 {
	x = slices.Clone(x)
	imaging.Mirror(x, side)
	return x
}
