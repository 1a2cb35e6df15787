package experiment

import (
	"errors"
	"testing"

	"melo.example/melo/lora"
)

// TestTunePlansKeepToTheirCost: what a plan is said to cost is what successive halving comes to at most.
func TestTunePlansKeepToTheirCost(t *testing.T) {
	for _, epochs := range []int{1, 2, 5, 6, 20, 50} {
		o := Defaults()
		o.Epochs = epochs
		s := &SweepOptions{Options: o, Search: "halving", Eta: tuneEta, Seeds: 1}
		for i := range tunePlans {
			p := &tunePlans[i]
			s.Try = p.try(&o)
			list, err := s.candidates()
			if err != nil {
				t.Fatal(err)
			}
			if len(list) != len(p.steps)*len(p.epochs) {
				t.Errorf("plan %d: %d candidates: the given settings are not among them", i, len(list))
			}
			// The worst case: those with the most epochs win every round.
			shares := s.shares(len(list), epochs)
			cost := 0.0
			var left []float64
			for _, c := range list[1:] {
				left = append(left, float64(c.o.Epochs)/float64(epochs))
			}
			for round, share := range shares {
				for _, n := range left {
					cost += share * n
				}
				if round < len(shares)-1 {
					keep := max(1, (len(left)+tuneEta-1)/tuneEta)
					most := left[0]
					for _, n := range left {
						most = max(most, n)
					}
					left = left[:keep]
					for k := range left {
						left[k] = most
					}
				}
			}
			if got := p.cost(s); got < cost+1-1e-9 {
				t.Errorf("plan %d with %d epochs: said to cost %v, may cost %v", i, epochs, got, cost+1)
			}
		}
	}
}

func TestTuneRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		times  int
		change func(*Options)
	}{
		"too few runs": {2, func(*Options) {}},
		"a rate":       {10, func(o *Options) { o.LR = 1e-3 }},
		"linear":       {10, func(o *Options) { o.Method = lora.LinearOnly }},
	} {
		o := Defaults()
		c.change(&o)
		_, err := Tune(t.Context(), &o, c.times, nil, nil, nil)
		if s := (*SettingError)(nil); !errors.As(err, &s) || s.Setting != "tune" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
