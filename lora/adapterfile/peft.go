package adapterfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"melo.example/melo/internal/regular"
	"melo.example/melo/lora"
	"melo.example/melo/safetensors"
	"melo.example/melo/torchfile"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// Tensor names of a PEFT adapter: base_model.model.PATH.lora_A.weight [r, in] and lora_B.weight [out, r].
// Modules in modules_to_save keep their own names after the prefix.
const (
	peftPrefix = "base_model.model."
	peftA      = ".lora_A.weight"
	peftB      = ".lora_B.weight"
)

// ReadPEFT reads a PEFT folder (adapter_config.json and adapter_model.safetensors). path is the folder or one
// of the two files. It supports LoRA on the linear maps of the supported backbones, with the module names of
// timm and of transformers 4 and 5, rsLoRA, rank_pattern and alpha_pattern, a classifier in modules_to_save,
// and the changes listed in peft_changes.go. Anything else is an error that names it.
func ReadPEFT(path string, o Import) (*File, error) {
	text, doc, err := readPEFTConfig(path)
	if err != nil {
		return nil, err
	}
	dir := peftDir(path)
	weights := filepath.Join(dir, peftWeights)
	parse := func(st *safetensors.File) (*File, error) { return parsePEFT(st, doc, o) }
	var f *File
	if _, e := os.Stat(weights); errors.Is(e, os.ErrNotExist) {
		other := weights
		weights = filepath.Join(dir, peftTorch)
		f, err = importTorch(weights, other, o.limit(), parse)
	} else {
		f, err = importFile(weights, o.limit(), parse)
	}
	if err != nil {
		return nil, err
	}
	sums := digestLine(digestOf(text), peftConfig) + digestLine(f.Digest, filepath.Base(weights))
	if h := f.Adapter.Head; h != nil && len(o.Labels) == 0 {
		if text, labels := labelsBeside(dir, h.Classes); labels != nil {
			f.Meta.Labels = labels
			sums += digestLine(digestOf(text), modelConfig)
		}
	}
	f.Path, f.Digest = dir, digestOf([]byte(sums))
	return f, nil
}

// digestLine returns the line that sha256sum prints for a file.
func digestLine(digest, name string) string {
	return strings.TrimPrefix(digest, digestPrefix) + "  " + name + "\n"
}

// peftDir returns the folder of a PEFT adapter, given the folder or one of its files.
func peftDir(path string) string {
	if name := filepath.Base(path); name == peftConfig || name == peftWeights || name == peftTorch {
		return filepath.Dir(path)
	}
	return path
}

// readPEFTConfig reads the configuration in a folder.
func readPEFTConfig(path string) (text []byte, doc *peftDoc, err error) {
	dir := peftDir(path)
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, nil, failf(path, "tensors of PEFT, expected a folder of %s and %s", peftConfig, peftWeights)
	}
	config := filepath.Join(dir, peftConfig)
	if text, err = regular.ReadFile(config, maxPEFTConfig); err == nil {
		doc, err = parsePEFTConfig(text)
	}
	if err != nil {
		return nil, nil, failed(config, err)
	}
	return text, doc, nil
}

// importTorch is importFile for a torch.save file, used if there is no safetensors file.
func importTorch(path, other string, limit int64, parse func(st *safetensors.File) (*File, error)) (*File, error) {
	data, err := regular.ReadFile(path, limit)
	if errors.Is(err, os.ErrNotExist) {
		return nil, failed(other, err)
	}
	if err != nil {
		return nil, failed(path, err)
	}
	tensors, _, err := torchfile.Parse(data)
	if err != nil {
		return nil, failed(path, err)
	}
	f, err := parse(safetensors.FromViews(path, nil, tensors, func() error { return nil }))
	if err != nil {
		return nil, failed(path, err)
	}
	f.Digest = digestOf(data)
	return f, nil
}

// peftReader reads the tensors of a PEFT folder.
type peftReader struct {
	*reader
	doc    *peftDoc
	layout *layout
	base   *vit.Config // nil if unknown
	o      *Import
	blocks map[int]map[part]string
	depth  int // depth of the base, or the highest block in the file plus one

	width, mlp int // 0 if no tensor determines it
	swiglu     bool
}

func parsePEFT(st *safetensors.File, doc *peftDoc, o Import) (*File, error) {
	st, doc, err := unwrapPEFT(st, doc)
	if err != nil {
		return nil, err
	}
	r := &peftReader{reader: newReader(st), doc: doc, base: o.Base, o: &o, blocks: map[int]map[part]string{}}
	if err := r.sort(); err != nil {
		return nil, err
	}
	f := &File{Adapter: &lora.Adapter{}, Path: st.Path(), From: PEFT}
	r.shape()
	if c := o.Base; c != nil {
		if r.width != 0 && r.width != c.Width { // clearer than the errors that would follow
			return nil, f.baseError("width", fmt.Sprint(r.width), fmt.Sprint(c.Width))
		}
		r.width, r.mlp, r.swiglu = c.Width, c.MLP, c.SwiGLU
	}
	r.absent()
	told := r.changes()
	f.deferred = o.Defer && len(told) > 0
	if (o.Look || f.deferred) && len(told) > 0 {
		for _, module := range r.touched() {
			r.takeAll(module)
		}
	}
	if f.deferred { // it is all in Extra
	} else if len(told) == 0 || o.Look {
		for _, block := range r.blockNumbers() {
			deltas, err := r.block(block, r.blocks[block])
			if err != nil {
				return nil, err
			}
			f.Adapter.Deltas = append(f.Adapter.Deltas, deltas...)
		}
	} else if f.Extra, err = r.changed(told); err != nil {
		return nil, err
	}
	f.Adapter.Head = r.classifier()
	if err := r.finish(); err != nil {
		return nil, err
	}
	if h := f.Adapter.Head; h != nil && r.layout.family == "clip" && (o.Base == nil || o.Base.Pooling != vit.PoolMean) {
		return nil, errors.New("the head is that of CLIPForImageClassification, on the mean of the patch tokens; expected a base that pools them so")
	}
	b := &f.Meta.Base
	b.ID, b.Family, b.Width, b.MLP, b.SwiGLU = doc.baseID, r.layout.family, r.width, r.mlp, r.swiglu
	b.Source = "hf"
	if r.layout.names == NamesTimm {
		b.Source = "timm"
	}
	var hyperparameters map[string]any
	if len(told) > 0 {
		hyperparameters = map[string]any{"changes": told}
	}
	return f, f.imported("peft", hyperparameters, o)
}

// blockNumbers lists the blocks that may have adapted maps, attention pooling last.
func (r *peftReader) blockNumbers() (list []int) {
	for block := range r.depth {
		list = append(list, block)
	}
	if r.blocks[arch.PoolBlock] != nil {
		list = append(list, arch.PoolBlock)
	}
	return list
}

// sort selects the layout that recognises most of the modules, and groups the modules by block.
func (r *peftReader) sort() error {
	var paths []string
	for _, name := range r.st.Names() {
		path, ok := strings.CutPrefix(name, peftPrefix)
		if !ok {
			continue
		}
		for _, suffix := range []string{peftA, peftB} {
			if p, ok := strings.CutSuffix(path, suffix); ok && !slices.Contains(paths[max(0, len(paths)-1):], p) {
				paths = append(paths, p)
			}
		}
	}
	most := 0
	for _, l := range layouts() {
		n := 0
		for _, path := range paths {
			if _, _, ok := l.find(path); ok {
				n += 2
			} else if l.isHead(path) && l.suits(r.base) || l.outside(path) != "" { // nothing else may be adapted
				n++
			}
		}
		if n = 2 * n; n > 0 && l.suits(r.base) { // of names that stand for several kinds of bases, those of the one at hand
			n++
		}
		if n > most {
			most, r.layout = n, &l
		}
	}
	if most == 0 {
		example := "no tensor " + peftPrefix + "MODULE" + peftA
		if len(paths) > 0 {
			example = "modules such as " + quote(paths[0])
		}
		return fmt.Errorf("%s, expected those of a ViT, such as vit.layers.0.attention.q_proj or blocks.0.attn.qkv", example)
	}
	for _, path := range paths {
		block, m, ok := r.layout.find(path)
		if r.layout.leaves(path, r.base) {
			r.takeAll(path)
			continue
		}
		if !ok && (r.layout.isHead(path) || r.layout.outside(path) != "") {
			continue // read separately
		}
		if !ok || r.doc.knows() && !r.doc.adapts(path) {
			continue // reported as unused
		}
		if r.blocks[block] == nil {
			r.blocks[block] = map[part]string{}
		}
		if _, twice := r.blocks[block][m.part]; twice {
			continue // the MLP's map under its alternative name; reported, too
		}
		r.blocks[block][m.part] = path
		if block != arch.PoolBlock {
			r.depth = max(r.depth, block+1)
		}
	}
	if r.base != nil {
		r.depth = max(r.depth, r.base.Depth)
	}
	return nil
}

// shape determines the widths from the tensors.
func (r *peftReader) shape() {
	fc1 := 0
	for _, parts := range r.blocks {
		for p, path := range parts {
			in, out := r.dim(path+peftA, 1), r.dim(path+peftB, 0)
			switch p {
			case partFC2:
				r.mlp, r.width = max(r.mlp, in), max(r.width, out)
			case partGate, partUp:
				r.mlp, r.width, r.swiglu = max(r.mlp, out), max(r.width, in), true
			case partFC1:
				fc1, r.width = max(fc1, out), max(r.width, in)
				r.swiglu = r.swiglu || strings.HasSuffix(path, ".weights_in")
			default:
				r.width = max(r.width, in)
			}
		}
	}
	switch {
	case fc1 == 0:
	case r.swiglu:
		r.mlp = fc1 / 2
	case r.mlp == 0:
		r.mlp = fc1
	case fc1 == 2*r.mlp: // timm's packed SwiGLU
		r.swiglu = true
	}
}

// dim returns one dimension of a matrix; 0 if there is no such matrix.
func (r *peftReader) dim(name string, axis int) int {
	t, ok := r.st.Tensor(peftPrefix + name)
	if !ok || len(t.Shape) != 2 && len(t.Shape) != 4 {
		return 0
	}
	return t.Shape[axis]
}

// absent records the modules that the configuration selects but the file lacks.
func (r *peftReader) absent() {
	if !r.doc.knows() {
		return
	}
	for block := range r.depth {
		for _, m := range r.layout.of(r.swiglu) {
			path := r.layout.path(block, m.tail)
			if _, ok := r.blocks[block][m.part]; !ok && r.doc.adapts(path) {
				r.missing = append(r.missing, peftPrefix+path+peftA, peftPrefix+path+peftB)
			}
		}
	}
	if r.base == nil || r.base.Pooling != arch.PoolAttention {
		return
	}
	for _, m := range r.layout.pool {
		path := r.layout.prefix + m.tail
		if _, ok := r.blocks[arch.PoolBlock][m.part]; !ok && r.doc.adapts(path) {
			r.missing = append(r.missing, peftPrefix+path+peftA, peftPrefix+path+peftB)
		}
	}
}

// pair reads A and B of a module. If one is missing or wrong it returns nil, and finish reports it.
func (r *peftReader) pair(path string, in, out int) *pair {
	rank := lookUpPattern(r.doc.ranks, r.doc.wrap+path, float64(r.doc.rank))
	alpha := lookUpPattern(r.doc.alphas, r.doc.wrap+path, r.doc.alpha)
	if rank != float64(int(rank)) || inRange("rank", int(rank)) != nil {
		r.used[peftPrefix+path+peftA], r.used[peftPrefix+path+peftB] = true, true
		r.fail("%s: rank %g, expected 1 to %d", quote(path), rank, maxRank)
		return nil
	}
	p := &pair{rank: int(rank), alpha: float32(alpha)}
	p.a = r.floats(peftPrefix+path+peftA, r.kernel(path+peftA, p.rank, in)...)
	p.b = r.floats(peftPrefix+path+peftB, r.kernel(path+peftB, out, p.rank)...)
	if len(p.a) == 0 || len(p.b) == 0 {
		if r.err == nil && p.a != nil && p.b != nil {
			r.fail("%s: empty matrices", quote(path))
		}
		return nil
	}
	return p
}

// kernel returns the expected shape of a matrix. It is that of a convolution kernel if the tensor is one of
// equal size.
func (r *peftReader) kernel(path string, rows, columns int) []int {
	if t, _ := r.st.Tensor(peftPrefix + path); len(t.Shape) == 4 && t.Shape[0] == rows && elements(t.Shape[1:]) == columns {
		return t.Shape
	}
	return []int{rows, columns}
}

// block reads the deltas of one block.
func (r *peftReader) block(block int, parts map[part]string) (deltas []lora.Delta, err error) {
	c := vit.Config{Width: r.width, MLP: r.mlp, SwiGLU: r.swiglu && block != arch.PoolBlock}
	rs := r.doc.rsLoRA
	add := func(p *pair, kind vit.Kind) {
		if p != nil {
			deltas = append(deltas, p.delta(vit.Site{Block: block, Kind: kind}, rs))
		}
	}
	for kind := vit.Q; kind <= vit.FC2; kind++ {
		if path, ok := parts[part(kind)]; ok {
			in, out := c.Dims(kind)
			add(r.pair(path, in, out), kind)
		}
	}
	if path, ok := parts[partQKV]; ok {
		if p := r.pair(path, r.width, 3*r.width); p != nil && !r.bypassed(path, p) {
			for i, piece := range p.split(3, rs) {
				add(piece, vit.Kind(i))
			}
		}
	}
	if path, ok := parts[partKV]; ok {
		if p := r.pair(path, r.width, 2*r.width); p != nil {
			for i, piece := range p.split(2, rs) {
				add(piece, vit.K+vit.Kind(i))
			}
		}
	}
	halves := make([]*pair, 2)
	for i, p := range []part{partGate, partUp} {
		if path, ok := parts[p]; ok {
			halves[i] = r.pair(path, r.width, r.mlp)
		}
	}
	if halves[0] == nil && halves[1] == nil {
		return deltas, nil
	}
	p, err := fuse(halves, r.mlp, rs)
	if err != nil { // parts with two different scales
		p, err = fuse([]*pair{halves[0].fold(rs), halves[1].fold(rs)}, r.mlp, rs)
	}
	add(p, vit.FC1)
	return deltas, err
}

// bypassed reports whether the base's library multiplies with the weight of the module at path and never calls the module, so
// that what PEFT puts beside it does nothing: that of timm's BEiT and EVA-02, whose biases of q and v lie apart. Such matrices
// cannot have been trained, as no gradient reaches them; others are an error.
func (r *peftReader) bypassed(path string, p *pair) bool {
	if !r.bypasses() {
		return false
	}
	if len(p.live()) > 0 {
		r.fail("%s: timm's %s multiplies with the weight of this module without calling it, so PEFT's matrices beside it change nothing there, but B is not zero",
			quote(path), r.base.Family)
	}
	return true
}

func (r *peftReader) bypasses() bool {
	return r.base != nil && r.base.Source == "timm" && r.base.QKVBias && r.base.NoKeyBias
}

// classifier returns the head, or nil if there is none. The two heads of a distilled DeiT, whose logits are
// averaged, are combined into one on the features of both tokens.
func (r *peftReader) classifier() *vit.Head {
	if l := r.layout; l.two != nil && (r.touches(l.two[1]) || r.o.HeadDist != nil && r.touches(l.two[0])) {
		one, other := r.head(l.two[0], r.o.Head), r.head(l.two[1], r.o.HeadDist)
		if one == nil || other == nil {
			return nil
		}
		if one.Classes != other.Classes || one.Features != other.Features {
			r.fail("heads of %d and %d classes, expected the same", one.Classes, other.Classes)
			return nil
		}
		return average(one, other)
	}
	for _, name := range r.layout.heads {
		if r.touches(name) {
			return r.head(name, r.o.Head)
		}
	}
	return nil
}

// touches reports whether the adapter has a head of that name, or changes the base's.
func (r *peftReader) touches(name string) bool {
	return r.hasHead(name) || r.alters(r.layout.headPath(name))
}

// head returns one head: the saved one, or the base's own with the adapter's changes.
func (r *peftReader) head(name string, own *vit.Head) *vit.Head {
	path := r.layout.headPath(name)
	switch {
	case r.hasHead(name):
		return r.linear(path)
	case own == nil || r.o.Look:
		r.takeAll(path)
		if !r.o.Look {
			r.fail("%s: is adapted, not saved: the base with its head is needed to know what becomes of it", quote(path))
		}
		return nil
	}
	m := matrixOf(own.W, own.Bias, own.Classes, own.Features)
	if !r.alter(path, m) {
		return nil
	}
	return &vit.Head{Classes: own.Classes, Features: own.Features, W: m.w, Bias: m.bias}
}

// hasHead reports whether the folder contains a head of that name, or its configuration names it. A head that
// is present but not in modules_to_save is reported as unused, because PEFT would not load it.
func (r *peftReader) hasHead(name string) bool {
	path := r.layout.headPath(name)
	_, there := r.st.Tensor(peftPrefix + path + ".weight")
	return there && r.doc.saves(path) || slices.Contains(r.doc.saved, name)
}

func (r *peftReader) linear(path string) *vit.Head {
	name := peftPrefix + path
	t, _ := r.st.Tensor(name + ".weight")
	h := &vit.Head{}
	if len(t.Shape) == 2 {
		h.Classes, h.Features = t.Shape[0], t.Shape[1]
	}
	h.W, h.Bias = r.floats(name+".weight", h.Classes, h.Features), r.floats(name+".bias", h.Classes)
	if h.W == nil || h.Bias == nil {
		return nil
	}
	if h.Classes == 0 || h.Features == 0 {
		r.fail("tensor %s: shape %v, expected [classes, features]", quote(name+".weight"), t.Shape)
		return nil
	}
	return h
}

// average returns the head on the concatenated features whose logits are the mean of both heads' logits.
func average(one, other *vit.Head) *vit.Head {
	n := one.Features
	h := &vit.Head{Classes: one.Classes, Features: 2 * n}
	for c := range one.Classes {
		for _, x := range []*vit.Head{one, other} {
			for _, v := range x.W[c*n : (c+1)*n] {
				h.W = append(h.W, v/2)
			}
		}
		h.Bias = append(h.Bias, one.Bias[c]/2+other.Bias[c]/2)
	}
	return h
}
