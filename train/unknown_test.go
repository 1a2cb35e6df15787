package train

import (
	"testing"

	"melo.example/melo/dataset"
)

// TestUnknownLabels: a label that is not known of an image adds neither to the loss nor to a gradient, and the others count
// as they do without it.
func TestUnknownLabels(t *testing.T) {
	for name, gamma := range map[string]float64{"cross-entropy": -1, "focal": 2} {
		loss := func(classes int) Loss {
			var l Loss
			var err error
			if gamma < 0 {
				l, err = NewLoss(dataset.MultiLabel, classes, 0.1, nil)
			} else {
				l, err = NewFocalLoss(dataset.MultiLabel, classes, gamma, 0.1, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		two, one := loss(2), loss(1)
		all := Targets{Present: []float32{1, dataset.Unknown, 0, dataset.Unknown}}
		some := Targets{Present: []float32{1, 0}}
		if two.Weight(all) != one.Weight(some) {
			t.Errorf("%s: weight %v, expected %v", name, two.Weight(all), one.Weight(some))
		}
		lossesAll, lossesSome := make([]float64, 2), make([]float64, 2)
		gradAll, gradSome := []float32{9, 9, 9, 9}, make([]float32, 2)
		two.Backward(lossesAll, gradAll, []float32{0.3, 5, -1, 7}, all, 2)
		one.Backward(lossesSome, gradSome, []float32{0.3, -1}, some, 2)
		for i := range 2 {
			if lossesAll[i] != lossesSome[i] || gradAll[2*i] != gradSome[i] || gradAll[2*i+1] != 0 {
				t.Errorf("%s: losses %v and %v, gradients %v and %v", name, lossesAll, lossesSome, gradAll, gradSome)
			}
		}
	}
}
