package train

import (
	"fmt"
	"math"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// AdamWConfig holds the hyperparameters of AdamW (Loshchilov and Hutter, arXiv 1711.05101).
type AdamWConfig struct {
	Beta1 float64 `json:"beta1"`
	Beta2 float64 `json:"beta2"`
	Eps   float64 `json:"eps"`
	// WeightDecay is decoupled from the gradient: w -= lr * WeightDecay * w, for parameters that decay.
	WeightDecay float64 `json:"weight_decay"`
	// Clip limits the norm of all gradients together; 0 disables clipping.
	Clip float64 `json:"clip"`
}

// AdamW updates parameters from their gradients. It divides the work into pieces that do not depend on the
// number of workers, so the result does not either. It is not safe for concurrent use.
type AdamW struct {
	AdamWConfig
	params []compute.Param
	m, v   [][]float32 // first and second moments, parallel to params
	steps  int         // completed updates

	workers compute.Workers
	pieces  []piece
	norms   []float64 // sum of squares of each piece's gradients
	norm    normTask
	update  updateTask
}

// piece is a range of one parameter's values.
type piece struct{ param, from, to int }

// pieceSize is the maximum size of a piece: some microseconds of work.
const pieceSize = 1 << 14

// piecesOf divides parameters into pieces.
func piecesOf(params []compute.Param) (pieces []piece) {
	for i, p := range params {
		for at := 0; at < len(p.Data); at += pieceSize {
			pieces = append(pieces, piece{i, at, min(at+pieceSize, len(p.Data))})
		}
	}
	return pieces
}

// NewAdamW returns an optimizer of params with zero moments.
func NewAdamW(params []compute.Param, cfg AdamWConfig, workers compute.Workers) *AdamW {
	o := &AdamW{AdamWConfig: cfg, params: params, workers: workers, pieces: piecesOf(params)}
	for _, p := range params {
		n := len(p.Data)
		o.m, o.v = append(o.m, make([]float32, n)), append(o.v, make([]float32, n))
	}
	o.norms = make([]float64, len(o.pieces))
	o.norm.o, o.update.o = o, o
	return o
}

// Step updates every parameter with learning rate lr (times its own LRScale), sets the gradients to zero, and
// returns the norm of all gradients before clipping. If the norm is not finite, nothing changes and the error
// names the first gradient at fault.
func (o *AdamW) Step(lr float64) (norm float64, err error) {
	o.workers.Run(len(o.pieces), &o.norm)
	sum := 0.0
	for _, s := range o.norms {
		sum += s
	}
	norm = math.Sqrt(sum)
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return norm, o.blame(norm)
	}
	scale := 1.0
	if o.Clip > 0 {
		scale = min(1, o.Clip/(norm+1e-6)) // as torch.nn.utils.clip_grad_norm_
	}
	o.steps++
	o.update.factors = o.factors(lr, scale)
	o.workers.Run(len(o.pieces), &o.update)
	return norm, nil
}

// forget sets the gradients to zero, when a step is skipped.
func (o *AdamW) forget() {
	for _, p := range o.params {
		clear(p.Grad)
	}
}

// blame returns an error that names the first parameter whose gradient is not finite.
func (o *AdamW) blame(norm float64) error {
	for k, s := range o.norms {
		if math.IsNaN(s) || math.IsInf(s, 0) {
			return fmt.Errorf("the gradient of %s is not finite", o.params[o.pieces[k].param].Name)
		}
	}
	return fmt.Errorf("the norm of the gradients is %v", norm)
}

// factors holds the constants of one update that are the same for all parameters.
type factors struct {
	kernel.AdamWFactors
	rate, decay float64 // learning rate / bias correction of m, and learning rate * weight decay
}

// factors returns the constants of update number o.steps, counted from 1.
func (o *AdamW) factors(lr, scale float64) factors {
	t := float64(o.steps)
	return factors{
		AdamWFactors: kernel.AdamWFactors{
			Beta1: float32(o.Beta1), Keep1: float32(1 - o.Beta1),
			Beta2: float32(o.Beta2), Keep2: float32(1 - o.Beta2),
			Root: float32(1 / math.Sqrt(1-math.Pow(o.Beta2, t))), Eps: float32(o.Eps), Scale: float32(scale),
		},
		rate: lr / (1 - math.Pow(o.Beta1, t)), decay: lr * o.WeightDecay,
	}
}

// normTask sums the squares of one piece's gradients.
type normTask struct{ o *AdamW }

func (t *normTask) Do(_, i int) {
	p := t.o.pieces[i]
	t.o.norms[i] = sumSquares(t.o.params[p.param].Grad[p.from:p.to])
}

// updateTask updates one piece.
type updateTask struct {
	o       *AdamW
	factors factors
}

func (t *updateTask) Do(_, i int) {
	p := t.o.pieces[i]
	w := &t.o.params[p.param]
	f := t.factors
	if w.LRScale != 1 {
		f.rate, f.decay = f.rate*float64(w.LRScale), f.decay*float64(w.LRScale)
	}
	if !w.Decay {
		f.decay = 0
	}
	f.Shrink, f.Rate = float32(1-f.decay), float32(f.rate)
	kernel.AdamW(w.Data[p.from:p.to], w.Grad[p.from:p.to], t.o.m[p.param][p.from:p.to], t.o.v[p.param][p.from:p.to], &f.AdamWFactors)
}

// sumSquares returns the sum of x*x, as four interleaved sums in float64. It is finite if and only if every x
// is.
func sumSquares(x []float32) float64 {
	var s [4]float64
	for ; len(x) >= 4; x = x[4:] {
		for j := range s {
			s[j] += float64(x[j]) * float64(x[j])
		}
	}
	for j, v := range x {
		s[j] += float64(v) * float64(v)
	}
	return s[0] + s[1] + s[2] + s[3]
}
