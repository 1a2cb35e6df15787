package train

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/dataset"
	"melo.example/melo/internal/par"
)

// TestAdamWByHand follows two steps of two numbers in float64, with decay, clipping and a scaled rate.
func TestAdamWByHand(t *testing.T) {
	pool := par.New(1)
	defer pool.Close()
	p := compute.Param{Name: "w", Data: []float32{1, -2}, Grad: make([]float32, 2), Decay: true, LRScale: 2}
	still := compute.Param{Name: "b", Data: []float32{3}, Grad: make([]float32, 1), LRScale: 1}
	cfg := AdamWConfig{Beta1: 0.9, Beta2: 0.99, Eps: 1e-3, WeightDecay: 0.1, Clip: 2}
	o := NewAdamW([]compute.Param{p, still}, cfg, pool)
	w, m, v := []float64{1, -2}, []float64{0, 0}, []float64{0, 0}
	for step, g := range [][]float64{{3, 4}, {0.3, -0.4}} {
		norm := math.Hypot(g[0], g[1])
		scale := min(1, cfg.Clip/(norm+1e-6))
		const lr = 2 * 0.05
		for i := range w {
			d := g[i] * scale
			m[i] = 0.9*m[i] + 0.1*d
			v[i] = 0.99*v[i] + 0.01*d*d
			mh, vh := m[i]/(1-math.Pow(0.9, float64(step+1))), v[i]/(1-math.Pow(0.99, float64(step+1)))
			w[i] -= lr*0.1*w[i] + lr*mh/(math.Sqrt(vh)+1e-3)
			p.Grad[i] = float32(g[i])
		}
		got, err := o.Step(0.05)
		if err != nil || math.Abs(got-norm) > 1e-6 {
			t.Fatalf("norm %v, want %v; %v", got, norm, err)
		}
		for i := range w {
			if math.Abs(float64(p.Data[i])-w[i]) > 1e-6 { // a few roundings of numbers of order 1
				t.Errorf("step %d: w[%d] is %v, want %v", step, i, p.Data[i], w[i])
			}
			if p.Grad[i] != 0 {
				t.Error("the gradient was not set to zero")
			}
		}
	}
	if still.Data[0] != 3 {
		t.Error("a parameter without decay and gradient was changed")
	}
}

// TestAdamWPieces: parameters of every length around a piece's, on any number of workers, are updated
// alike, number by number.
func TestAdamWPieces(t *testing.T) {
	var want []float32
	for _, workers := range []int{1, 3} {
		pool := par.New(workers)
		defer pool.Close()
		rng := rand.New(rand.NewPCG(1, 1))
		var params []compute.Param
		for _, n := range []int{0, 1, pieceSize - 1, pieceSize, pieceSize + 1, 3*pieceSize + 5} {
			p := compute.Param{Name: "p", Data: make([]float32, n), Grad: make([]float32, n), LRScale: 1, Decay: true}
			for i := range n {
				p.Data[i], p.Grad[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
			}
			params = append(params, p)
		}
		o := NewAdamW(params, AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1, Clip: 1}, pool)
		before := slices.Clone(params[5].Data)
		if _, err := o.Step(0.1); err != nil {
			t.Fatal(err)
		}
		for i, v := range params[5].Data {
			if v == before[i] {
				t.Fatalf("number %d was not updated", i)
			}
		}
		if want == nil {
			want = params[5].Data
		} else if !slices.Equal(want, params[5].Data) {
			t.Error("workers change the result")
		}
	}
}

func TestAdamWNamesWhatIsNotFinite(t *testing.T) {
	pool := par.New(1)
	defer pool.Close()
	a := compute.Param{Name: "a", Data: []float32{1}, Grad: []float32{1}, LRScale: 1}
	b := compute.Param{Name: "b", Data: []float32{1}, Grad: []float32{float32(math.NaN())}, LRScale: 1}
	o := NewAdamW([]compute.Param{a, b}, AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}, pool)
	if _, err := o.Step(0.1); err == nil || !strings.Contains(err.Error(), "gradient of b") || a.Data[0] != 1 {
		t.Errorf("%v, a = %v", err, a.Data)
	}
}

func TestConstant(t *testing.T) {
	s := Constant(2, 4)
	for step, want := range map[int]float64{0: 0.5, 3: 2, 4: 2, 1000: 2} {
		if got := s(step); got != want {
			t.Errorf("step %d: %v, expected %v", step, got, want)
		}
	}
	if got := Constant(2, 0)(0); got != 2 {
		t.Errorf("without warm-up: %v", got)
	}
}

func TestCosine(t *testing.T) {
	s := Cosine(1, 0.1, 4, 14)
	for step, want := range map[int]float64{0: 0.25, 3: 1, 4: 1, 9: 0.55, 14: 0.1, 99: 0.1} {
		if got := s(step); math.Abs(got-want) > 1e-12 {
			t.Errorf("step %d: %v, want %v", step, got, want)
		}
	}
	if got := Cosine(1, 0, 0, 2)(1); math.Abs(got-0.5) > 1e-12 {
		t.Errorf("without warm-up: %v", got)
	}
}

// TestLossValues: values of torch.nn.functional.cross_entropy (weight, label_smoothing=0.1) and
// binary_cross_entropy_with_logits (pos_weight), PyTorch 2.15, float64.
func TestLossValues(t *testing.T) {
	z := []float32{1, -0.5, 2, 0.25, 3, -1}
	targets := Targets{Label: []int{2, 0}, Present: []float32{1, 0, 1, 0, 0, 1}}
	for _, c := range []struct {
		task      dataset.Task
		smoothing float64
		weights   []float64
		want      float64
	}{
		{dataset.MultiClass, 0, nil, 1.600287616628},
		{dataset.MultiClass, 0.1, []float64{1, 2, 0.5}, 2.082817059652},
		{dataset.MultiLabel, 0, nil, 1.017009190285},
		{dataset.MultiLabel, 0, []float64{1, 2, 0.5}, 0.896993382072},
	} {
		l, err := NewLoss(c.task, 3, c.smoothing, c.weights)
		if err != nil {
			t.Fatal(err)
		}
		losses, d := make([]float64, 2), make([]float32, 6)
		l.Backward(losses, d, z, targets, l.Weight(targets))
		if got := losses[0] + losses[1]; math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s, smoothing %v, weights %v: %.12f, want %.12f", c.task, c.smoothing, c.weights, got, c.want)
		}
	}
}

// TestLossGradient compares with central differences, smoothing and weights included.
func TestLossGradient(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, task := range []dataset.Task{dataset.Binary, dataset.MultiLabel} {
		const n, k = 4, 3
		l, err := NewLoss(task, k, 0.2, []float64{0.7, 2, 1.1})
		if err != nil {
			t.Fatal(err)
		}
		targets := Targets{Label: make([]int, n), Present: make([]float32, n*k)}
		z := make([]float32, n*k)
		for i := range n {
			targets.Label[i] = rng.IntN(k)
			for c := range k {
				z[i*k+c], targets.Present[i*k+c] = float32(3*rng.NormFloat64()), float32(rng.IntN(2))
			}
		}
		losses, d, scratch := make([]float64, n), make([]float32, n*k), make([]float32, n*k)
		weight := l.Weight(targets)
		l.Backward(losses, d, z, targets, weight)
		at := func(i int, v float32) float64 {
			old := z[i]
			z[i] = v
			l.Backward(losses, scratch, z, targets, weight)
			z[i] = old
			sum := 0.0
			for _, v := range losses {
				sum += v
			}
			return sum
		}
		const h = 1.0 / 512 // exact in float32
		for i, v := range z {
			// h^2 of curvature, and a float32 gradient.
			if got := (at(i, v+h) - at(i, v-h)) / (2 * h); math.Abs(got-float64(d[i])) > 1e-5 {
				t.Errorf("%s: logit %d: difference %v, gradient %v", task, i, got, d[i])
			}
		}
	}
}

// TestLossOfExtremeLogits stays finite where the exponentials do not.
func TestLossOfExtremeLogits(t *testing.T) {
	for _, task := range []dataset.Task{dataset.MultiClass, dataset.MultiLabel} {
		l, err := NewLoss(task, 2, 0.1, nil)
		if err != nil {
			t.Fatal(err)
		}
		losses, d := make([]float64, 1), make([]float32, 2)
		l.Backward(losses, d, []float32{1e30, -1e30}, Targets{[]int{1}, []float32{0, 1}}, 1)
		if !(losses[0] > 1e29) || d[0]-d[0] != 0 || d[1]-d[1] != 0 {
			t.Errorf("%s: loss %v, gradients %v", task, losses, d)
		}
	}
}

func TestNewLossRefuses(t *testing.T) {
	for _, c := range []struct {
		smoothing float64
		weights   []float64
	}{{1, nil}, {-0.1, nil}, {math.NaN(), nil}, {0, []float64{1}}, {0, []float64{1, 0}}, {0, []float64{1, math.Inf(1)}}} {
		if _, err := NewLoss(dataset.Binary, 2, c.smoothing, c.weights); err == nil {
			t.Errorf("accepted %+v", c)
		}
	}
}

func TestBalancedWeights(t *testing.T) {
	d := &dataset.Dataset{Task: dataset.MultiClass, Labels: []string{"a", "b"}, Samples: make([]dataset.Sample, 4)}
	d.Samples[3].Label = 1
	if got := BalancedWeights(d, []int{0, 1, 2, 3}); got[0] != 4.0/6 || got[1] != 2 {
		t.Errorf("got %v, want 2/3 and 2", got)
	}
	m := &dataset.Dataset{Task: dataset.MultiLabel, Labels: []string{"a", "b"}, Samples: []dataset.Sample{
		{Targets: []float32{1, 0}}, {Targets: []float32{0, 0}}, {Targets: []float32{0, 0}}, {Targets: []float32{1, 0}}, {Targets: []float32{1, 0}}}}
	if got := BalancedWeights(m, []int{0, 1, 2, 3, 4}); got[0] != 2.0/3 || got[1] != 5 {
		t.Errorf("got %v, want 2/3 and 5", got)
	}
}
