package pretrain

import (
	"math"
	"math/rand/v2"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit"
)

// Model is a backbone whose every weight is trained, with a linear head on the class token for what is told of the
// whole image and one on each patch token for what is told of the patch. It is a train.Model. Not safe for concurrent
// use.
type Model struct {
	trainer       compute.Trainer
	ex            *kernel.Exec // of the heads
	global, local *head
	params        []compute.Param
	outputs       int

	features      kernel.Mat // [n, tokens*width] of the last Forward
	dfeatures     kernel.Mat
	patch, dpatch kernel.Mat // outputs of the local head for all tokens [n*tokens, local]
	whole, dwhole kernel.Mat // of the global head [n, global]
	logits        []float32
}

// head is a linear map.
type head struct {
	w, b, gw, gb []float32
	in, out      int
}

func newHead(in, out int, rng *rand.Rand) *head {
	h := &head{w: make([]float32, in*out), b: make([]float32, out), gw: make([]float32, in*out), gb: make([]float32, out), in: in, out: out}
	for i := range h.w {
		h.w[i] = float32(rng.NormFloat64() * 0.5 / math.Sqrt(float64(in)))
	}
	return h
}

func (h *head) params(name string) []compute.Param {
	return []compute.Param{
		{Name: name + ".weight", Shape: []int{h.out, h.in}, Data: h.w, Grad: h.gw, Decay: true, LRScale: 1},
		{Name: name + ".bias", Shape: []int{h.out}, Data: h.b, Grad: h.gb, LRScale: 1},
	}
}

// NewModel returns a model for batches of up to maxBatch images. base is copied. global and local are the numbers of
// targets of an image and of a patch; products are of precision p.
func NewModel(base *vit.Model, maxBatch, global, local int, p vit.Precision, seed uint64) (*Model, error) {
	c, err := base.Pooled(vit.PoolTokens)
	if err != nil {
		return nil, err
	}
	trainer, err := c.NewTrainer(maxBatch, compute.Training{All: true, Precision: p})
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(seed, 0x6865616473)) // "heads"
	d, t := c.Width, c.Tokens()
	m := &Model{trainer: trainer, ex: kernel.NewExec(base), global: newHead(d, global, rng), local: newHead(d, local, rng),
		outputs: global + c.Grid()*c.Grid()*local}
	m.params = append(m.params, trainer.Params()...)
	m.params = append(m.params, m.global.params("global")...)
	m.params = append(m.params, m.local.params("local")...)
	m.dfeatures = kernel.NewMat(maxBatch, t*d)
	m.patch, m.dpatch = kernel.NewMat(maxBatch*t, local), kernel.NewMat(maxBatch*t, local)
	m.whole, m.dwhole = kernel.NewMat(maxBatch, global), kernel.NewMat(maxBatch, global)
	m.logits = make([]float32, maxBatch*m.outputs)
	return m, nil
}

// Base returns the backbone in training, with class-token pooling.
func (m *Model) Base() (*vit.Model, error) { return m.trainer.Model().Pooled(vit.PoolClass) }

// Params returns what is trained.
func (m *Model) Params() []compute.Param { return m.params }

// Classes is the number of outputs of an image.
func (m *Model) Classes() int { return m.outputs }

// MaxBatch is the most images of a pass.
func (m *Model) MaxBatch() int { return m.trainer.MaxBatch() }

// SetStep does nothing: there is no dropout.
func (m *Model) SetStep(_, _ int) {}

// Updated repacks the weights.
func (m *Model) Updated() { m.trainer.Updated() }

// views returns the tokens of a matrix [n, tokens*width], all of them and those of the class.
func (m *Model) views(f kernel.Mat) (tokens, class kernel.Mat) {
	d, t := m.trainer.Model().Width, m.trainer.Model().Tokens()
	tokens = kernel.View(f.Data, f.Rows*t, d)
	return tokens, kernel.Mat{Data: f.Data, Rows: f.Rows, Cols: d, Stride: t * d}
}

// Forward returns the outputs of n images: global ones, then those of each patch.
func (m *Model) Forward(images []float32, n int, _ bool) []float32 {
	f := m.trainer.Forward(images, n, true)
	m.features = kernel.View(f, n, len(f)/n)
	tokens, class := m.views(m.features)
	ex, t := m.ex, m.trainer.Model().Tokens()
	patch, whole := m.patch.RowRange(0, n*t), m.whole.RowRange(0, n)
	m.global.forward(ex, whole, class)
	m.local.forward(ex, patch, tokens)
	g, l := m.global.out, m.local.out
	for i := range n {
		out := m.logits[i*m.outputs:][:m.outputs]
		copy(out, whole.Row(i))
		copy(out[g:], patch.Data[(i*t+1)*l:(i+1)*t*l])
	}
	return m.logits[:n*m.outputs]
}

// Backward adds the gradients for those of the outputs of the last Forward.
func (m *Model) Backward(dlogits []float32) {
	n, t := m.features.Rows, m.trainer.Model().Tokens()
	g, l := m.global.out, m.local.out
	dpatch, dwhole := m.dpatch.RowRange(0, n*t), m.dwhole.RowRange(0, n)
	for i := range n {
		d := dlogits[i*m.outputs:][:m.outputs]
		copy(dwhole.Row(i), d)
		clear(dpatch.Row(i * t)) // nothing local is told of the class token
		copy(dpatch.Data[(i*t+1)*l:(i+1)*t*l], d[g:])
	}
	dfeatures := m.dfeatures.RowRange(0, n)
	tokens, class := m.views(m.features)
	dtokens, dclass := m.views(dfeatures)
	ex := m.ex
	m.local.backward(ex, dtokens, tokens, dpatch, t, false)
	m.global.backward(ex, dclass, class, dwhole, 1, true)
	m.trainer.Backward(dfeatures.Data)
}

func (h *head) forward(ex *kernel.Exec, y, x kernel.Mat) {
	ex.GemmMat(y, x, kernel.View(h.w, h.out, h.in), true, 1, false)
	for r := range y.Rows {
		kernel.AddTo(y.Row(r), h.b)
	}
}

// backward adds the gradients of the head and sets (or adds to) that of its input; the rows of an image are each.
func (h *head) backward(ex *kernel.Exec, dx, x, dy kernel.Mat, each int, add bool) {
	ex.GemmTN(kernel.View(h.gw, h.out, h.in), dy, x, each)
	for r := range dy.Rows {
		kernel.AddTo(h.gb, dy.Row(r))
	}
	ex.GemmMat(dx, dy, kernel.View(h.w, h.out, h.in), false, 1, add)
}
