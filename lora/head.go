package lora

import (
	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit"
)

// headGrad accumulates the gradients gw, gb of a head from dlogits and features x, and, if dx has data,
// sets dx = dlogits W. Images are summed in order.
func headGrad(h *vit.Head, gw, gb []float32, dx, dlogits, x kernel.Mat) {
	for i := range x.Rows {
		d, f := dlogits.Row(i), x.Row(i)
		for c := range h.Classes {
			kernel.Axpy(gw[c*h.Features:(c+1)*h.Features], f, d[c])
			gb[c] += d[c]
		}
		if dx.Data == nil {
			continue
		}
		g := dx.Row(i)
		clear(g)
		for c := range h.Classes {
			kernel.Axpy(g, h.W[c*h.Features:(c+1)*h.Features], d[c])
		}
	}
}
