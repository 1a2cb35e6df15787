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

// A PEFT adapter may change more than low-rank updates of the blocks' linear maps: biases, row norms (DoRA,
// arXiv 2402.09353), the patch embedding, or whole modules. All of these are exact operations on the base's
// weights, so such an adapter is imported as a fully fine-tuned base: every weight after the adapter's changes
// (File.Extra).

// PEFT's names of the other tensors of a module.
const (
	// [out], in some versions with the suffix ".weight"; for a convolution [1, out, 1, 1]
	peftMagnitude = ".lora_magnitude_vector"
	peftBiasB     = ".lora_B.bias"      // [out], added after scaling
	peftInner     = ".base_layer"       // before the name of a wrapped module
	peftOriginal  = ".original_module." // in the names of modules replaced by modules_to_save
	peftSaved     = ".modules_to_save." // in the names of their replacements
)

// matrix is a linear map W [out, in], or a convolution viewed as one, and its bias, nil if there is none.
type matrix struct {
	w, bias []float32
	out, in int
}

func matrixOf(w, bias []float32, out, in int) *matrix {
	return &matrix{slices.Clone(w), slices.Clone(bias), out, in}
}

// tensorOf returns the name of the first of a module's tensors, by suffix, that exists.
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

// newBias returns the name of a module's bias if the adapter contains one.
func (r *peftReader) newBias(path string) (string, bool) {
	if !r.bringsBiases() {
		return "", false
	}
	return r.tensorOf(path, peftInner+".bias", ".bias")
}

func (r *peftReader) bringsBiases() bool { return r.doc.bias == "all" || r.doc.bias == "lora_only" }

// alters reports whether the adapter changes a module of the base without replacing it.
func (r *peftReader) alters(path string) bool {
	if _, ok := r.tensorOf(path, peftA, peftB); ok {
		return true
	}
	_, ok := r.newBias(path)
	return ok
}

// takeAll marks all of a module's tensors as used.
func (r *peftReader) takeAll(path string) {
	for _, name := range r.st.Names() {
		if strings.HasPrefix(name, peftPrefix+path+".") {
			r.used[name] = true
		}
	}
}

// alter applies the adapter's changes to the module at path to m. If a tensor is missing or wrong it returns
// false, and finish reports it.
func (r *peftReader) alter(path string, m *matrix) bool {
	if name, ok := r.newBias(path); ok {
		bias := r.floats(name, m.out)
		if m.bias == nil && bias != nil {
			r.fail("tensor %s: the base has no bias there", quote(name))
		}
		m.bias = bias
	} else if r.bringsBiases() && m.bias != nil { // PEFT writes the biases of all adapted maps
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
	if _, x, ok := r.layout.find(path); ok && x.part == partQKV && r.bypasses() {
		r.fail("%s: timm's %s multiplies with the weight of this module without calling it, so that PEFT changes nothing there", quote(path), r.base.Family)
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

// resize scales each row to the norm that DoRA has learned.
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

// changes lists, for a message, what the adapter changes besides low-rank updates of the blocks' maps and the
// head. It is empty for plain LoRA.
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

// copied reports whether a tensor is a copy, under the name of a module replaced by modules_to_save or of its
// replacement. PEFT writes both in addition to the new module if it writes all biases.
func (r *peftReader) copied(name string) bool {
	if strings.Contains(name, peftOriginal) {
		return true
	}
	twin, ok := r.st.Tensor(strings.Replace(name, peftSaved, ".", 1))
	t, _ := r.st.Tensor(name)
	return strings.Contains(name, peftSaved) && ok && bytes.Equal(t.Data, twin.Data)
}

// cutPEFT splits the name of a tensor into the module of the base and the name within it. lora reports whether
// the latter is one of PEFT's.
func cutPEFT(path string) (module, last string, lora bool) {
	if i := strings.LastIndex(path, ".lora_"); i >= 0 {
		return path[:i], path[i+1:], true
	}
	i := strings.LastIndexByte(path, '.')
	return strings.TrimSuffix(path[:max(i, 0)], peftInner), path[i+1:], false
}

// savesIn reports whether modules_to_save contains the module at path, or one that contains it.
func (r *peftReader) savesIn(path string) bool {
	for p := path; p != ""; p = p[:max(strings.LastIndexByte(p, '.'), 0)] {
		if r.doc.saves(p) {
			return true
		}
	}
	return false
}

// canonical returns the modules of the network's description that a module in the file corresponds to, in the
// order of its rows; nil if there are none.
func (r *peftReader) canonical(path string) []string {
	if name := r.layout.outside(path); name != "" {
		return []string{name}
	}
	block, m, ok := r.layout.find(path)
	if !ok {
		return nil
	}
	name := func(module string) string {
		if block == arch.PoolBlock {
			return "pool." + module
		}
		return arch.BlockName(block, module)
	}
	switch m.part {
	case partQKV:
		return []string{name("q"), name("k"), name("v")}
	case partKV:
		return []string{name("k"), name("v")}
	case partGate, partUp:
		return []string{name("fc1")}
	}
	return []string{name(vit.Kind(m.part).String())}
}

// overlay holds the base's weights after the adapter's changes, by the names of arch.Config.Params.
type overlay struct {
	model  *compute.Model
	params []arch.Param
	of     map[string][]float32
}

// numbers returns the values of a parameter, to be modified; nil if the network has no such parameter.
func (x *overlay) numbers(name string) []float32 {
	v, ok := x.of[name]
	if !ok {
		v = x.stored(name)
		x.of[name] = v
	}
	return v
}

// stored returns the numbers of the base. Those of a bias that it does not have are nil, also where a map that is made of
// several has zeros there.
func (x *overlay) stored(name string) []float32 {
	if !slices.ContainsFunc(x.params, func(p arch.Param) bool { return p.Name == name }) {
		return nil
	}
	return x.model.Parameter(name)
}

// view returns the values that one name in the file refers to, as pieces in order: for SwiGLU, gate and up are
// halves.
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

// changed returns every weight of the base after the adapter's changes. finish reports what is missing or
// wrong.
func (r *peftReader) changed(told []string) ([]safetensors.TensorData, error) {
	if r.o.Model == nil {
		return nil, fmt.Errorf("changes weights of the base (%s): the base is needed to know what becomes of them", strings.Join(told, ", "))
	}
	x := &overlay{r.o.Model, r.o.Model.Params(), map[string][]float32{}}
	for _, module := range r.touched() {
		r.changeModule(x, module)
	}
	if r.err != nil {
		return nil, nil // finish reports it, together with missing tensors
	}
	return x.tensors()
}

// touched returns, in order, the modules that have tensors in the file, without heads.
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
		return // reported as unused
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

// replace reads a tensor of any shape into the pieces.
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

// scatter copies consecutive values into pieces.
func scatter(pieces [][]float32, v []float32) {
	for _, p := range pieces {
		v = v[copy(p, v):]
	}
}

// tensors returns every weight that full fine-tuning would change, under the trainer's names.
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
				v = x.stored(name)
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

// parts returns the parameters of which a trainer's parameter consists: trainers join k and v.
func parts(name string) []string {
	for _, last := range []string{".weight", ".bias"} {
		if module, ok := strings.CutSuffix(name, ".kv"+last); ok {
			return []string{module + ".k" + last, module + ".v" + last}
		}
	}
	return []string{name}
}
