package adapterfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/lora"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// PEFTOptions select how a PEFT folder is written.
type PEFTOptions struct {
	DType safetensors.DType // F32, F16 or BF16; empty: F32
	Names Names             // empty: NamesTimm for timm's bases, else NamesHF5
	// Base is the shape of the base, nil if unknown. It is needed to know whether CLIP's features are those
	// that CLIPForImageClassification passes to its head, and whether all blocks are adapted.
	Base *vit.Config
	// Bare uses the module names of a bare backbone (ViTModel), without prefix. There can then be no head.
	Bare bool
}

// peftModule is one adapted module in PEFT's terms.
type peftModule struct {
	path, tail string
	*pair
}

// WritePEFT writes f as a PEFT folder at path, atomically. An existing folder is replaced if it contains only
// the two files of an adapter. PEFT has no place for labels, thresholds, preprocessing and metrics, so they are
// left out. What changes the adapter's function but cannot be expressed is a *FormatError.
func (f *File) WritePEFT(path string, o PEFTOptions) error {
	config, tensors, err := f.peft(o)
	if err != nil {
		return &FormatError{path, err}
	}
	return atomicfile.WriteFolder(path, filePerm, map[string]func(io.Writer) error{
		peftConfig: func(w io.Writer) error {
			_, err := w.Write(config)
			return err
		},
		peftWeights: func(w io.Writer) error { return safetensors.Write(w, tensors, map[string]string{"format": "pt"}) },
	})
}

// peft returns the contents of the two files.
func (f *File) peft(o PEFTOptions) (config []byte, tensors []safetensors.TensorData, err error) {
	if err := f.describe(); err != nil {
		return nil, nil, err
	}
	if f.Meta.Method != lora.MeLo || len(f.Adapter.Deltas) == 0 {
		return nil, nil, fmt.Errorf("method %q with %d sites cannot be expressed as PEFT's LoRA", f.Meta.Method, len(f.Adapter.Deltas))
	}
	if o.DType == "" {
		o.DType = safetensors.F32
	}
	l, err := f.layout(o)
	if err != nil {
		return nil, nil, err
	}
	modules, err := f.modules(l)
	if err != nil {
		return nil, nil, err
	}
	add := func(name string, values []float32, shape ...int) {
		t, e := encodeTensor(peftPrefix+name, o.DType, values, shape)
		tensors = append(tensors, t)
		if err == nil {
			err = e
		}
	}
	for _, m := range modules {
		add(m.path+peftA, m.a, m.rank, m.in())
		add(m.path+peftB, m.b, m.out(), m.rank)
	}
	var saved []string
	for _, h := range f.heads(l) {
		saved = append(saved, h.name)
		add(l.headPath(h.name)+".weight", h.W, h.Classes, h.Features)
		add(l.headPath(h.name)+".bias", h.Bias, h.Classes)
	}
	if err != nil {
		return nil, nil, err
	}
	config, err = f.peftConfig(l, o, modules, saved)
	return config, tensors, err
}

// layout selects the names. It returns an error if the model with these names would compute something else.
func (f *File) layout(o PEFTOptions) (*layout, error) {
	b := &f.Meta.Base
	if o.Names == "" {
		o.Names = NamesHF5
		if b.Source == "timm" {
			o.Names = NamesTimm
		}
	}
	family := b.Family
	switch {
	case o.Names == NamesTimm && slices.Contains([]string{"eva02", "eva", "beit", "dinov3"}, family) && o.Base == nil:
		return nil, errors.New("the kind of block of the base is unknown, and with it the names of its modules in timm: give the base")
	case o.Names == NamesTimm:
		family = ""
	case family == "mae": // the encoder of ViT-MAE is a ViT
		family = "vit"
	case family == "":
		return nil, errors.New("the family of the base is unknown, and with it the names of its modules in transformers: give the base")
	}
	shape := o.Base
	if shape == nil {
		shape = &vit.Config{SwiGLU: b.SwiGLU, Class: true}
	}
	for _, l := range layouts() {
		if l.names != o.Names || l.family != family || !l.expresses(shape, b) {
			continue
		}
		if o.Bare {
			l.prefix = ""
			if f.Adapter.Head != nil {
				return nil, errors.New("a backbone by itself has no place for the head")
			}
		}
		l.bypassed = o.Names == NamesTimm && shape.QKVBias && shape.NoKeyBias && !l.apart
		return &l, f.headFits(&l, o)
	}
	return nil, fmt.Errorf("no names of kind %q for family %q", o.Names, family)
}

// expresses reports whether the modules of these names are those of a base of shape c.
func (l *layout) expresses(c *vit.Config, b *Base) bool {
	switch {
	case l.isOther(c):
		return false
	case l.names == NamesTimm:
		return l.gated || !c.SwiGLU || !c.MLPNorm && b.Family != "dinov3"
	case l.family == "vit":
		return l.classless != c.Class
	}
	return l.regs == (b.Registers > 0) || l.family == "dinov3"
}

// headFits returns an error if the head reads other features than those of the model that the folder is for.
func (f *File) headFits(l *layout, o PEFTOptions) error {
	h, width := f.Adapter.Head, f.Meta.Base.Width
	switch {
	case h == nil:
	case l.heads == nil:
		return fmt.Errorf("a %s of transformers is a backbone by itself: it has no place for the head", l.family)
	case l.family == "dinov2" && h.Features != 2*width:
		return fmt.Errorf("head on %d features: that of Dinov2ForImageClassification takes %d (class token and mean of patches)", h.Features, 2*width)
	case (l.family == "clip" || l.family == "siglip") && (o.Base == nil || o.Base.Pooling != vit.PoolMean):
		return fmt.Errorf("the head of %s takes the mean of the patch tokens, this one may not: give a base of that kind, or remove the head",
			map[string]string{"clip": "CLIPForImageClassification", "siglip": "SiglipForImageClassification"}[l.family])
	case h.Features != width && h.Features != 2*width || h.Features == 2*width && l.two == nil && l.family != "dinov2":
		return fmt.Errorf("head on %d features, expected %d", h.Features, width)
	}
	return nil
}

// modules converts the deltas to modules, by block.
func (f *File) modules(l *layout) ([]peftModule, error) {
	rs, swiglu := f.Meta.ScaleRule == ScaleAlphaOverSqrtRank, f.Meta.Base.SwiGLU
	var list []peftModule
	for deltas := f.Adapter.Deltas; len(deltas) > 0; {
		block := deltas[0].Site.Block
		if block == arch.PoolBlock && l.pool == nil {
			return nil, fmt.Errorf("%v: the map of attention pooling has no module that PEFT adapts", deltas[0].Site)
		}
		parts := map[part]*pair{}
		for len(deltas) > 0 && deltas[0].Site.Block == block {
			parts[part(deltas[0].Site.Kind)] = pairOf(&deltas[0])
			deltas = deltas[1:]
		}
		err := error(nil)
		if block == arch.PoolBlock {
			err = joinKV(parts, f.Meta.Base.Width, rs)
		} else {
			err = recut(parts, l, f.Meta.Base.Width, swiglu, rs)
		}
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", block, err)
		}
		for _, p := range slices.Sorted(maps.Keys(parts)) {
			tail, ok := l.tail(p, swiglu)
			path := l.path(block, tail)
			if block == arch.PoolBlock {
				tail, ok = l.poolTail(p)
				path = l.prefix + tail
			}
			if !ok {
				return nil, fmt.Errorf("block %d: no module of the names %q for %v", block, l.names, vit.Kind(p))
			}
			list = append(list, peftModule{path, tail, parts[p]})
		}
	}
	return list, nil
}

// joinKV replaces k and v of attention pooling by the module that has both.
func joinKV(parts map[part]*pair, width int, rs bool) error {
	pieces := []*pair{parts[partK], parts[partV]}
	delete(parts, partK)
	delete(parts, partV)
	if pieces[0] == nil && pieces[1] == nil {
		return nil
	}
	p, err := fuse(pieces, width, rs)
	if err != nil {
		return fmt.Errorf("k, v: %w", err)
	}
	parts[partKV] = p
	return nil
}

// recut replaces the sites of one block by the pieces and unions for which the layout has modules.
func recut(parts map[part]*pair, l *layout, width int, swiglu, rs bool) error {
	if _, fused := l.tail(partQKV, swiglu); fused {
		pieces := []*pair{parts[partQ], parts[partK], parts[partV]}
		if l.bypassed && slices.ContainsFunc(pieces, func(p *pair) bool { return p != nil }) {
			return errors.New("q, k, v: timm multiplies with the weight of this base's qkv without calling the module, so what PEFT puts beside it does nothing: " +
				"only proj, fc1 and fc2 can be written; melo convert --merge writes a base with all of it")
		}
		for i := range pieces {
			delete(parts, part(i))
		}
		if slices.ContainsFunc(pieces, func(p *pair) bool { return p != nil }) {
			p, err := fuse(pieces, width, rs)
			if err != nil {
				return fmt.Errorf("q, k, v: %w", err)
			}
			parts[partQKV] = p
		}
	}
	if _, apart := l.tail(partGate, swiglu); apart && parts[partFC1] != nil {
		gate, up := parts[partFC1].apart(rs)
		delete(parts, partFC1)
		for p, half := range map[part]*pair{partGate: gate, partUp: up} {
			if half != nil {
				parts[p] = half
			}
		}
	}
	return nil
}

// namedHead is a head and its module name.
type namedHead struct {
	name string
	*vit.Head
}

// heads returns the head as its model has it: for a distilled DeiT, one per token, whose logits are averaged.
func (f *File) heads(l *layout) []namedHead {
	h, d := f.Adapter.Head, f.Meta.Base.Width
	switch {
	case h == nil:
		return nil
	case l.two == nil || h.Features != 2*d:
		return []namedHead{{l.heads[0], h}}
	}
	list := make([]namedHead, 2)
	for i := range list {
		part := &vit.Head{Classes: h.Classes, Features: d, Bias: h.Bias}
		for c := range h.Classes {
			for _, v := range h.W[c*2*d+i*d : c*2*d+(i+1)*d] {
				part.W = append(part.W, 2*v)
			}
		}
		list[i] = namedHead{l.two[i], part}
	}
	return list
}

// peftConfig writes adapter_config.json.
func (f *File) peftConfig(l *layout, o PEFTOptions, modules []peftModule, saved []string) ([]byte, error) {
	ranks, alphas := map[int]int{}, map[float32]int{}
	for _, m := range modules {
		ranks[m.rank]++
		alphas[m.alpha]++
	}
	rank, alpha := mostOf(ranks), mostOf(alphas)
	rankPattern, alphaPattern := map[string]any{}, map[string]any{}
	for _, m := range modules {
		if m.rank != rank || m.alpha != alpha { // listed in both maps, because older PEFT uses one key for both
			rankPattern[m.path], alphaPattern[m.path] = m.rank, number(m.alpha)
		}
	}
	var baseID any
	if id := f.Meta.Base.ID; id != "" {
		baseID = id
	}
	var toSave any
	if len(saved) > 0 {
		toSave = saved
	}
	text, err := json.MarshalIndent(map[string]any{
		"peft_type": "LORA", "task_type": nil, "base_model_name_or_path": baseID, "revision": nil, "inference_mode": true,
		"r": rank, "lora_alpha": number(alpha), "rank_pattern": rankPattern, "alpha_pattern": alphaPattern,
		"use_rslora": f.Meta.ScaleRule == ScaleAlphaOverSqrtRank, "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": false,
		"init_lora_weights": true, "target_modules": f.targets(l, o, modules), "modules_to_save": toSave,
	}, "", "  ")
	return append(text, '\n'), err
}

// number formats whole numbers without a fraction, as PEFT does.
func number(v float32) any {
	if v == float32(int32(v)) {
		return int32(v)
	}
	return float64(v)
}

// mostOf returns the most frequent key, the smallest one in case of a tie.
func mostOf[K int | float32](counts map[K]int) K {
	keys := slices.Sorted(maps.Keys(counts))
	return slices.MaxFunc(keys, func(a, b K) int { return counts[a] - counts[b] })
}

// targets returns target_modules: short names if they match exactly the adapted modules of this base, else all
// paths.
func (f *File) targets(l *layout, o PEFTOptions, modules []peftModule) []string {
	depth := f.Meta.Base.Depth
	if o.Base != nil {
		depth = o.Base.Depth
	}
	var short modulesList
	paths := map[string]bool{}
	for _, m := range modules {
		paths[m.path] = true
		if name := shortName(l, m.tail); !slices.Contains(short.names, name) {
			short.names = append(short.names, name)
		}
	}
	exact := depth > 0
	for _, tail := range l.unused {
		exact = exact && !short.matches(l.prefix+tail)
	}
	for _, m := range l.pool {
		if o.Base == nil || o.Base.Pooling == arch.PoolAttention {
			path := l.prefix + m.tail
			exact = exact && short.matches(path) == paths[path]
		}
	}
	for block := range depth {
		for _, m := range l.of(f.Meta.Base.SwiGLU) {
			path := l.path(block, m.tail)
			exact = exact && short.matches(path) == paths[path]
		}
	}
	if exact {
		return short.names
	}
	return slices.Sorted(maps.Keys(paths))
}

// shortName returns the usual name of a module in target_modules.
func shortName(l *layout, tail string) string {
	last := tail[strings.LastIndexByte(tail, '.')+1:]
	if last == "dense" || l.names == NamesTimm {
		return tail
	}
	return last
}
