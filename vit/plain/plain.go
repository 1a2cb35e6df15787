// Package plain is the whole model as a textbook would write it: a Vision Transformer (arXiv 2010.11929) of any
// description (arch.Config), with low-rank adapters (arXiv 2106.09685), forward and backward. It computes in
// float64 with plain loops, one image at a time. Read it first. Package vit computes the same fast and is
// tested against it.
//
// The backward pass is a list of functions, the trail. Each step of the forward pass appends the function that
// propagates a gradient back through it. The backward pass calls them in reverse order.
package plain

import (
	"math"

	"melo.example/melo/compute"
	"melo.example/melo/vit/arch"
)

// Network is a description and its parameters.
type Network struct {
	Config arch.Config
	params map[string][]float64 // by the names of Config.Params
	grads  map[string][]float64 // gradients of params, summed over images

	deltas []delta // the current adapter, ordered by site
}

// delta is a low-rank update with the gradients of its two matrices.
type delta struct {
	compute.Delta
	a, b, da, db []float64
}

// matrix is a row-major matrix with one row per token, and its gradient of the same shape.
type matrix struct {
	rows, cols int
	x, d       []float64
}

func newMatrix(rows, cols int) *matrix {
	return &matrix{rows, cols, make([]float64, rows*cols), make([]float64, rows*cols)}
}

func (m *matrix) row(r int) []float64  { return m.x[r*m.cols : (r+1)*m.cols] }
func (m *matrix) grad(r int) []float64 { return m.d[r*m.cols : (r+1)*m.cols] }

// pass is the forward pass of one image. trail holds the steps of its backward pass.
type pass struct {
	*Network
	trail   []func()
	witness func() compute.Witness // observes the backward pass; nil if nothing does
	image   int                    // index of the image, passed to the witness
}

func (p *pass) back(step func()) { p.trail = append(p.trail, step) }

// features computes the pooled features of an image [3, side, side]. The returned function runs the backward
// pass: given the gradient of the features, it accumulates the gradients of all parameters and of the adapter.
func (n *Network) features(image []float32) (f []float64, backward func(df []float64)) {
	return (&pass{Network: n}).features(image)
}

func (p *pass) features(image []float32) (f []float64, backward func(df []float64)) {
	c := &p.Config
	x := p.embed(image)
	if c.PreNorm {
		x = p.layerNorm("norm_pre", x)
	}
	for b := range c.Depth {
		x = p.block(b, x)
	}
	if c.FinalNorm {
		x = p.layerNorm("norm", x)
	}
	y := p.pool(x)
	if c.PoolNorm {
		y = p.layerNorm("fc_norm", y)
	}
	return y.x, func(df []float64) {
		copy(y.d, df)
		for i := len(p.trail) - 1; i >= 0; i-- {
			p.trail[i]()
		}
	}
}

// embed cuts the image into patches, projects each patch, adds position embeddings and prepends class and
// register tokens.
func (p *pass) embed(image []float32) *matrix {
	c := &p.Config
	g, side, prefix := c.Grid(), c.Image, c.Prefix()
	patches := newMatrix(g*g, c.Channels*c.Patch*c.Patch)
	for i := range patches.rows {
		for j := range patches.cols { // channel, row and column within the patch
			ch, y, x := j/(c.Patch*c.Patch), j/c.Patch%c.Patch, j%c.Patch
			patches.row(i)[j] = float64(image[(ch*side+i/g*c.Patch+y)*side+i%g*c.Patch+x])
		}
	}
	tokens := p.linear("patch_embed", patches)
	x := newMatrix(c.Tokens(), c.Width)
	row := 0
	put := func(name string, k, n int) { // adds row k of a parameter to n rows of x
		for i := range n {
			p.addParam(name, (k+i)*c.Width, x, row+i)
		}
	}
	for _, token := range []struct {
		name string
		has  bool
	}{{"cls_token", c.Class}, {"dist_token", c.Dist}} {
		if token.has {
			put(token.name, 0, 1)
			if row < c.PositionPrefix() {
				put("pos_embed", row, 1)
			}
			row++
		}
	}
	put("reg_token", 0, c.Registers)
	row = prefix
	if !c.NoPosEmbed {
		put("pos_embed", c.PositionPrefix(), g*g)
	}
	for i, v := range tokens.x {
		x.x[prefix*c.Width+i] += v
	}
	p.back(func() { add(tokens.d, x.d[prefix*c.Width:]) })
	return x
}

// addParam adds the values of a parameter from index from on to a row of x.
func (p *pass) addParam(name string, from int, x *matrix, row int) {
	add(x.row(row), p.params[name][from:from+x.cols])
	p.back(func() { add(p.grads[name][from:from+x.cols], x.grad(row)) })
}

// block is attention followed by an MLP, each with a norm before it and a residual connection around it.
func (p *pass) block(b int, x *matrix) *matrix {
	c := &p.Config
	name := func(s string) string { return arch.BlockName(b, s) }

	h := p.layerNorm(name("norm1"), x)
	p.showNormed(b, h)
	q, k, v := p.linear(name("q"), h), p.linear(name("k"), h), p.linear(name("v"), h)
	p.rotate(q)
	p.rotate(k)
	o := p.attention(b, q, k, v)
	if c.AttnNorm {
		o = p.layerNorm(name("norm_attn"), o)
	}
	x = p.residual(x, p.linear(name("proj"), o), name("ls1"))

	h = p.layerNorm(name("norm2"), x)
	u := p.activate(p.linear(name("fc1"), h), c.SwiGLU)
	if c.MLPNorm {
		u = p.layerNorm(name("norm_mlp"), u)
	}
	return p.residual(x, p.linear(name("fc2"), u), name("ls2"))
}

// linear computes y = x Wᵀ + b + s (x Aᵀ) Bᵀ. The last term exists only at sites of the adapter.
func (p *pass) linear(name string, x *matrix) *matrix {
	w, bias := p.params[name+".weight"], p.params[name+".bias"]
	y := newMatrix(x.rows, len(w)/x.cols)
	d := p.deltaOf(name)
	for r := range y.rows {
		for o := range y.cols {
			y.row(r)[o] = dot(w[o*x.cols:(o+1)*x.cols], x.row(r))
			if bias != nil {
				y.row(r)[o] += bias[o]
			}
		}
		if d != nil {
			inner := d.inner(x.row(r))
			for o := range y.cols {
				y.row(r)[o] += float64(d.Scale) * dot(d.b[o*d.Rank:(o+1)*d.Rank], inner)
			}
		}
	}
	dw, dbias := p.grads[name+".weight"], p.grads[name+".bias"]
	p.back(func() {
		for r := range y.rows {
			for o, g := range y.grad(r) {
				addScaled(dw[o*x.cols:(o+1)*x.cols], x.row(r), g)
				addScaled(x.grad(r), w[o*x.cols:(o+1)*x.cols], g)
				if bias != nil {
					dbias[o] += g
				}
			}
			if d != nil {
				d.backward(x.row(r), x.grad(r), y.grad(r))
			}
		}
	})
	return y
}

func (p *pass) deltaOf(name string) *delta {
	for i := range p.deltas {
		if p.deltas[i].Site.String() == name {
			return &p.deltas[i]
		}
	}
	return nil
}

// inner returns A x.
func (d *delta) inner(x []float64) []float64 {
	u := make([]float64, d.Rank)
	for i := range u {
		u[i] = dot(d.a[i*len(x):(i+1)*len(x)], x)
	}
	return u
}

// backward is the backward step of y += s B (A x).
func (d *delta) backward(x, dx, dy []float64) {
	u, du := d.inner(x), make([]float64, d.Rank)
	for o, g := range dy {
		addScaled(d.db[o*d.Rank:(o+1)*d.Rank], u, float64(d.Scale)*g)
		addScaled(du, d.b[o*d.Rank:(o+1)*d.Rank], float64(d.Scale)*g)
	}
	for i, g := range du {
		addScaled(d.da[i*len(x):(i+1)*len(x)], x, g)
		addScaled(dx, d.a[i*len(x):(i+1)*len(x)], g)
	}
}

// layerNorm computes gain * (x - mean) / sqrt(variance + eps) + bias for each row (arXiv 1607.06450).
func (p *pass) layerNorm(name string, x *matrix) *matrix {
	gain, bias := p.params[name+".weight"], p.params[name+".bias"]
	y, unit, scale := newMatrix(x.rows, x.cols), newMatrix(x.rows, x.cols), make([]float64, x.rows)
	n := float64(x.cols)
	for r := range x.rows {
		mean, variance := 0.0, 0.0
		for _, v := range x.row(r) {
			mean += v / n
		}
		for _, v := range x.row(r) {
			variance += (v - mean) * (v - mean) / n
		}
		scale[r] = 1 / math.Sqrt(variance+float64(p.Config.Eps))
		for i, v := range x.row(r) {
			unit.row(r)[i] = (v - mean) * scale[r]
			y.row(r)[i] = gain[i]*unit.row(r)[i] + bias[i]
		}
	}
	dgain, dbias := p.grads[name+".weight"], p.grads[name+".bias"]
	p.back(func() {
		for r := range x.rows {
			mean, along := 0.0, 0.0 // the mean of the gradient of unit, and its component along unit
			for i, g := range y.grad(r) {
				dgain[i] += g * unit.row(r)[i]
				dbias[i] += g
				mean += g * gain[i] / n
				along += g * gain[i] * unit.row(r)[i] / n
			}
			for i, g := range y.grad(r) {
				x.grad(r)[i] += scale[r] * (g*gain[i] - mean - along*unit.row(r)[i])
			}
		}
	})
	return y
}

// rotate applies rotary position embedding: it rotates pairs of values of each head by the angles of the
// token's position (arXiv 2104.09864).
func (p *pass) rotate(x *matrix) {
	c := &p.Config
	if c.Rotary == arch.RotaryNone {
		return
	}
	cos, sin := c.Rotations()
	half := c.HeadDim() / 2
	turn := func(rows func(int) []float64, sign float64) {
		for r := c.Prefix(); r < x.rows; r++ {
			for h := range c.Heads {
				head := rows(r)[h*c.HeadDim() : (h+1)*c.HeadDim()]
				for i := range half {
					a, b := c.RotaryPair(i)
					co, si := cos[(r-c.Prefix())*half+i], sign*sin[(r-c.Prefix())*half+i]
					head[a], head[b] = head[a]*co-head[b]*si, head[b]*co+head[a]*si
				}
			}
		}
	}
	turn(x.row, 1)
	p.back(func() { turn(x.grad, -1) })
}

// attention computes softmax(q kᵀ / sqrt(dim) + bias) v for each head of block b, or of attention pooling
// (arXiv 1706.03762).
func (p *pass) attention(b int, q, k, v *matrix) *matrix {
	c := &p.Config
	dim, scale := c.HeadDim(), 1/math.Sqrt(float64(c.HeadDim()))
	o := newMatrix(q.rows, q.cols)
	show := p.showAttention(b, c.Heads, q.rows, k.rows)
	for h := range c.Heads {
		of := func(row []float64) []float64 { return row[h*dim : (h+1)*dim] }
		for i := range q.rows {
			prob := make([]float64, k.rows)
			for j := range prob {
				prob[j] = scale * dot(of(q.row(i)), of(k.row(j)))
				p.bias(b, i, j, func(name string, at int) { prob[j] += p.params[name][at*c.Heads+h] })
			}
			softmax(prob)
			for j, w := range prob {
				addScaled(of(o.row(i)), of(v.row(j)), w)
			}
			p.back(func() {
				do, mean := of(o.grad(i)), 0.0
				for j, w := range prob {
					addScaled(of(v.grad(j)), do, w)
					mean += w * dot(do, of(v.row(j)))
				}
				for j, w := range prob {
					show(h, i, j, w, dot(do, of(v.row(j))))
					ds := w * (dot(do, of(v.row(j))) - mean)
					p.bias(b, i, j, func(name string, at int) { p.grads[name][at*c.Heads+h] += ds })
					addScaled(of(q.grad(i)), of(k.row(j)), scale*ds)
					addScaled(of(k.grad(j)), of(q.row(i)), scale*ds)
				}
			})
		}
	}
	return o
}

// bias calls use for each table of relative positions of block b, with the index of the query and key pair in
// it.
func (p *pass) bias(b, query, key int, use func(name string, at int)) {
	if b == arch.PoolBlock {
		return
	}
	if p.Config.RelBlocks {
		use(arch.BlockName(b, "rel_pos"), p.Config.Distance(query, key))
	}
	if p.Config.RelShared {
		use("rel_pos", p.Config.Distance(query, key))
	}
}

// residual computes x + scale * y. scale names the LayerScale parameter (arXiv 2103.17239); without one it is
// 1.
func (p *pass) residual(x, y *matrix, scale string) *matrix {
	sum, s, ds := newMatrix(x.rows, x.cols), p.params[scale], p.grads[scale]
	gain := func(i int) float64 {
		if s == nil {
			return 1
		}
		return s[i%x.cols]
	}
	for i := range sum.x {
		sum.x[i] = x.x[i] + gain(i)*y.x[i]
	}
	p.back(func() {
		for i, g := range sum.d {
			x.d[i] += g
			y.d[i] += gain(i) * g
			if s != nil {
				ds[i%x.cols] += g * y.x[i]
			}
		}
	})
	return sum
}

// activate applies the MLP's activation function. A gated MLP computes silu(first half) * second half (arXiv
// 2002.05202).
func (p *pass) activate(x *matrix, gated bool) *matrix {
	cols := x.cols
	if gated {
		cols /= 2
	}
	y := newMatrix(x.rows, cols)
	each := func(do func(u, du, gate, dgate, v, dv *float64)) {
		one, none := 1.0, 0.0
		for r := range x.rows {
			for i := range cols {
				gate, dgate := &one, &none
				if gated {
					gate, dgate = &x.row(r)[cols+i], &x.grad(r)[cols+i]
				}
				do(&x.row(r)[i], &x.grad(r)[i], gate, dgate, &y.row(r)[i], &y.grad(r)[i])
			}
		}
	}
	act := p.Config.Act
	f := func(u float64) (float64, float64) { return activation(act, u) }
	if gated {
		f = silu
	}
	each(func(u, _, gate, _, v, _ *float64) {
		a, _ := f(*u)
		*v = a * *gate
	})
	p.back(func() {
		each(func(u, du, gate, dgate, _, dv *float64) {
			a, slope := f(*u)
			*du += *dv * *gate * slope
			*dgate += *dv * a
		})
	})
	return y
}

// pool reduces the tokens to one feature vector.
func (p *pass) pool(x *matrix) *matrix {
	c := &p.Config
	y := newMatrix(1, c.Features())
	copyTo := func(at, row int) { // copies one token
		add(y.x[at:at+c.Width], x.row(row))
		p.back(func() { add(x.grad(row), y.d[at:at+c.Width]) })
	}
	mean := func(at int) { // the mean of the patch tokens
		share := 1 / float64(x.rows-c.Prefix())
		for r := c.Prefix(); r < x.rows; r++ {
			addScaled(y.x[at:at+c.Width], x.row(r), share)
			p.back(func() { addScaled(x.grad(r), y.d[at:at+c.Width], share) })
		}
	}
	switch c.Pooling {
	case arch.PoolClass:
		copyTo(0, 0)
	case arch.PoolClassDist:
		copyTo(0, 0)
		copyTo(c.Width, 1)
	case arch.PoolMean:
		mean(0)
	case arch.PoolClassMean:
		copyTo(0, 0)
		mean(c.Width)
	case arch.PoolTokens:
		for r := range x.rows {
			copyTo(r*c.Width, r)
		}
	case arch.PoolAttention:
		return p.attentionPool(x)
	}
	return y
}

// attentionPool computes attention of a learned query to all tokens, followed by an MLP (SigLIP, arXiv
// 2303.15343).
func (p *pass) attentionPool(x *matrix) *matrix {
	latent := newMatrix(1, p.Config.Width)
	p.addParam("pool.latent", 0, latent, 0)
	o := p.attention(arch.PoolBlock, p.linear("pool.q", latent), p.linear("pool.k", x), p.linear("pool.v", x))
	y := p.linear("pool.proj", o)
	u := p.activate(p.linear("pool.fc1", p.layerNorm("pool.norm", y)), false)
	return p.residual(y, p.linear("pool.fc2", u), "")
}

// activation returns the value and the derivative of an activation function at u.
func activation(a arch.Activation, u float64) (value, slope float64) {
	switch a {
	case arch.GELUErf:
		cdf := 0.5 * (1 + math.Erf(u/math.Sqrt2))
		return u * cdf, cdf + u*math.Exp(-u*u/2)/math.Sqrt(2*math.Pi)
	case arch.GELUTanh:
		k := math.Sqrt(2 / math.Pi)
		t := math.Tanh(k * (u + 0.044715*u*u*u))
		return 0.5 * u * (1 + t), 0.5*(1+t) + 0.5*u*(1-t*t)*k*(1+3*0.044715*u*u)
	case arch.GELUQuick:
		s := 1 / (1 + math.Exp(-1.702*u))
		return u * s, s + 1.702*u*s*(1-s)
	}
	return u, 1
}

func silu(u float64) (value, slope float64) {
	s := 1 / (1 + math.Exp(-u))
	return u * s, s + u*s*(1-s)
}

func softmax(x []float64) {
	largest, sum := math.Inf(-1), 0.0
	for _, v := range x {
		largest = max(largest, v)
	}
	for i, v := range x {
		x[i] = math.Exp(v - largest)
		sum += x[i]
	}
	for i := range x {
		x[i] /= sum
	}
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

func add(dst, x []float64) { addScaled(dst, x, 1) }

func addScaled(dst, x []float64, s float64) {
	for i := range dst {
		dst[i] += s * x[i]
	}
}
