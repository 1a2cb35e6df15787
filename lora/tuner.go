package lora

import (
	"cmp"
	"fmt"
	"strings"

	"melo.example/melo/compute"
	"melo.example/melo/vit"
)

// Method selects what is trained.
type Method string

// The methods that the paper compares.
const (
	MeLo       Method = "melo"   // low-rank deltas and head
	LinearOnly Method = "linear" // head on frozen features
	FullTuning Method = "full"   // every weight
)

// Title returns a display name for a method.
func (m Method) Title() string {
	switch m {
	case LinearOnly:
		return "linear probe"
	case FullTuning:
		return "full fine-tuning"
	}
	return "low-rank adapter"
}

// Tuner is a model in training: a backbone, its trainable parameters, and a head. Package train drives it. It
// is not safe for concurrent use.
type Tuner struct {
	method  Method
	trainer compute.Trainer
	adapter *Adapter
	params  []compute.Param

	feat          []float32 // features of the last Forward [n, Features]
	logits, dfeat []float32
	gw, gb        []float32
}

// Options of a Tuner. The zero value is plain LoRA.
type Options struct {
	Dropout float32 // rate on the input of A
	BRatio  float32 // LoRA+: learning rate of B / learning rate of A; 0 means 1
	Seed    uint64  // seed of dropout

	// Precision of the products of FullTuning, F32 or BF16. The weights themselves are trained in float32. The
	// other methods use the precision of the base.
	Precision vit.Precision
}

// NewTuner returns a Tuner for batches of up to maxBatch images. start holds the head and, for MeLo, the
// deltas. They are trained in place and must fit the base.
func NewTuner(base *vit.Model, maxBatch int, method Method, start *Adapter, opt Options) (*Tuner, error) {
	if base == nil || base.Backend == nil || start == nil {
		return nil, fmt.Errorf("lora: training needs a base and an adapter to start from")
	}
	if err := start.Check(&base.Config); err != nil {
		return nil, err
	}
	if start.Head == nil {
		return nil, fmt.Errorf("lora: training needs a head")
	}
	var what compute.Training
	switch method {
	case MeLo:
		if len(start.Deltas) == 0 {
			return nil, fmt.Errorf("lora: method %q needs at least one adapted site", method)
		}
		what = compute.Training{Deltas: start.deltas(), Dropout: opt.Dropout, Seed: opt.Seed}
	case FullTuning:
		what = compute.Training{All: true, Precision: opt.Precision}
	case LinearOnly:
	default:
		return nil, fmt.Errorf("lora: unknown method %q, expected melo, linear or full", method)
	}
	if method != MeLo && len(start.Deltas) > 0 {
		return nil, fmt.Errorf("lora: method %q takes no adapted sites, got %d", method, len(start.Deltas))
	}
	trainer, err := base.NewTrainer(maxBatch, what)
	if err != nil {
		return nil, err
	}
	t := &Tuner{method: method, adapter: start, trainer: trainer, params: trainer.Params()}
	if method == MeLo {
		for i := range t.params { // LoRA+ (arXiv 2402.12354)
			if strings.HasSuffix(t.params[i].Name, ".B") {
				t.params[i].LRScale = cmp.Or(opt.BRatio, 1)
			}
		}
	}
	t.addHead(maxBatch)
	return t, nil
}

func (t *Tuner) addHead(maxBatch int) {
	h := t.adapter.Head
	t.gw, t.gb = make([]float32, len(h.W)), make([]float32, len(h.Bias))
	t.logits = make([]float32, maxBatch*h.Classes)
	t.dfeat = make([]float32, maxBatch*h.Features)
	t.params = append(t.params,
		compute.Param{Name: "head.weight", Shape: []int{h.Classes, h.Features}, Data: h.W, Grad: t.gw, Decay: true, LRScale: 1},
		compute.Param{Name: "head.bias", Shape: []int{h.Classes}, Data: h.Bias, Grad: t.gb, LRScale: 1})
}

// Params returns the trainable parameters with their gradients, in a fixed order.
func (t *Tuner) Params() []compute.Param { return t.params }

// Adapter returns the adapter in training.
func (t *Tuner) Adapter() *Adapter { return t.adapter }

// Base returns the backbone that the adapter belongs to. For FullTuning it is the trained copy.
func (t *Tuner) Base() *vit.Model { return t.trainer.Model() }

// Float32Base returns Base with all products in float32: for FullTuning a copy of the trained backbone,
// otherwise the base if it is in float32, else nil.
func (t *Tuner) Float32Base() *vit.Model { return t.trainer.Exact() }

// Classes returns the number of logits per image.
func (t *Tuner) Classes() int { return t.adapter.Head.Classes }

// SetMark implements compute.Profiled, if the base's trainer does.
func (t *Tuner) SetMark(mark func(block int, p compute.Part)) {
	if p, ok := t.trainer.(compute.Profiled); ok {
		p.SetMark(mark)
	}
}

// MaxBatch returns the largest number of images per pass.
func (t *Tuner) MaxBatch() int { return t.trainer.MaxBatch() }

// SetStep tells dropout which optimizer step is computed, and the index in the step's batch of the first image
// of the next Forward. So masks depend neither on how a batch is cut into passes nor on interruptions.
func (t *Tuner) SetStep(step, image int) { t.trainer.SetStep(step, image) }

// Forward returns the logits [n*classes] of n images [n, 3, side, side]. They are valid until the next call.
func (t *Tuner) Forward(images []float32, n int, training bool) []float32 {
	return t.classify(t.trainer.Forward(images, n, training))
}

// classify applies the head to features [n, Features].
func (t *Tuner) classify(features []float32) []float32 {
	h := t.adapter.Head
	t.feat = features
	out := t.logits[:len(features)/h.Features*h.Classes]
	h.Logits(out, features)
	return out
}

// PrefixSize returns the number of values per image that the frozen part of the model computes: the features
// for LinearOnly, the input of the lowest adapted block for MeLo. It is 0 if there is no such part.
func (t *Tuner) PrefixSize() int {
	if t.method == LinearOnly {
		return t.adapter.Head.Features
	}
	return t.trainer.PrefixSize()
}

// Prefix runs the frozen part on n images and writes the result to dst [n*PrefixSize].
func (t *Tuner) Prefix(dst, images []float32, n int) {
	if t.method == LinearOnly {
		copy(dst, t.trainer.Forward(images, n, false))
		return
	}
	t.trainer.Prefix(dst, images, n)
}

// ForwardFrom continues Forward from the results of Prefix, which must not change until Backward.
func (t *Tuner) ForwardFrom(prefix []float32, n int, training bool) []float32 {
	if t.method == LinearOnly {
		return t.classify(prefix[:n*t.adapter.Head.Features])
	}
	return t.classify(t.trainer.ForwardFrom(prefix, n, training))
}

// Backward accumulates the gradients of every parameter, given dlogits [n*classes] for the last Forward.
func (t *Tuner) Backward(dlogits []float32) {
	dfeat := t.dfeat[:len(t.feat)]
	if t.method == LinearOnly {
		dfeat = nil
	}
	t.adapter.Head.Backward(t.gw, t.gb, dfeat, dlogits, t.feat)
	if dfeat != nil {
		t.trainer.Backward(dfeat)
	}
}

// Updated must be called after the parameters have changed.
func (t *Tuner) Updated() { t.trainer.Updated() }
