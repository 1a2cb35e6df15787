package vit

import "melo.example/melo/internal/kernel"

// Logits sets dst [n, Classes] = x Wᵀ + Bias for pooled features x [n, Features]. Each image is computed
// alone, so that heads of different sizes can share a batch.
func (h *Head) Logits(dst, x kernel.Mat) {
	for i := range x.Rows {
		row, f := dst.Row(i), x.Row(i)
		for c := range h.Classes {
			row[c] = kernel.Dot(h.W[c*h.Features:(c+1)*h.Features], f) + h.Bias[c]
		}
	}
}

// Logits applies the base's own head to features x [n, Features()]: dst [n, Classes]. A distilled DeiT has
// two heads, one a token, whose logits are averaged (arXiv 2012.12877, section 3.2). The model must have
// a head.
func (m *Model) Logits(dst, x kernel.Mat) {
	if m.HeadDist == nil {
		m.Head.Logits(dst, x)
		return
	}
	other := kernel.NewMat(dst.Rows, dst.Cols)
	m.Head.Logits(dst, x.ColRange(0, m.Width))
	m.HeadDist.Logits(other, x.ColRange(m.Width, 2*m.Width))
	for i := range dst.Rows {
		kernel.AddTo(dst.Row(i), other.Row(i))
		kernel.Scale(dst.Row(i), dst.Row(i), 0.5)
	}
}
