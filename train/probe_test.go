package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"melo.example/melo/dataset"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/par"
)

// blobs are features of n samples of k labels, some dimensions far larger than others and away from zero.
func blobs(n, size, k int, task dataset.Task, seed uint64) *Features {
	rng := rand.New(rand.NewPCG(seed, 1))
	f := &Features{Size: size}
	for i := range n {
		label := i % k
		present := make([]float32, k)
		present[label] = 1
		if task == dataset.MultiLabel {
			for c := range present {
				present[c] = float32(rng.IntN(2))
			}
		}
		for j := range size {
			v := rng.NormFloat64()
			for c, p := range present {
				if p == 1 && j%k == c {
					v += 0.8
				}
			}
			f.X = append(f.X, float32((v+3)*math.Pow(10, float64(j%3))))
		}
		f.Label, f.Present, f.Samples = append(f.Label, label), append(f.Present, present...), append(f.Samples, i)
	}
	return f
}

func fitBlobs(t *testing.T, workers int, task dataset.Task, weights []float64) (*Probe, *Features, Loss) {
	t.Helper()
	pool := par.New(workers)
	t.Cleanup(pool.Close)
	const k = 3
	f := blobs(300, 24, k, task, 1)
	loss, err := NewLoss(task, k, 0.05, weights)
	if err != nil {
		t.Fatal(err)
	}
	val := blobs(300, 24, k, task, 2)
	p, err := FitProbe(pool, f, k, loss, val)
	if err != nil {
		t.Fatal(err)
	}
	return p, f, loss
}

// TestProbeIsTheOptimum: at the answer the gradient of loss and penalty, in standardised features and in plain float64,
// is as good as zero, for exclusive labels and others, weighted or not.
func TestProbeIsTheOptimum(t *testing.T) {
	for _, task := range []dataset.Task{dataset.MultiClass, dataset.MultiLabel} {
		for _, weights := range [][]float64{nil, {1, 4, 0.5}} {
			t.Run(fmt.Sprintf("%s %v", task, weights), func(t *testing.T) {
				p, f, loss := fitBlobs(t, 1, task, weights)
				n, d, k := f.N(), f.Size, len(p.Bias)
				dlogits := make([]float32, n*k)
				losses := make([]float64, n)
				loss.Backward(losses, dlogits, p.Logits(f), f.Targets, loss.Weight(f.Targets))
				for c := range k {
					bias := 0.0
					for i := range n {
						bias += float64(dlogits[i*k+c])
					}
					if math.Abs(bias) > 2e-3 {
						t.Errorf("gradient of bias %d: %v", c, bias)
					}
				}
				for j := range d {
					mean, square := 0.0, 0.0
					for i := range n {
						mean += float64(f.X[i*d+j]) / float64(n)
					}
					for i := range n {
						square += math.Pow(float64(f.X[i*d+j])-mean, 2) / float64(n)
					}
					spread := math.Sqrt(square)
					for c := range k {
						g := p.Penalty * float64(p.W[c*d+j]) * spread
						for i := range n {
							g += float64(dlogits[i*k+c]) * (float64(f.X[i*d+j]) - mean) / spread
						}
						if math.Abs(g) > 2e-3 {
							t.Errorf("gradient of weight %d, %d: %v", c, j, g)
						}
					}
				}
				if p.Loss >= p.Blind || p.Blind <= 0 {
					t.Errorf("loss %v, blind %v", p.Loss, p.Blind)
				}
			})
		}
	}
}

// TestRelationProbeWorkers: the probe does not depend on the workers.
func TestRelationProbeWorkers(t *testing.T) {
	want, _, _ := fitBlobs(t, 1, dataset.MultiClass, nil)
	if got, _, _ := fitBlobs(t, 3, dataset.MultiClass, nil); !reflect.DeepEqual(got, want) {
		t.Error("the probe of three workers differs")
	}
}

// TestBlindLoss: of exclusive labels it is their entropy.
func TestBlindLoss(t *testing.T) {
	pool := par.New(1)
	defer pool.Close()
	f := blobs(300, 2, 3, dataset.MultiClass, 1)
	for i := range 60 {
		f.Label[i] = 0
	}
	loss, err := NewLoss(dataset.MultiClass, 3, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := blindLoss(kernel.NewExec(pool), f, 3, loss)
	if err != nil {
		t.Fatal(err)
	}
	counts, want := make([]float64, 3), 0.0
	for _, l := range f.Label {
		counts[l]++
	}
	for _, c := range counts {
		want -= c / 300 * math.Log(c/300)
	}
	if math.Abs(got-want) > 1e-4 {
		t.Errorf("%v, want the entropy %v", got, want)
	}
}
