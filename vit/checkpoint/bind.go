package checkpoint

import (
	"slices"
	"strings"

	"melo.example/melo/vit/arch"
)

// bind finds every parameter of the network among the file's tensors. Its error lists all tensors that are
// missing, unused or of the wrong shape.
func bind(s *spec, w *weights) (map[string]value, error) {
	b := binder{spec: s, w: w, values: map[string]value{}, fused: map[string]part{}}
	for _, p := range s.Params() {
		b.param(p)
	}
	if s.unusedPool {
		for name := range w.tensors {
			if strings.HasPrefix(name, "pool.") {
				w.taken[name] = true
			}
		}
	}
	if s.unusedNorm {
		w.take("fc_norm.weight", s.Width)
		w.take("fc_norm.bias", s.Width)
	}
	return b.values, w.problems()
}

// binder records where the parameters lie.
type binder struct {
	*spec
	w      *weights
	values map[string]value
	fused  map[string]part // tensors that hold several parameters
}

// param finds one parameter: by its name, or within a tensor that holds several.
func (b *binder) param(p arch.Param) {
	block, module, last, inBlock := arch.SplitName(p.Name)
	in := func(name string) string { return arch.BlockName(block, name) + last }
	d := b.Width
	switch {
	case p.Name == "pos_embed":
		b.positionEmbedding(p)
	case strings.HasPrefix(p.Name, "pool."):
		b.pooling(p, last)
	case inBlock && last == ".bias" && b.NoKeyBias && (module == "q" || module == "v"):
		b.join(p, p.Shape, p.Name)
	case inBlock && b.fusedQKV && (module == "q" || module == "k" || module == "v"):
		i := map[string]int{"q": 0, "k": 1, "v": 2}[module]
		shape := append([]int{3 * d}, p.Shape[1:]...)
		b.share(p, in("qkv"), shape, i, 3)
	case inBlock && module == "fc1" && b.SwiGLU && (b.w.inBlocks("gate") || b.w.inBlocks("up")):
		half := append([]int{b.MLP}, p.Shape[1:]...)
		b.join(p, half, in("gate"), in("up"))
	default:
		b.join(p, p.Shape, p.Name)
	}
}

// pooling finds a parameter of attention pooling. A file may store q, k and v, or k and v, in one tensor.
func (b *binder) pooling(p arch.Param, last string) {
	i := slices.Index([]string{"pool.q", "pool.k", "pool.v"}, strings.TrimSuffix(p.Name, last))
	whole := func(n int) []int { return append([]int{n * b.Width}, p.Shape[1:]...) }
	switch {
	case i >= 0 && b.w.hasModule("pool.qkv"):
		b.share(p, "pool.qkv"+last, whole(3), i, 3)
	case i >= 1 && b.w.hasModule("pool.kv"):
		b.share(p, "pool.kv"+last, whole(2), i-1, 2)
	default:
		b.join(p, p.Shape, p.Name)
	}
}

// join takes a parameter that is stored as several tensors of one shape.
func (b *binder) join(p arch.Param, shape []int, names ...string) {
	v := value{shape: p.Shape}
	for _, name := range names {
		if t, ok := b.w.take(name, shape...); ok {
			v.parts = append(v.parts, part{t, 0, t.Len()})
		}
	}
	b.values[p.Name] = v
}

// share takes part i of n equal parts of a tensor.
func (b *binder) share(p arch.Param, name string, shape []int, i, n int) {
	whole, seen := b.fused[name]
	if !seen {
		if t, ok := b.w.take(name, shape...); ok {
			whole = part{t, 0, t.Len()}
		}
		b.fused[name] = whole
	}
	step := whole.to / n
	b.values[p.Name] = value{shape: p.Shape, parts: []part{{whole.t, i * step, (i + 1) * step}}}
}

// positionEmbedding takes the position embedding and resizes its grid to that of the input.
func (b *binder) positionEmbedding(p arch.Param) {
	kept, folded := b.PositionPrefix(), 0 // kept: rows of class and distillation token; folded: rows of registers
	if b.PosPrefix && b.Source == "timm" {
		folded = b.Registers
	}
	grid := b.native / b.Patch
	if b.Source == "timm" { // timm resizes the stored grid to the configured one
		if g := gridOf(b.w.dim("pos_embed", -2) - kept - folded); g > 0 {
			grid = g
		}
	}
	t, ok := b.w.take("pos_embed", kept+folded+grid*grid, b.Width)
	if !ok {
		return
	}
	d, to, antialias := b.Width, b.Grid(), b.antialias
	first, rest := kept*d, (kept+folded)*d
	b.values[p.Name] = value{shape: p.Shape, parts: []part{{t, 0, t.Len()}}, edit: func(pos []float32) ([]float32, error) {
		patches := pos[rest:]
		if to != grid {
			patches = resizeGrid(patches, grid, to, d, antialias)
		}
		return append(append(make([]float32, 0, first+len(patches)), pos[:first]...), patches...), nil
	}}
	if folded == 0 {
		return
	}
	register := b.values["reg_token"]
	register.edit = func(v []float32) ([]float32, error) { // timm adds positions to registers in every forward pass
		row := make([]float32, rest-first)
		if err := (part{t, first, rest}).read(row); err != nil {
			return nil, err
		}
		for i := range v {
			v[i] += row[i]
		}
		return v, nil
	}
	b.values["reg_token"] = register
}
