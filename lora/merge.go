package lora

import (
	"slices"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit"
)

// Merge returns a model whose maps at a's sites are W + Scale*B*A, packed anew; everything else is shared
// with base, which stays as it is. So unmerging is going back to base, bit for bit.
func Merge(ex *kernel.Exec, base *vit.Model, a *Adapter) (*vit.Model, error) {
	if err := a.Check(&base.Config); err != nil {
		return nil, err
	}
	m := *base
	m.Blocks = slices.Clone(base.Blocks)
	if a.Head != nil {
		m.Head, m.HeadDist, m.Labels = a.Head, nil, nil
	}
	for b := range m.Blocks {
		blk := &m.Blocks[b]
		mergeLinear(ex, &blk.Q, a.Delta(vit.Site{Block: b, Kind: vit.Q}))
		mergeLinear(ex, &blk.KV, a.Delta(vit.Site{Block: b, Kind: vit.K}), a.Delta(vit.Site{Block: b, Kind: vit.V}))
		mergeLinear(ex, &blk.Proj, a.Delta(vit.Site{Block: b, Kind: vit.Proj}))
		mergeLinear(ex, &blk.FC1, a.Delta(vit.Site{Block: b, Kind: vit.FC1}))
		mergeLinear(ex, &blk.FC2, a.Delta(vit.Site{Block: b, Kind: vit.FC2}))
	}
	return &m, nil
}

// mergeLinear repacks l with the deltas of its consecutive, equally high parts; nil ones add nothing.
func mergeLinear(ex *kernel.Exec, l *vit.Linear, parts ...*Delta) {
	if !slices.ContainsFunc(parts, func(d *Delta) bool { return d != nil }) {
		return
	}
	w := make([]float32, l.In*l.Out)
	l.W.Unpack(w)
	out := l.Out / len(parts)
	for i, d := range parts {
		if d != nil {
			sub := kernel.View(w[i*out*l.In:], out, l.In)
			ex.GemmMat(sub, kernel.View(d.B, out, d.Rank), kernel.View(d.A, d.Rank, l.In), false, d.Scale, true)
		}
	}
	l.W = kernel.PackAs(ex, l.W.Elem(), w, l.Out, l.In)
}
