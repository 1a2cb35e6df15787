package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/dataset"
	"melo.example/melo/internal/golden"
)

// lossOf is the sum of a batch's losses, with its gradient in d.
func lossOf(l Loss, d, z []float32, t Targets) float64 {
	losses, sum := make([]float64, len(t.Label)), 0.0
	l.Backward(losses, d, z, t, l.Weight(t))
	for _, v := range losses {
		sum += v
	}
	return sum
}

// TestGoldenFocal: PyTorch's losses and gradients, over softmax and sigmoids, plain and with weights and smoothing.
func TestGoldenFocal(t *testing.T) {
	c := golden.Open(t, "loss_focal")
	z := c.Data("logits")
	targets := Targets{Present: c.Data("present")}
	for _, l := range c.Tensor("labels").Ints {
		targets.Label = append(targets.Label, int(l))
	}
	seen := 0
	for form, task := range map[string]dataset.Task{"softmax": dataset.MultiClass, "sigmoid": dataset.MultiLabel} {
		for _, gamma := range []float64{0.5, 1, 2, 5} {
			for _, how := range []string{"plain", "full"} {
				smoothing, weights := 0.0, []float64(nil)
				if how == "full" {
					smoothing, weights = 0.1, []float64{1, 2, 0.5, 1.5}
				}
				l, err := NewFocalLoss(task, 4, gamma, smoothing, weights)
				if err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprintf("%s.%s.%g.", form, how, gamma)
				d := make([]float32, len(z))
				// Both sides compute in float64 and round once, to float32: u = 6e-8.
				if got, want := lossOf(l, d, z, targets), float64(c.Data(name + "loss")[0]); math.Abs(got/want-1) > 1e-7 {
					t.Errorf("%sloss is %v, want %v", name, got, want)
				}
				c.Check(t, name+"grad", d, 2e-7)
				seen += 2
			}
		}
	}
	if all := len(c.Names("softmax.")) + len(c.Names("sigmoid.")); seen != all {
		t.Errorf("%d tensors compared, the case has %d", seen, all)
	}
}

// TestFocalGradient compares with central differences: binary, exclusive labels and others.
func TestFocalGradient(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for _, c := range []struct {
		task    dataset.Task
		classes int
	}{{dataset.Binary, 2}, {dataset.MultiClass, 4}, {dataset.MultiLabel, 3}} {
		for _, gamma := range []float64{0.7, 2, 3.5} {
			const n = 4
			weights := []float64{0.7, 2, 1.1, 1}[:c.classes]
			l, err := NewFocalLoss(c.task, c.classes, gamma, 0.2, weights)
			if err != nil {
				t.Fatal(err)
			}
			targets := Targets{Label: make([]int, n), Present: make([]float32, n*c.classes)}
			z, d, scratch := make([]float32, n*c.classes), make([]float32, n*c.classes), make([]float32, n*c.classes)
			for i := range n {
				targets.Label[i] = rng.IntN(c.classes)
			}
			for i := range z {
				z[i], targets.Present[i] = float32(3*rng.NormFloat64()), float32(rng.IntN(2))
			}
			lossOf(l, d, z, targets)
			const h = 1.0 / 512 // exact in float32
			for i, v := range z {
				z[i] = v + h
				up := lossOf(l, scratch, z, targets)
				z[i] = v - h
				down := lossOf(l, scratch, z, targets)
				z[i] = v
				// h^2 of curvature, and a float32 gradient.
				if got := (up - down) / (2 * h); math.Abs(got-float64(d[i])) > 1e-5 {
					t.Errorf("%s, gamma %v, logit %d: difference %v, gradient %v", c.task, gamma, i, got, d[i])
				}
			}
		}
	}
}

// TestFocalWithoutGamma is the plain loss, bit for bit.
func TestFocalWithoutGamma(t *testing.T) {
	z := []float32{1, -0.5, 2, 0.25, 3, -1}
	targets := Targets{Label: []int{2, 0}, Present: []float32{1, 0, 1, 0, 0, 1}}
	for _, task := range []dataset.Task{dataset.MultiClass, dataset.MultiLabel} {
		plain, err := NewLoss(task, 3, 0.1, []float64{1, 2, 0.5})
		if err != nil {
			t.Fatal(err)
		}
		zero, err := NewFocalLoss(task, 3, 0, 0.1, []float64{1, 2, 0.5})
		if err != nil {
			t.Fatal(err)
		}
		a, b := make([]float32, 6), make([]float32, 6)
		if lossOf(plain, a, z, targets) != lossOf(zero, b, z, targets) || !slices.Equal(a, b) {
			t.Errorf("%s: gamma 0 differs from the plain loss", task)
		}
	}
}

// TestFocalOfExtremeLogits stays finite where probabilities are 0 and 1, for powers below 1, too.
func TestFocalOfExtremeLogits(t *testing.T) {
	for _, task := range []dataset.Task{dataset.MultiClass, dataset.MultiLabel} {
		for _, gamma := range []float64{0.25, 1, 2} {
			for _, smoothing := range []float64{0, 0.1} {
				l, err := NewFocalLoss(task, 2, gamma, smoothing, nil)
				if err != nil {
					t.Fatal(err)
				}
				d := make([]float32, 2)
				for _, label := range []int{0, 1} {
					present := []float32{float32(1 - label), float32(label)}
					loss := lossOf(l, d, []float32{1e30, -1e30}, Targets{[]int{label}, present})
					if loss-loss != 0 || loss < 0 || d[0]-d[0] != 0 || d[1]-d[1] != 0 || label == 1 && !(loss > 1e29) {
						t.Errorf("%s, gamma %v, smoothing %v, label %d: loss %v, gradients %v", task, gamma, smoothing, label, loss, d)
					}
				}
			}
		}
	}
}

func TestNewFocalLossRefuses(t *testing.T) {
	for _, gamma := range []float64{-1, math.NaN(), math.Inf(1), MaxGamma + 1} {
		if _, err := NewFocalLoss(dataset.Binary, 2, gamma, 0, nil); err == nil || !strings.Contains(err.Error(), "gamma") {
			t.Errorf("gamma %v: %v", gamma, err)
		}
	}
	if _, err := NewFocalLoss(dataset.Binary, 2, 2, 1, nil); err == nil {
		t.Error("smoothing 1 accepted")
	}
}
