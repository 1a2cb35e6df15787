package vit

import (
	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// trainable is an adapter in training: its backward pass accumulates the gradients of A and B.
type trainable struct {
	deltas  []compute.Delta // ordered by site, in float32
	grads   []deltaGrad     // parallel to deltas
	dropout dropout
	u, du   []float32
	xm      []float32 // masked input, if dropout is used
}

type deltaGrad struct{ a, b []float32 }

func newTrainable(deltas []compute.Delta, rate float32, seed uint64) *trainable {
	t := &trainable{deltas: deltas, dropout: dropout{rate: rate, seed: seed}}
	for _, d := range deltas {
		t.grads = append(t.grads, deltaGrad{make([]float32, d.A.Len()), make([]float32, d.B.Len())})
	}
	return t
}

// params returns A and B of every site with their gradients.
func (t *trainable) params() []compute.Param {
	var ps []compute.Param
	for i, d := range t.deltas {
		name, a, b := d.Site.String(), d.A.F32, d.B.F32
		ps = append(ps,
			compute.Param{Name: name + ".A", Shape: []int{d.Rank, len(a) / d.Rank}, Data: a, Grad: t.grads[i].a, Decay: true, LRScale: 1},
			compute.Param{Name: name + ".B", Shape: []int{len(b) / d.Rank, d.Rank}, Data: b, Grad: t.grads[i].b, Decay: true, LRScale: 1})
	}
	return ps
}

func (t *trainable) Has(site Site) bool { return compute.DeltaAt(t.deltas, site) != nil }

// Forward adds Scale * (x Aᵀ) Bᵀ to y.
func (t *trainable) Forward(ex *kernel.Exec, site Site, rows span, x, y kernel.Mat) {
	d := compute.DeltaAt(t.deltas, site)
	u := grow(&t.u, x.Rows, d.Rank)
	ex.GemmMat(u, t.masked(site, rows, x), kernel.View(d.A.F32, d.Rank, x.Cols), true, d.Scale, false)
	ex.GemmMat(y, u, kernel.View(d.B.F32, y.Cols, d.Rank), true, 1, true)
}

// Backward computes, for u = s x Aᵀ and y += u Bᵀ: dB += dyᵀ u; du = s dy B; dA += duᵀ x; dx += du A.
func (t *trainable) Backward(ex *kernel.Exec, site Site, rows span, x, dy, dx kernel.Mat) {
	d, g := t.find(site)
	in, out := x.Cols, dy.Cols
	A, B := kernel.View(d.A.F32, d.Rank, in), kernel.View(d.B.F32, out, d.Rank)
	xm := t.masked(site, rows, x)
	u := grow(&t.u, x.Rows, d.Rank)
	ex.GemmMat(u, xm, A, true, d.Scale, false)
	ex.GemmTN(kernel.View(g.b, out, d.Rank), dy, u, rows.Each)
	du := grow(&t.du, x.Rows, d.Rank)
	ex.GemmMat(du, dy, B, false, d.Scale, false)
	ex.GemmTN(kernel.View(g.a, d.Rank, in), du, xm, rows.Each)
	if dx.Data == nil {
		return
	}
	if !t.dropout.active() {
		ex.GemmMat(dx, du, A, false, 1, true)
		return
	}
	dm := grow(&t.xm, x.Rows, in)
	ex.GemmMat(dm, du, A, false, 1, false)
	t.dropout.mask(site, rows, dm, dm)
	for r := range dx.Rows {
		kernel.AddTo(dx.Row(r), dm.Row(r))
	}
}

func (t *trainable) find(site Site) (*compute.Delta, deltaGrad) {
	for i := range t.deltas {
		if t.deltas[i].Site == site {
			return &t.deltas[i], t.grads[i]
		}
	}
	panic("vit: no delta at " + site.String())
}

// masked returns x, or a copy with dropout applied.
func (t *trainable) masked(site Site, rows span, x kernel.Mat) kernel.Mat {
	if !t.dropout.active() {
		return x
	}
	m := grow(&t.xm, x.Rows, x.Cols)
	t.dropout.mask(site, rows, m, x)
	return m
}

// dropout zeroes a fraction of the inputs of A during training and scales the rest (arXiv 2106.09685, section
// 4.2 and appendix). The mask is a hash of seed, step, site, image and row within the step's batch, and column.
// So the backward pass, a resumed run, and a batch that is cut into other passes all get the same mask.
type dropout struct {
	rate     float32
	seed     uint64
	step     uint64
	image    uint64 // index in the step's batch of the first image of the pass
	training bool
}

func (d *dropout) active() bool { return d.training && d.rate > 0 }

func (d *dropout) mask(site Site, rows span, dst, x kernel.Mat) {
	keep := 1 / (1 - d.rate)
	limit := uint64(float64(d.rate) * (1 << 32))
	base := mix(d.seed ^ mix(d.step<<16^uint64(site.Block)<<8^uint64(site.Kind)))
	base += d.image * uint64(rows.Each)
	for r := range x.Rows {
		in, out := x.Row(r), dst.Row(r)
		h := mix(base + uint64(r))
		for c, v := range in {
			if mix(h+uint64(c))>>32 < limit {
				out[c] = 0
			} else {
				out[c] = v * keep
			}
		}
	}
}

// mix is the finalizer of splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
