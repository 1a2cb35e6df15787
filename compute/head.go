package compute

import "melo.example/melo/internal/kernel"

// Head is a linear classifier on pooled features: W [classes, features] row-major, Bias [classes].
type Head struct {
	Classes, Features int
	W, Bias           []float32
}

// Logits sets dst [n, Classes] = x Wᵀ + Bias for pooled features x [n, Features]. Each image is computed
// independently, so that heads of different sizes can share a batch.
func (h *Head) Logits(dst, x []float32) {
	for i := range len(x) / h.Features {
		row, f := dst[i*h.Classes:], x[i*h.Features:(i+1)*h.Features]
		for c := range h.Classes {
			row[c] = kernel.Dot(h.W[c*h.Features:(c+1)*h.Features], f) + h.Bias[c]
		}
	}
}

// Backward adds the gradients of W and Bias to gw and gb, given dlogits [n, Classes] and features x [n,
// Features]. If dx [n, Features] is not nil, it is set to the gradient of x. Images are summed in order.
func (h *Head) Backward(gw, gb, dx, dlogits, x []float32) {
	for i := range len(x) / h.Features {
		d, f := dlogits[i*h.Classes:(i+1)*h.Classes], x[i*h.Features:(i+1)*h.Features]
		for c := range h.Classes {
			kernel.Axpy(gw[c*h.Features:(c+1)*h.Features], f, d[c])
			gb[c] += d[c]
		}
		if dx == nil {
			continue
		}
		g := dx[i*h.Features : (i+1)*h.Features]
		clear(g)
		for c := range h.Classes {
			kernel.Axpy(g, h.W[c*h.Features:(c+1)*h.Features], d[c])
		}
	}
}
