package lora

import (
	"math"
	"slices"
	"strings"

	"melo.example/melo/vit"
)

// Pace says how far one step of the optimizer moves what a map or a head answers, where every number of a gradient
// points the same way: a bound that is independent of the width of the base, of the size of its activations, and of an
// adapter's rank and scale. Rates follow from it, see Tuner.SetPace.
//
// Adam moves each number of a parameter by about its rate. So x W' changes by up to the rate times the sum of |x|, and
// what is safe for one base is far too much for a wider one, or for one whose activations are large beside its outputs
// (maximal-update parametrisation, arXiv 2203.03466; for adapters arXiv 2312.03732 and 2402.12354).
type Pace struct {
	A     float64 `json:"a,omitempty"`     // of the adapter's inner activations x Aᵀ, beside their first size
	B     float64 `json:"b,omitempty"`     // of a map's output by its adapter's B, beside the output
	Ratio float64 `json:"ratio,omitempty"` // of B's rate to A's (LoRA+), in the place of B; 0: by B
	Full  float64 `json:"full,omitempty"`  // of the output of q and v by their own weights, beside the output
	Decay float64 `json:"decay,omitempty"` // of Full: the rate of a block over that of the block above
	Head  float64 `json:"head"`            // of a logit
}

// Rates are the rates that a pace comes to: medians over sites, and of Full that of the head's side.
type Rates struct {
	A    float64 `json:"a,omitempty"`
	B    float64 `json:"b,omitempty"`
	Full float64 `json:"full,omitempty"`
	Head float64 `json:"head"`
}

// SetPace sets the rates of all parameters (Param.LRScale, for a schedule whose peak is 1) by what a gauge has found on
// the base's q and v and on the adapter's sites, and by the mean sum of |x| of the features.
func (t *Tuner) SetPace(p Pace, g *Gauge, features float64) Rates {
	r := Rates{Head: safeRate(p.Head, features)}
	var as, bs []float64
	if t.method == FullTuning {
		r.Full = fullRate(p.Full, g)
	}
	for i := range t.params {
		q := &t.params[i]
		rate := 0.0
		switch {
		case strings.HasPrefix(q.Name, "head."):
			rate = r.Head
		case t.method == FullTuning:
			rate = r.Full * math.Pow(p.Decay, float64(t.trainer.Model().Depth-depthOf(q.Name)))
		default:
			d := &t.adapter.Deltas[i/2] // A, then B of each
			a, b := deltaRates(p, g.At(d.Site), d)
			if p.Ratio > 0 {
				b = p.Ratio * a
			}
			if rate = a; i%2 == 1 {
				rate, bs = b, append(bs, b)
			} else {
				as = append(as, a)
			}
		}
		q.LRScale = float32(rate)
	}
	r.A, r.B = median(as), median(bs)
	return r
}

// deltaRates are the rates of A and B. A begins uniform within ±1/sqrt(in), so that a number of x Aᵀ has the size
// of one of x over sqrt 3.
func deltaRates(p Pace, s Size, d *Delta) (a, b float64) {
	u := s.X / math.Sqrt(3)
	const meanOfNormal = 0.8 // E|z| of a standard normal z
	return safeRate(p.A*u, s.X1), safeRate(p.B*s.Y, float64(d.Scale)*float64(d.Rank)*meanOfNormal*u)
}

// fullRate is one rate for all blocks: what the median of q and v can take.
func fullRate(pace float64, g *Gauge) float64 {
	var rates []float64
	for site, s := range g.sites {
		if site.Kind == vit.Q || site.Kind == vit.V {
			size := s.size()
			rates = append(rates, safeRate(pace*size.Y, size.X1))
		}
	}
	return median(rates)
}

// safeRate is move over by; nothing is trained where nothing passes.
func safeRate(move, by float64) float64 {
	if by <= 0 {
		return 0
	}
	return move / by
}

// depthOf is how many blocks are below a parameter of a backbone, that of its own among them: 0 of the embedding, and as
// for the last block for what follows it.
func depthOf(name string) int {
	if number, ok := strings.CutPrefix(name, "blocks."); ok {
		n := 0
		for _, c := range number {
			if c < '0' || c > '9' {
				break
			}
			n = 10*n + int(c-'0')
		}
		return n + 1
	}
	return 0
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	slices.Sort(x)
	return x[len(x)/2]
}
