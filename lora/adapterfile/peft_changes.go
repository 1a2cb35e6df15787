package adapterfile

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"melo.example/melo/compute"
	"melo.example/melo/lora"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// What an adapter of PEFT may change besides adding low-rank matrices to the maps of blocks: biases, the size of rows
// (DoRA, arXiv 2402.09353), the patch embedding, whole modules. All of it is exact arithmetic on the weights of the base,
// so such an adapter becomes a tuned base: every weight with what the adapter makes of it (File.Extra).

// How PEFT names the further tensors of a module.
const (
	peftMagnitude = ".lora_magnitude_vector" // [out], with ".weight" behind it in some versions; of a convolution [1, out, 1, 1]
	peftBiasB     = ".lora_B.bias"           // [out], added with the scale
	peftInner     = ".base_layer"            // before the name of what PEFT has wrapped
	peftOriginal  = ".original_module."      // in what modules_to_save has replaced
	peftSaved     = ".modules_to_save."      // in what it has replaced it with
)

// matrix is a map W [out, in], or a convolution as one, with its bias, nil if it has none.
type matrix struct {
	w, bias []float32
	out, in int
}

func matrixOf(w, bias []float32, out, in int) *matrix {
	return &matrix{slices.Clone(w), slices.Clone(bias), out, in}
}

// tensorOf returns the name of the first tensor of a module that is there.
func (r *peftReader) tensorOf(path string, suffixes ...string) (string, bool) {
	for _, s := range suffixes {
		if _, ok := r.st.Tensor(peftPrefix + path + s); ok {
			return peftPrefix + path + s, true
		}
	}
	return "", false
}

func (r *peftReader) magnitude(path string) (string, bool) {
	return r.tensorOf(path, peftMagnitude, peftMagnitude+".weight")
}

// newBias returns the name of a module's bias where the adapter brings one along.
func (r *peftReader) newBias(path string) (string, bool) {
	if !r.bringsBiases() {
		return "", false
	}
	return r.tensorOf(path, peftInner+".bias", ".bias")
}

func (r *peftReader) bringsBiases() bool { return r.doc.bias == "all" || r.doc.bias == "lora_only" }

// alters reports whether the adapter changes a module of the base that it does not replace.
func (r *peftReader) alters(path string) bool {
	if _, ok := r.tensorOf(path, peftA, peftB); ok {
		return true
	}
	_, ok := r.newBias(path)
	return ok
}

// takeAll notes all of a module's tensors as used.
func (r *peftReader) takeAll(path string) {
	for _, name := range r.st.Names() {
		if strings.HasPrefix(name, peftPrefix+path+".") {
			r.used[name] = true
		}
	}
}

// alter does to a map what the adapter does to the module at path. It returns false if a tensor is missing or wrong, which
// finish tells.
func (r *peftReader) alter(path string, m *matrix) bool {
	if name, ok := r.newBias(path); ok {
		bias := r.floats(name, m.out)
		if m.bias == nil && bias != nil {
			r.fail("tensor %s: the base has no bias there", quote(name))
		}
		m.bias = bias
	} else if r.bringsBiases() && m.bias != nil { // PEFT writes those of every map that it adapts
		r.missing = append(r.missing, peftPrefix+path+peftInner+".bias")
	}
	_, a := r.tensorOf(path, peftA)
	_, b := r.tensorOf(path, peftB)
	_, row := r.magnitude(path)
	if !a && !b && !row {
		return r.err == nil
	}
	p := r.pair(path, m.in, m.out)
	if p == nil {
		return false
	}
	scale := lora.ScaleFor(p.alpha, p.rank, r.doc.rsLoRA)
	m.add(p, scale)
	if r.doc.loraBias {
		bias := r.floats(peftPrefix+path+peftBiasB, m.out)
		if m.bias == nil && bias != nil {
			r.fail("tensor %s: the base has no bias there", quote(peftPrefix+path+peftBiasB))
		}
		if m.bias == nil || bias == nil {
			return false
		}
		for i, v := range bias {
			m.bias[i] += scale * v
		}
	}
	if r.doc.dora {
		return r.resize(path, m)
	}
	return r.err == nil
}

// add adds scale * B * A.
func (m *matrix) add(p *pair, scale float32) {
	for o := range m.out {
		row := m.w[o*m.in : (o+1)*m.in]
		for k := range p.rank {
			b := scale * p.b[o*p.rank+k]
			for i, a := range p.a[k*m.in : (k+1)*m.in] {
				row[i] += b * a
			}
		}
	}
}

// resize gives each row the length that DoRA has learnt for it.
func (r *peftReader) resize(path string, m *matrix) bool {
	name, ok := r.magnitude(path)
	if !ok {
		r.missing = append(r.missing, peftPrefix+path+peftMagnitude)
		return false
	}
	shape := []int{m.out}
	if t, _ := r.st.Tensor(name); len(t.Shape) == 4 {
		shape = []int{1, m.out, 1, 1}
	}
	lengths := r.floats(name, shape...)
	if lengths == nil {
		return false
	}
	for o, length := range lengths {
		row, sum := m.w[o*m.in:(o+1)*m.in], 0.0
		for _, v := range row {
			sum += float64(v) * float64(v)
		}
		if sum == 0 {
			r.fail("%s: row %d of the map has no direction to give the length %g", quote(path), o, length)
			return false
		}
		factor := float32(float64(length) / math.Sqrt(sum))
		for i := range row {
			row[i] *= factor
		}
	}
	return r.err == nil
}

// changes says in words what the adapter changes besides adding low-rank matrices to the maps of blocks and bringing a
// head; none for a plain one.
func (r *peftReader) changes() (told []string) {
	add := func(what string, when bool) {
		if when && !slices.Contains(told, what) {
			told = append(told, what)
		}
	}
	add("dora", r.doc.dora)
	add("lora_bias", r.doc.loraBias)
	add("bias "+r.doc.bias, r.bringsBiases())
	for _, name := range r.st.Names() {
		path, ok := strings.CutPrefix(name, peftPrefix)
		if !ok {
			continue
		}
		if r.copied(name) {
			r.used[name] = true
			continue
		}
		module, last, lora := cutPEFT(path)
		switch {
		case r.layout.isHead(module):
		case lora:
			add("patch embedding", r.layout.outside(module) == "patch_embed")
		case last == "bias" && r.bringsBiases():
		default:
			add("modules_to_save", r.savesIn(module) && r.canonical(module) != nil)
		}
	}
	return told
}

// copied reports whether a tensor is one more of what modules_to_save has replaced, or of what it has replaced it with:
// PEFT writes both beside the new one where it writes all biases.
func (r *peftReader) copied(name string) bool {
	if strings.Contains(name, peftOriginal) {
		return true
	}
	twin, ok := r.st.Tensor(strings.Replace(name, peftSaved, ".", 1))
	t, _ := r.st.Tensor(name)
	return strings.Contains(name, peftSaved) && ok && bytes.Equal(t.Data, twin.Data)
}

// cutPEFT takes the name of a tensor apart: the module of the base, and the name inside it, which lora says is one of PEFT's.
func cutPEFT(path string) (module, last string, lora bool) {
	if i := strings.LastIndex(path, ".lora_"); i >= 0 {
		return path[:i], path[i+1:], true
	}
	i := strings.LastIndexByte(path, '.')
	return strings.TrimSuffix(path[:max(i, 0)], peftInner), path[i+1:], false
}

// savesIn reports whether modules_to_save has the module at path, or one around it.
func (r *peftReader) savesIn(path string) bool {
	for p := path; p != ""; p = p[:max(strings.LastIndexByte(p, '.'), 0)] {
		if r.doc.saves(p) {
			return true
		}
	}
	return false
}

// canonical returns the modules of the network's description that a module of the file stands for, in the order of its
// rows; nil if it stands for none.
func (r *peftReader) canonical(path string) []string {
	if name := r.layout.outside(path); name != "" {
		return []string{name}
	}
	block, m, ok := r.layout.find(path)
	if !ok {
		return nil
	}
	switch m.part {
	case partQKV:
		return []string{arch.BlockName(block, "q"), arch.BlockName(block, "k"), arch.BlockName(block, "v")}
	case partGate, partUp:
		return []string{arch.BlockName(block, "fc1")}
	}
	return []string{arch.BlockName(block, vit.Kind(m.part).String())}
}

// overlay is the base with what an adapter makes of its weights, by the names of arch.Config.Params.
type overlay struct {
	model *compute.Model
	of    map[string][]float32
}

// numbers returns those of a parameter, to be changed; nil if the network has none of that name.
func (x *overlay) numbers(name string) []float32 {
	v, ok := x.of[name]
	if !ok {
		v = x.model.Parameter(name)
		x.of[name] = v
	}
	return v
}

// view returns the numbers that one name of the file stands for, as pieces in order: a half for the gate and the other
// input of SwiGLU.
func (r *peftReader) view(x *overlay, path, last string) (pieces [][]float32) {
	for _, name := range r.canonical(path) {
		v := x.numbers(name + "." + last)
		if v == nil {
			return nil
		}
		if _, m, ok := r.layout.find(path); ok && m.part == partGate {
			v = v[:len(v)/2]
		} else if ok && m.part == partUp {
			v = v[len(v)/2:]
		}
		pieces = append(pieces, v)
	}
	return pieces
}

// changed returns every weight of the base with what the adapter makes of it. What is missing or wrong finish tells.
func (r *peftReader) changed(told []string) ([]safetensors.TensorData, error) {
	if r.o.Model == nil {
		return nil, fmt.Errorf("changes weights of the base (%s): the base is needed to know what becomes of them", strings.Join(told, ", "))
	}
	x := &overlay{r.o.Model, map[string][]float32{}}
	for _, module := range r.touched() {
		r.changeModule(x, module)
	}
	if r.err != nil {
		return nil, nil // told by finish, with what is missing
	}
	return x.tensors()
}

// touched returns the modules with tensors of their own, but for heads, in order.
func (r *peftReader) touched() (list []string) {
	for _, name := range r.st.Names() {
		path, ok := strings.CutPrefix(name, peftPrefix)
		module, _, _ := cutPEFT(path)
		if ok && !r.layout.isHead(module) && !r.copied(name) && r.canonical(module) != nil && !slices.Contains(list, module) {
			list = append(list, module)
		}
	}
	return list
}

// changeModule replaces or alters one module.
func (r *peftReader) changeModule(x *overlay, path string) {
	w, b := r.view(x, path, "weight"), r.view(x, path, "bias")
	if w == nil {
		return // told as belonging to nothing
	}
	if r.savesIn(path) {
		r.replace(path+".weight", w)
		if b != nil || r.hasTensor(path+".bias") {
			r.replace(path+".bias", b)
		}
		return
	}
	m := &matrix{w: slices.Concat(w...), bias: slices.Concat(b...)}
	if b == nil {
		m.bias = nil
	}
	if m.out = len(m.bias); b == nil {
		m.out = r.dim(path+peftB, 0)
	}
	if m.out == 0 || len(m.w)%m.out != 0 {
		return
	}
	m.in = len(m.w) / m.out
	if r.alter(path, m) {
		scatter(w, m.w)
		scatter(b, m.bias)
	}
}

func (r *peftReader) hasTensor(path string) bool {
	_, ok := r.st.Tensor(peftPrefix + path)
	return ok
}

// replace reads a tensor of any shape over the pieces.
func (r *peftReader) replace(path string, pieces [][]float32) {
	name, n := peftPrefix+path, 0
	for _, p := range pieces {
		n += len(p)
	}
	t, ok := r.st.Tensor(name)
	if !ok {
		r.missing = append(r.missing, name)
		return
	}
	if size := elements(t.Shape); size != n {
		r.used[name] = true
		r.fail("tensor %s: shape %v, expected %d numbers as the base has", quote(name), t.Shape, n)
		return
	}
	if v := r.floats(name, t.Shape...); v != nil {
		scatter(pieces, v)
	}
}

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// scatter copies consecutive numbers into pieces.
func scatter(pieces [][]float32, v []float32) {
	for _, p := range pieces {
		v = v[copy(p, v):]
	}
}

// tensors returns every weight that training would change, under the names that a trainer gives them.
func (x *overlay) tensors() ([]safetensors.TensorData, error) {
	t, err := x.model.NewTrainer(1, compute.Training{All: true})
	if err != nil {
		return nil, err
	}
	var list []safetensors.TensorData
	for _, p := range t.Params() {
		values, at := p.Data, 0
		for _, name := range parts(p.Name) {
			v, changed := x.of[name]
			if !changed {
				v = x.model.Parameter(name)
			}
			at += copy(values[at:], v)
		}
		if at != 0 && at != len(values) {
			return nil, fmt.Errorf("%s: %d of %d numbers", p.Name, at, len(values))
		}
		d, err := encodeTensor(BasePrefix+p.Name, safetensors.F32, values, p.Shape)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
		for _, name := range parts(p.Name) {
			delete(x.of, name)
		}
	}
	for name, v := range x.of {
		if v != nil {
			return nil, fmt.Errorf("%s is changed, and is none of the weights that training changes", name)
		}
	}
	return list, nil
}

// parts returns what a trainer's parameter is made of: k and v are one there.
func parts(name string) []string {
	for _, last := range []string{".weight", ".bias"} {
		if module, ok := strings.CutSuffix(name, ".kv"+last); ok {
			return []string{module + ".k" + last, module + ".v" + last}
		}
	}
	return []string{name}
}
