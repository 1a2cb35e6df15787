package train

import (
	"context"
	"errors"
	"fmt"
	"math"

	"melo.example/melo/compute"
	"melo.example/melo/dataset"
	"melo.example/melo/internal/kernel"
)

// Features holds the features of some samples, computed by a frozen backbone.
type Features struct {
	Size int       // values per sample
	X    []float32 // [n, Size]
	Targets
	Samples []int // [n] indices in the data set
}

// N returns the number of samples.
func (f *Features) N() int { return len(f.Samples) }

// View replaces images [n, 3, side, side] in place by another view of them, such as their mirror images.
type View func(images []float32)

// Backbone is a frozen network that computes features; *lora.Tuner with method linear is one.
type Backbone interface {
	MaxBatch() int
	// PrefixSize is the number of features per image.
	PrefixSize() int
	// Prefix sets dst [n, PrefixSize] to the features of n images.
	Prefix(dst, images []float32, n int)
}

// GatherFeatures computes the features of every sample of an epoch. The data must not be augmented. The first
// result has the features of the images themselves, followed by one for each view.
func GatherFeatures(ctx context.Context, model Backbone, data Data, views ...View) ([]*Features, error) {
	list := make([]*Features, 1+len(views))
	for v := range list {
		list[v] = &Features{Size: model.PrefixSize()}
	}
	for b, err := range data.EpochFrom(ctx, 0, 0) {
		if err != nil {
			return nil, &DataError{err}
		}
		for v, f := range list {
			if v > 0 {
				views[v-1](b.Images)
			}
			f.add(model, b.Images, b.N)
			f.Label, f.Present, f.Samples = append(f.Label, b.Labels...), append(f.Present, b.Targets...), append(f.Samples, b.Indices...)
		}
	}
	if list[0].N() == 0 {
		return nil, &DataError{errors.New("train: no sample could be loaded")}
	}
	return list, nil
}

// Join returns the samples of all lists, concatenated.
func Join(list []*Features) *Features {
	all := &Features{Size: list[0].Size}
	for _, f := range list {
		all.X, all.Samples = append(all.X, f.X...), append(all.Samples, f.Samples...)
		all.Label, all.Present = append(all.Label, f.Label...), append(all.Present, f.Present...)
	}
	return all
}

// MeanOf returns the mean features of several views of the same samples. A linear head maps it to the mean of
// its logits for the views.
func MeanOf(views []*Features) *Features {
	if len(views) == 1 {
		return views[0]
	}
	mean := *views[0]
	mean.X = make([]float32, len(mean.X))
	for _, f := range views {
		for i, v := range f.X {
			mean.X[i] += v / float32(len(views))
		}
	}
	return &mean
}

// Part returns the samples for which keep is true.
func (f *Features) Part(keep func(sample int) bool) *Features {
	part := &Features{Size: f.Size}
	k := len(f.Present) / max(f.N(), 1)
	for i, s := range f.Samples {
		if keep(s) {
			part.X, part.Samples = append(part.X, f.X[i*f.Size:(i+1)*f.Size]...), append(part.Samples, s)
			part.Label, part.Present = append(part.Label, f.Label[i]), append(part.Present, f.Present[i*k:(i+1)*k]...)
		}
	}
	return part
}

// AbsSum returns the mean over samples of the sum of |x|.
func (f *Features) AbsSum() float64 {
	sum := 0.0
	for _, v := range f.X {
		sum += math.Abs(float64(v))
	}
	return sum / float64(max(f.N(), 1))
}

// Evaluation returns logits [n, classes] for the samples as an Evaluation.
func (f *Features) Evaluation(task dataset.Task, logits []float32) *Evaluation {
	e := &Evaluation{Task: task, Classes: len(logits) / f.N(), Indices: f.Samples, Logits: logits}
	for _, t := range f.Present {
		e.Truth = append(e.Truth, t != 0)
	}
	return e
}

// add appends the features of n images, in passes.
func (f *Features) add(model Backbone, images []float32, n int) {
	values := len(images) / n
	for i := 0; i < n; i += model.MaxBatch() {
		k := min(model.MaxBatch(), n-i)
		at := len(f.X)
		f.X = append(f.X, make([]float32, k*f.Size)...)
		model.Prefix(f.X[at:], images[i*values:(i+k)*values], k)
	}
}

// Probe is a linear classifier of frozen features. It minimises the loss plus a penalty, which is chosen on
// validation samples. Every run starts from it, and a run's result must not be worse.
type Probe struct {
	W       []float32 // [classes, features]
	Bias    []float32 // [classes]
	Penalty float64   // factor of half the sum of squares of W, for features of variance 1, added to the mean loss
	Loss    float64   // mean over the training samples, without the penalty
	Blind   float64   // lowest mean loss of a constant prediction
}

// probePenalties are tried in this order. Each fit starts from the previous one.
var probePenalties = []float64{10, 3, 1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001}

// Limits of a fit: solver steps per penalty, and the gradient norm, relative to the first one, at which it
// stops.
const (
	probeSteps     = 60
	probeTolerance = 1e-3
)

// FitProbe fits a probe to training samples, and chooses the penalty by the loss on validation samples. The
// search ends after that loss has become worse twice. The result depends only on the arguments.
func FitProbe(workers compute.Workers, train *Features, classes int, loss Loss, val *Features) (*Probe, error) {
	ex := kernel.NewExec(workers)
	blind, err := blindLoss(ex, train, classes, loss)
	if err != nil {
		return nil, err
	}
	s := newProbeSolver(ex, train, classes, loss)
	var best *Probe
	bestScore, worse := math.Inf(1), 0
	for _, penalty := range probePenalties {
		value, err := s.solve(penalty)
		if err != nil {
			return nil, err
		}
		p := s.probe(penalty, value)
		p.Blind = blind
		score := meanLoss(loss, val.Targets, p.Logits(val))
		switch {
		case score < bestScore:
			best, bestScore, worse = p, score, 0
		default:
			worse++
		}
		if worse == 2 {
			break
		}
	}
	if best == nil {
		return nil, fmt.Errorf("train: linear probe: no penalty gives finite scores on validation")
	}
	return best, nil
}

// FitProbeWith fits a probe with a given penalty.
func FitProbeWith(workers compute.Workers, train *Features, classes int, loss Loss, penalty float64) (*Probe, error) {
	ex := kernel.NewExec(workers)
	blind, err := blindLoss(ex, train, classes, loss)
	if err != nil {
		return nil, err
	}
	s := newProbeSolver(ex, train, classes, loss)
	value, err := s.solve(penalty)
	if err != nil {
		return nil, err
	}
	p := s.probe(penalty, value)
	p.Blind = blind
	return p, nil
}

// meanLoss returns the mean loss of logits.
func meanLoss(loss Loss, t Targets, logits []float32) (sum float64) {
	losses := make([]float64, len(t.Label))
	loss.Backward(losses, make([]float32, len(logits)), logits, t, loss.Weight(t))
	for _, v := range losses {
		sum += v
	}
	return sum
}

// blindLoss returns the lowest loss of a constant prediction, by fitting a bias to features that are all equal.
func blindLoss(ex *kernel.Exec, f *Features, classes int, loss Loss) (float64, error) {
	same := &Features{Size: 1, X: make([]float32, f.N()), Targets: f.Targets, Samples: f.Samples}
	return newProbeSolver(ex, same, classes, loss).solve(1)
}

// Logits returns the logits [n, classes].
func (p *Probe) Logits(f *Features) []float32 {
	k := len(p.Bias)
	out := make([]float32, f.N()*k)
	for i := range f.N() {
		x := f.X[i*f.Size : (i+1)*f.Size]
		for c := range k {
			out[i*k+c] = kernel.Dot(p.W[c*f.Size:(c+1)*f.Size], x) + p.Bias[c]
		}
	}
	return out
}

// probeSolver minimises the mean loss over standardised features plus a penalty by L-BFGS (Nocedal, Mathematics of
// Computation 35, 1980). Its variables are W, row by row, then the biases.
type probeSolver struct {
	ex           *kernel.Exec
	n, d, k      int
	x            kernel.Mat // standardised
	mean, spread []float64
	targets      Targets
	loss         Loss
	weight       float64

	w      []float64
	logits []float32
	dlog   []float32
	losses []float64
	wf, gf kernel.Mat
}

func newProbeSolver(ex *kernel.Exec, f *Features, classes int, loss Loss) *probeSolver {
	n, d := f.N(), f.Size
	s := &probeSolver{ex: ex, n: n, d: d, k: classes, targets: f.Targets, loss: loss, weight: loss.Weight(f.Targets),
		x: kernel.NewMat(n, d), mean: make([]float64, d), spread: make([]float64, d), w: make([]float64, classes*(d+1)),
		logits: make([]float32, n*classes), dlog: make([]float32, n*classes), losses: make([]float64, n),
		wf: kernel.NewMat(classes, d), gf: kernel.NewMat(classes, d)}
	squares := make([]float64, d)
	for i := range n {
		for c, v := range f.X[i*d : (i+1)*d] {
			s.mean[c] += float64(v) / float64(n)
		}
	}
	for i := range n {
		for c, v := range f.X[i*d : (i+1)*d] {
			squares[c] += (float64(v) - s.mean[c]) * (float64(v) - s.mean[c]) / float64(n)
		}
	}
	top := 0.0
	for _, v := range squares {
		top = max(top, v)
	}
	for c, v := range squares {
		// a feature that hardly varies carries no information and is not scaled up
		s.spread[c] = math.Sqrt(max(v, 1e-8*top))
		if s.spread[c] == 0 {
			s.spread[c] = 1
		}
	}
	for i := range n {
		row := s.x.Row(i)
		for c, v := range f.X[i*d : (i+1)*d] {
			row[c] = float32((float64(v) - s.mean[c]) / s.spread[c])
		}
	}
	return s
}

// value returns the objective at w and sets g to its gradient.
func (s *probeSolver) value(w, g []float64, penalty float64) float64 {
	for c := range s.k {
		row := s.wf.Row(c)
		for j := range row {
			row[j] = float32(w[c*s.d+j])
		}
	}
	logits := kernel.View(s.logits, s.n, s.k)
	s.ex.GemmMat(logits, s.x, s.wf, true, 1, false)
	bias := w[s.k*s.d:]
	for i := range s.n {
		row := logits.Row(i)
		for c := range row {
			row[c] += float32(bias[c])
		}
	}
	s.loss.Backward(s.losses, s.dlog, s.logits, s.targets, s.weight)
	sum := 0.0
	for _, v := range s.losses {
		sum += v
	}
	clear(s.gf.Data)
	s.ex.GemmTN(s.gf, kernel.View(s.dlog, s.n, s.k), s.x, s.n)
	gb := g[s.k*s.d:]
	clear(gb)
	for i := range s.n {
		for c := range s.k {
			gb[c] += float64(s.dlog[i*s.k+c])
		}
	}
	for c := range s.k {
		for j, v := range s.gf.Row(c) {
			at := c*s.d + j
			g[at] = float64(v) + penalty*w[at]
			sum += penalty * w[at] * w[at] / 2
		}
	}
	return sum
}

// solve minimises the objective with a penalty, starting from s.w, and returns the loss there, without the
// penalty.
func (s *probeSolver) solve(penalty float64) (float64, error) {
	n := len(s.w)
	g, next, ng, dir := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	value := s.value(s.w, g, penalty)
	var memory []curvature
	enough := probeTolerance * max(norm2(g), 1e-2)
	for range probeSteps {
		if norm2(g) <= enough {
			break
		}
		descent(dir, g, memory)
		slope := dot64(dir, g)
		if slope >= 0 { // rounding has spoiled the memory
			memory = nil
			descent(dir, g, memory)
			slope = dot64(dir, g)
		}
		t := 1.0
		if memory == nil {
			t = min(1, 1/norm2(g))
		}
		ok := false
		for range 20 {
			for i := range next {
				next[i] = s.w[i] + t*dir[i]
			}
			v := s.value(next, ng, penalty)
			if v <= value+1e-4*t*slope {
				ok, value = true, v
				break
			}
			t /= 2
		}
		if !ok {
			break // as precise as single precision allows
		}
		c := curvature{make([]float64, n), make([]float64, n), 0}
		for i := range n {
			c.s[i], c.y[i] = next[i]-s.w[i], ng[i]-g[i]
		}
		if sy := dot64(c.s, c.y); sy > 1e-12*norm2(c.s)*norm2(c.y) {
			c.rho = 1 / sy
			memory = append(memory, c)
			if len(memory) > lbfgsMemory {
				memory = memory[1:]
			}
		}
		copy(s.w, next)
		copy(g, ng)
	}
	value = s.value(s.w, g, penalty)
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return 0, errors.New("train: linear probe: the loss is not finite")
	}
	for i := range s.k * s.d {
		value -= penalty * s.w[i] * s.w[i] / 2
	}
	return value, nil
}

// lbfgsMemory is the number of steps that L-BFGS remembers.
const lbfgsMemory = 10

// curvature is the information from one step: the changes s of the variables and y of the gradient, and 1 /
// sᵀy.
type curvature struct {
	s, y []float64
	rho  float64
}

// descent sets dir to minus the approximate inverse Hessian times g.
func descent(dir, g []float64, memory []curvature) {
	for i, v := range g {
		dir[i] = -v
	}
	a := make([]float64, len(memory))
	for i := len(memory) - 1; i >= 0; i-- {
		m := &memory[i]
		a[i] = m.rho * dot64(m.s, dir)
		axpy64(dir, m.y, -a[i])
	}
	if k := len(memory); k > 0 {
		m := &memory[k-1]
		scale := 1 / (m.rho * dot64(m.y, m.y))
		for i := range dir {
			dir[i] *= scale
		}
	}
	for i := range memory {
		m := &memory[i]
		axpy64(dir, m.s, a[i]-m.rho*dot64(m.y, dir))
	}
}

func dot64(a, b []float64) (sum float64) {
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

func norm2(a []float64) float64 { return math.Sqrt(dot64(a, a)) }

func axpy64(y, x []float64, a float64) {
	for i, v := range x {
		y[i] += a * v
	}
}

// probe returns the classifier at s.w, converted to unstandardised features.
func (s *probeSolver) probe(penalty, loss float64) *Probe {
	p := &Probe{W: make([]float32, s.k*s.d), Bias: make([]float32, s.k), Penalty: penalty, Loss: loss}
	for c := range s.k {
		bias := s.w[s.k*s.d+c]
		for j := range s.d {
			w := s.w[c*s.d+j] / s.spread[j]
			p.W[c*s.d+j] = float32(w)
			bias -= w * s.mean[j]
		}
		p.Bias[c] = float32(bias)
	}
	return p
}
