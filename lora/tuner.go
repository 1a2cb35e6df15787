package lora

import (
	"cmp"
	"fmt"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/par"
	"melo.example/melo/internal/param"
	"melo.example/melo/vit"
)

// Method says what is trained.
type Method string

// The methods that the paper compares.
const (
	MeLo       Method = "melo"   // low-rank deltas and head
	LinearOnly Method = "linear" // head on frozen features
	FullTuning Method = "full"   // every weight
)

// Title names a method for people.
func (m Method) Title() string {
	switch m {
	case LinearOnly:
		return "linear probe"
	case FullTuning:
		return "full fine-tuning"
	}
	return "low-rank adapter"
}

// Tuner is a model in training: a backbone, what is trained of it, and a head. It is what package train
// drives. Not safe for concurrent use.
type Tuner struct {
	method  Method
	engine  *vit.Engine
	adapter *Adapter
	deltas  *trainable // MeLo
	full    *vit.Full  // FullTuning
	params  []param.Param

	feat          kernel.Mat // of the last Forward
	logits, dfeat kernel.Mat
	gw, gb        []float32
}

// Options of a Tuner. The zero value is plain LoRA.
type Options struct {
	Dropout float32 // on the input of A
	BRatio  float32 // LoRA+ learning-rate ratio of B over A; 0 means 1
	Seed    uint64  // of dropout

	// Precision of the products of FullTuning, F32 or BF16; the weights themselves are trained in float32. The other
	// methods take that of the base.
	Precision vit.Precision
}

// NewTuner returns a Tuner for batches of up to maxBatch images. start gives the head and, for MeLo, the
// deltas, which are trained in place; it must fit the base.
func NewTuner(base *vit.Model, pool *par.Pool, maxBatch int, method Method, start *Adapter, opt Options) (*Tuner, error) {
	if err := start.Check(&base.Config); err != nil {
		return nil, err
	}
	if start.Head == nil {
		return nil, fmt.Errorf("lora: training needs a head")
	}
	t := &Tuner{method: method, adapter: start}
	from := base.Depth
	switch method {
	case MeLo:
		if len(start.Deltas) == 0 {
			return nil, fmt.Errorf("lora: method %q needs at least one adapted site", method)
		}
		from = start.Deltas[0].Site.Block
		t.deltas = newTrainable(start, opt.Dropout, opt.Seed)
		t.params = t.deltas.params(cmp.Or(opt.BRatio, 1))
	case FullTuning:
		from = 0
		t.full = vit.NewFullAs(kernel.NewExec(pool), base, opt.Precision)
		base = t.full.Model
		t.params = t.full.Params()
	case LinearOnly:
	default:
		return nil, fmt.Errorf("lora: unknown method %q, expected melo, linear or full", method)
	}
	if method != MeLo && len(start.Deltas) > 0 {
		return nil, fmt.Errorf("lora: method %q takes no adapted sites, got %d", method, len(start.Deltas))
	}
	t.engine = vit.NewEngine(base, pool, maxBatch, from)
	if t.full != nil {
		t.engine.EnableFull()
	}
	t.addHead(maxBatch)
	return t, nil
}

func (t *Tuner) addHead(maxBatch int) {
	h := t.adapter.Head
	t.gw, t.gb = make([]float32, len(h.W)), make([]float32, len(h.Bias))
	t.logits = kernel.NewMat(maxBatch, h.Classes)
	t.dfeat = kernel.NewMat(maxBatch, h.Features)
	t.params = append(t.params,
		param.Param{Name: "head.weight", Shape: []int{h.Classes, h.Features}, Data: h.W, Grad: t.gw, Decay: true, LRScale: 1},
		param.Param{Name: "head.bias", Shape: []int{h.Classes}, Data: h.Bias, Grad: t.gb, LRScale: 1})
}

// Params returns what is trained, with gradients, in a fixed order.
func (t *Tuner) Params() []param.Param { return t.params }

// Adapter returns the adapter in training.
func (t *Tuner) Adapter() *Adapter { return t.adapter }

// Base returns the backbone that the adapter now belongs to: for FullTuning the trained copy.
func (t *Tuner) Base() *vit.Model { return t.engine.Model() }

// Float32Base is Base with all products in float32: for FullTuning a copy of the trained backbone, else nil unless the
// base is so already.
func (t *Tuner) Float32Base() *vit.Model {
	switch m := t.Base(); {
	case m.Precision == vit.F32:
		return m
	case t.full != nil:
		return t.full.Float32(t.engine.Exec())
	}
	return nil
}

// Classes returns the number of logits of an image.
func (t *Tuner) Classes() int { return t.adapter.Head.Classes }

// SetMark sets the Mark of the engine, for profiles.
func (t *Tuner) SetMark(mark func(block int, p vit.Part)) { t.engine.Mark = mark }

// MaxBatch returns the largest batch.
func (t *Tuner) MaxBatch() int { return t.engine.MaxBatch() }

// SetStep tells dropout which optimizer step is computed, and which image of the step's batch is the first of
// the next Forward. So the masks depend neither on how a batch is cut into passes nor on interruptions.
func (t *Tuner) SetStep(step, image int) {
	if t.deltas != nil {
		t.deltas.dropout.step, t.deltas.dropout.image = uint64(step), uint64(image)
	}
}

// Forward returns the logits [n*classes] of n images [n, 3, side, side]; valid until the next call.
func (t *Tuner) Forward(images []float32, n int, training bool) []float32 {
	if t.deltas == nil {
		t.feat = t.engine.Forward(images, n, nil)
	} else {
		t.deltas.dropout.training = training
		t.feat = t.engine.Forward(images, n, t.deltas)
	}
	out := t.logits.RowRange(0, n)
	t.adapter.Head.Logits(out, t.feat)
	return out.Data
}

// PrefixSize returns how many numbers the frozen part of the model makes of an image: the features for
// LinearOnly, what enters the lowest adapted block for MeLo. It is 0 if there is no such part.
func (t *Tuner) PrefixSize() int {
	switch {
	case t.method == LinearOnly:
		return t.adapter.Head.Features
	case t.method == MeLo && t.engine.From() > 0:
		return t.engine.PrefixSize()
	}
	return 0
}

// Prefix runs the frozen part on n images into dst [n*PrefixSize].
func (t *Tuner) Prefix(dst, images []float32, n int) {
	if t.method == MeLo {
		t.engine.Prefix(dst, images, n)
		return
	}
	f := t.engine.Forward(images, n, nil)
	for i := range n {
		copy(dst[i*f.Cols:(i+1)*f.Cols], f.Row(i))
	}
}

// ForwardFrom is Forward from the results of Prefix on, which must stay as they are until Backward.
func (t *Tuner) ForwardFrom(prefix []float32, n int, training bool) []float32 {
	if t.method == MeLo {
		t.deltas.dropout.training = training
		t.feat = t.engine.ForwardFrom(prefix, n, t.deltas)
	} else {
		t.feat = kernel.View(prefix, n, t.adapter.Head.Features)
	}
	out := t.logits.RowRange(0, n)
	t.adapter.Head.Logits(out, t.feat)
	return out.Data
}

// Backward accumulates the gradients of every parameter from dlogits [n*classes] of the last Forward.
func (t *Tuner) Backward(dlogits []float32) {
	n := t.feat.Rows
	dl := kernel.View(dlogits, n, t.Classes())
	dfeat := t.dfeat.RowRange(0, n)
	if t.method == LinearOnly {
		dfeat = kernel.Mat{}
	}
	headGrad(t.adapter.Head, t.gw, t.gb, dfeat, dl, t.feat)
	switch t.method {
	case MeLo:
		t.engine.Backward(dfeat, t.deltas, nil)
	case FullTuning:
		t.engine.Backward(dfeat, nil, &t.full.Grads)
	}
}

// Updated is called after the parameters changed: full fine-tuning repacks its matrices.
func (t *Tuner) Updated() {
	if t.full != nil {
		t.full.Updated(t.engine.Exec())
	}
}
