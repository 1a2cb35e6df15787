package pretrain

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"melo.example/melo/dataset"
	"melo.example/melo/imaging"
	"melo.example/melo/metric"
	"melo.example/melo/vit"
)

// A Probe measures what the features of a backbone are worth for labelled images: half of the images train a ridge
// regression on frozen features, the others give its AUC. It takes images of the training and validation splits
// only, and nothing of it flows into the backbone.
type Probe struct {
	Name   string
	labels int
	images []byte // [n, 3, side, side], 8 bits a sample
	truth  []int
	recipe imaging.Recipe
	train  int // the first so many
}

// NewProbe reads up to most images of a data set whose labels exclude each other.
func NewProbe(ctx context.Context, name string, ds *dataset.Dataset, recipe imaging.Recipe, most int) (*Probe, error) {
	if ds.Task == dataset.MultiLabel {
		return nil, fmt.Errorf("pretrain: probe %s: expected labels that exclude each other", name)
	}
	train, val, _, err := ds.Split(dataset.SplitOptions{Val: 0.5, Test: -1, Seed: 1})
	if err != nil {
		return nil, err
	}
	p := &Probe{Name: name, labels: len(ds.Labels), recipe: recipe}
	for k, part := range [][]int{train, val} {
		rng := rand.New(rand.NewPCG(1, 0x70726f6265)) // "probe"
		rng.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
		part = part[:min(len(part), most/2)]
		if len(part) < 2*p.labels {
			return nil, fmt.Errorf("pretrain: probe %s: %d images for %d labels", name, len(part), p.labels)
		}
		if err := p.load(ctx, ds, part); err != nil {
			return nil, err
		}
		if k == 0 {
			p.train = len(p.truth)
		}
	}
	return p, nil
}

func (p *Probe) load(ctx context.Context, ds *dataset.Dataset, part []int) error {
	l, err := dataset.NewLoader(ds, part, p.recipe, dataset.LoaderOptions{Batch: 16})
	if err != nil {
		return err
	}
	for b, err := range l.EpochFrom(ctx, 0, 0) {
		if err != nil {
			return err
		}
		plane := p.recipe.Size * p.recipe.Size
		for i, v := range b.Images {
			c := i / plane % 3
			p.images = append(p.images, uint8(math.Round(float64(v*p.recipe.Std[c]+p.recipe.Mean[c])*255)))
		}
		p.truth = append(p.truth, b.Labels[:b.N]...)
	}
	return nil
}

// passSize is how many images a probe passes through the backbone at once.
const passSize = 16

// AUC returns the macro AUC of the probe on a backbone.
func (p *Probe) AUC(ctx context.Context, m *vit.Model) (float64, error) {
	e := m.NewEngine(passSize)
	values, n, d := p.recipe.Values(), len(p.truth), m.Features()
	x, images := make([]float64, n*d), make([]float32, passSize*values)
	plane := p.recipe.Size * p.recipe.Size
	for i := 0; i < n; i += passSize {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		k := min(passSize, n-i)
		for j, v := range p.images[i*values : (i+k)*values] {
			c := j / plane % 3
			images[j] = (float32(v)/255 - p.recipe.Mean[c]) / p.recipe.Std[c]
		}
		f := e.Features(images, k)
		for r := range k {
			for c, v := range f[r*d : (r+1)*d] {
				x[(i+r)*d+c] = float64(v)
			}
		}
	}
	return p.fit(x, d)
}

// penalty is that of the ridge regression on standardised features, an image.
const penalty = 0.3

// fit standardises features [n, d] by the training part, fits one regression a label, and returns the AUC of the rest.
func (p *Probe) fit(x []float64, d int) (float64, error) {
	n := len(p.truth)
	standardise(x, d, p.train)
	a := make([]float64, d*d) // xᵀx + penalty
	for i := range p.train {
		row := x[i*d:][:d]
		for r, v := range row {
			out := a[r*d:][:r+1]
			for c := range out {
				out[c] += v * row[c]
			}
		}
	}
	for r := range d {
		a[r*d+r] += penalty * float64(p.train)
	}
	if !cholesky(a, d) {
		return 0, errors.New("pretrain: probe: the features are not finite")
	}
	pred := metric.Predictions{Labels: p.labels, Prob: make([]float64, (n-p.train)*p.labels), Truth: make([]bool, (n-p.train)*p.labels)}
	for label := range p.labels {
		w := p.regress(a, x, d, label)
		for i := p.train; i < n; i++ {
			var s float64
			for c, v := range x[i*d:][:d] {
				s += w[c] * v
			}
			k := (i-p.train)*p.labels + label
			pred.Prob[k], pred.Truth[k] = s, p.truth[i] == label
		}
	}
	auc, ok := pred.MacroAUC()
	if !ok {
		return 0, fmt.Errorf("pretrain: probe %s: a label has no images to measure on", p.Name)
	}
	return auc, nil
}

// regress solves for the weights of one label.
func (p *Probe) regress(a, x []float64, d, label int) []float64 {
	w := make([]float64, d)
	mean := 0.0
	for _, t := range p.truth[:p.train] {
		if t == label {
			mean += 1 / float64(p.train)
		}
	}
	for i, t := range p.truth[:p.train] {
		y := -mean
		if t == label {
			y++
		}
		for c, v := range x[i*d:][:d] {
			w[c] += y * v
		}
	}
	for r := range d { // L u = w
		for c := range r {
			w[r] -= a[r*d+c] * w[c]
		}
		w[r] /= a[r*d+r]
	}
	for r := d - 1; r >= 0; r-- { // Lᵀ w = u
		for c := r + 1; c < d; c++ {
			w[r] -= a[c*d+r] * w[c]
		}
		w[r] /= a[r*d+r]
	}
	return w
}

// standardise gives each column mean 0 and variance 1 over the first n rows.
func standardise(x []float64, d, n int) {
	for c := range d {
		var sum, squares float64
		for i := range n {
			v := x[i*d+c]
			sum, squares = sum+v, squares+v*v
		}
		mean := sum / float64(n)
		gain := 1 / math.Sqrt(max(squares/float64(n)-mean*mean, 1e-12))
		for i := c; i < len(x); i += d {
			x[i] = (x[i] - mean) * gain
		}
	}
}

// cholesky replaces the lower half of a by L with a = L Lᵀ; false if there is none.
func cholesky(a []float64, d int) bool {
	for r := range d {
		for c := range r + 1 {
			s := a[r*d+c]
			for k := range c {
				s -= a[r*d+k] * a[c*d+k]
			}
			switch {
			case c < r:
				a[r*d+c] = s / a[c*d+c]
			case !(s > 0):
				return false
			default:
				a[r*d+r] = math.Sqrt(s)
			}
		}
	}
	return true
}
