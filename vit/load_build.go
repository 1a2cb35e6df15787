package vit

import (
	"melo.example/melo/internal/kernel"
	"melo.example/melo/safetensors"
)

// builder makes a Model in two steps: first all tensors are taken, so that what is missing, unused or
// misshapen is known at once; then the queued jobs convert, check and pack them.
type builder struct {
	*spec
	w    *weights
	ex   *kernel.Exec
	prec Precision // of what is packed next
	jobs []func() error
	kept *kept

	values  valuesTask
	scratch []float32 // for weights that are converted or joined before packing
}

func build(s *spec, w *weights, ex *kernel.Exec, prec Precision, k *kept) (*Model, error) {
	b := &builder{spec: s, w: w, ex: ex, prec: edgePrecision(prec), kept: k}
	m := &Model{Config: s.Config, Precision: prec, Recipe: s.recipe, Labels: s.labels}
	b.embeddings(m)
	m.Blocks = make([]Block, s.Depth)
	b.prec = prec
	for i := range m.Blocks {
		b.block(i, &m.Blocks[i])
	}
	b.prec = edgePrecision(prec)
	b.top(m)
	if err := w.problems(); err != nil {
		return nil, err
	}
	for _, job := range b.jobs {
		if err := job(); err != nil {
			return nil, err
		}
	}
	k.keep()
	return m, nil
}

// embeddings takes what makes the first block's input.
func (b *builder) embeddings(m *Model) {
	d, p := b.Width, b.Patch
	if t, ok := b.w.take("patch_embed.weight", d, b.Channels, p, p); ok {
		b.pack(&m.PatchEmbed, d, b.Channels*p*p, 0, d, t)
	}
	if b.patchBias {
		b.vector(&m.PatchEmbed.Bias, d, "patch_embed.bias")
	}
	if b.Class {
		b.vector(&m.ClassToken, d, "cls_token")
	}
	if b.Dist {
		b.vector(&m.DistToken, d, "dist_token")
	}
	if b.Registers > 0 {
		if t, ok := b.w.take("reg_token", b.Registers, d); ok {
			b.jobs = append(b.jobs, func() (err error) {
				m.Register, err = b.copyOf(t)
				return err
			})
		}
	}
	b.positionEmbedding(m)
	if b.PreNorm {
		b.norm(&m.Pre, "norm_pre")
	}
}

// positionEmbedding takes the position embedding and resizes its grid to that of the input.
func (b *builder) positionEmbedding(m *Model) {
	kept, folded := 0, 0 // rows of class and distillation token; rows of registers
	if b.PosPrefix {
		kept = b.Prefix() - b.Registers
		if b.Source == "timm" {
			folded = b.Registers
		}
	}
	grid := b.native / b.Patch
	if b.Source == "timm" { // timm resizes what it finds to what the configuration says
		if g := gridOf(b.w.dim("pos_embed", -2) - kept - folded); g > 0 {
			grid = g
		}
	}
	t, ok := b.w.take("pos_embed", kept+folded+grid*grid, b.Width)
	if !ok {
		return
	}
	b.jobs = append(b.jobs, func() error {
		pos, err := b.copyOf(t)
		if err != nil {
			return err
		}
		d := b.Width
		prefix, patches := pos[:kept*d], pos[(kept+folded)*d:]
		for i, v := range pos[kept*d : (kept+folded)*d] { // timm adds them in every forward pass
			m.Register[i] += v
		}
		if to := b.Grid(); to != grid {
			patches = resizeGrid(patches, grid, to, d, b.antialias)
		}
		m.Pos = append(append(make([]float32, 0, len(prefix)+len(patches)), prefix...), patches...)
		return nil
	})
}

func (b *builder) block(i int, blk *Block) {
	name := func(s string) string { return blockName(i, s) }
	d, up := b.Width, b.MLP
	b.norm(&blk.Norm1, name("norm1"))
	if b.fusedQKV {
		b.fused(i, blk)
	} else {
		b.linear(&blk.Q, d, d, b.QKVBias, name("q"))
		b.linear(&blk.KV, 2*d, d, b.QKVBias, name("k"), name("v"))
	}
	b.linear(&blk.Proj, d, d, true, name("proj"))
	b.norm(&blk.Norm2, name("norm2"))
	switch {
	case !b.SwiGLU:
		b.linear(&blk.FC1, up, d, true, name("fc1"))
	case b.w.inBlocks("gate") || b.w.inBlocks("up"):
		b.linear(&blk.FC1, 2*up, d, true, name("gate"), name("up"))
	default:
		b.linear(&blk.FC1, 2*up, d, true, name("fc1"))
	}
	b.linear(&blk.FC2, d, up, true, name("fc2"))
	if b.layerScale {
		b.vector(&blk.Scale1, d, name("ls1"))
		b.vector(&blk.Scale2, d, name("ls2"))
	}
}

// fused splits timm's qkv into q and kv.
func (b *builder) fused(i int, blk *Block) {
	d := b.Width
	if t, ok := b.w.take(blockName(i, "qkv.weight"), 3*d, d); ok {
		b.pack(&blk.Q, d, d, 0, d, t)
		b.pack(&blk.KV, 2*d, d, d, 3*d, t)
	}
	if !b.QKVBias {
		return
	}
	if t, ok := b.w.take(blockName(i, "qkv.bias"), 3*d); ok {
		b.jobs = append(b.jobs, func() error {
			bias, err := b.copyOf(t)
			if err == nil {
				blk.Q.Bias, blk.KV.Bias = bias[:d:d], bias[d:]
			}
			return err
		})
	}
}

// top takes the norms after the blocks, the projection and the heads.
func (b *builder) top(m *Model) {
	d := b.Width
	if b.FinalNorm {
		b.norm(&m.Final, "norm")
	}
	if b.PoolNorm {
		b.norm(&m.Pool, "fc_norm")
	}
	if b.unusedNorm {
		b.w.take("fc_norm.weight", d)
		b.w.take("fc_norm.bias", d)
	}
	if b.Projected > 0 {
		b.linear(&m.Project, b.Projected, d, false, "project")
	}
	if b.Classes > 0 {
		features := b.Features()
		if b.headDist {
			features = d
			m.HeadDist = b.head("head_dist", features)
		}
		m.Head = b.head("head", features)
	}
}

func (b *builder) head(name string, features int) *Head {
	h := &Head{Classes: b.Classes, Features: features}
	if t, ok := b.w.take(name+".weight", h.Classes, features); ok {
		b.jobs = append(b.jobs, func() (err error) {
			h.W, err = b.copyOf(t)
			return err
		})
	}
	b.vector(&h.Bias, h.Classes, name+".bias")
	return h
}

func (b *builder) norm(n *Norm, name string) {
	b.vector(&n.Gain, b.Width, name+".weight")
	b.vector(&n.Bias, b.Width, name+".bias")
}

// vector takes tensors of n values in all, one after another.
func (b *builder) vector(dst *[]float32, n int, names ...string) {
	var parts []safetensors.Tensor
	for _, name := range names {
		if t, ok := b.w.take(name, n/len(names)); ok {
			parts = append(parts, t)
		}
	}
	b.jobs = append(b.jobs, func() error {
		all := make([]float32, 0, n)
		for _, t := range parts {
			v, err := b.copyOf(t)
			if err != nil {
				return err
			}
			all = append(all, v...)
		}
		*dst = all
		return nil
	})
}

// linear takes a map [out, in] whose rows are spread evenly over the named modules.
func (b *builder) linear(l *Linear, out, in int, bias bool, names ...string) {
	var parts []safetensors.Tensor
	var biases []string
	for _, name := range names {
		if t, ok := b.w.take(name+".weight", out/len(names), in); ok {
			parts = append(parts, t)
		}
		biases = append(biases, name+".bias")
	}
	b.pack(l, out, in, 0, out, parts...)
	if bias {
		b.vector(&l.Bias, out, biases...)
	}
}

// pack queues the packing of rows [r0, r1) of the joined parts, whose rows have in values.
func (b *builder) pack(l *Linear, out, in, r0, r1 int, parts ...safetensors.Tensor) {
	l.In, l.Out = in, out
	prec := b.prec
	b.jobs = append(b.jobs, func() error {
		if l.W = b.kept.next(prec, out, in); l.W != nil {
			return nil
		}
		w, err := b.join(parts)
		if err != nil {
			return err
		}
		l.W = kernel.PackAs(b.ex, prec, w[r0*in:r1*in], out, in)
		if !l.W.Finite() { // only a view of the file may be
			return b.finite(parts[0], w, false)
		}
		b.kept.add(l.W)
		if r1*in == len(w) { // what is joined is packed to its end: the file has been read for the last time
			for _, t := range parts {
				t.Forget()
			}
		}
		return nil
	})
}

// join returns the values of the parts: a view of the file if that is possible, which packing checks, else checked
// ones in scratch memory that the next call overwrites.
func (b *builder) join(parts []safetensors.Tensor) ([]float32, error) {
	if len(parts) == 1 {
		if view, ok := parts[0].F32View(); ok {
			return view, nil
		}
	}
	n := 0
	for _, t := range parts {
		n += t.Len()
	}
	if cap(b.scratch) < n {
		b.scratch = make([]float32, n)
	}
	all := b.scratch[:n]
	at := 0
	for _, t := range parts {
		v, err := b.convert(t, all[at:at+t.Len()])
		if err != nil {
			return nil, err
		}
		at += len(v)
	}
	return all, nil
}

// copyOf returns the values of t in memory of their own, checked.
func (b *builder) copyOf(t safetensors.Tensor) ([]float32, error) {
	return b.convert(t, make([]float32, t.Len()))
}
