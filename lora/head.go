package lora

import (
	"melo/internal/kernel"
	"melo/vit"
)

// Logits sets dst [n, classes] = x Wᵀ + Bias for pooled features x [n, features]. Each image is computed
// alone, so that heads of different sizes can share a batch.
func Logits(h *vit.Head, dst, x kernel.Mat) {
	for i := range x.Rows {
		row, f := dst.Row(i), x.Row(i)
		for c := range h.Classes {
			row[c] = kernel.Dot(h.W[c*h.Features:(c+1)*h.Features], f) + h.Bias[c]
		}
	}
}

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
