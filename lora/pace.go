package lora

import (
	"math"
	"slices"
	"strings"

	"melo.example/melo/vit"
)

// Pace limits how far one optimizer step moves the output of a linear map or a head, in the worst case that all
// elements of a gradient have the same sign. The limit is relative, so it does not depend on the base's width,
// the magnitude of its activations, or an adapter's rank and scale. Learning rates follow from it; see
// Tuner.SetPace.
//
// Adam changes each element of a parameter by about its learning rate. So x W' changes by up to the rate times
// the sum of |x|. A rate that is safe for one base is far too large for a wider one, or for one whose
// activations are large compared with its outputs (maximal-update parametrisation, arXiv 2203.03466; for
// adapters arXiv 2312.03732 and 2402.12354).
type Pace struct {
	A     float64 `json:"a,omitempty"`     // of the inner activations x Aᵀ, relative to their initial magnitude
	B     float64 `json:"b,omitempty"`     // of a map's output through B, relative to the output
	Ratio float64 `json:"ratio,omitempty"` // rate of B / rate of A (LoRA+), replaces B; 0: use B
	// of the outputs of q and v through their own weights, relative to the output
	Full  float64 `json:"full,omitempty"`
	Decay float64 `json:"decay,omitempty"` // for Full: rate of a block / rate of the block above
	Head  float64 `json:"head"`            // of a logit
}

// Rates are the learning rates that follow from a pace: medians over sites. For Full it is the rate of the
// uppermost block.
type Rates struct {
	A    float64 `json:"a,omitempty"`
	B    float64 `json:"b,omitempty"`
	Full float64 `json:"full,omitempty"`
	Head float64 `json:"head"`
}

// SetPace sets the learning rates of all parameters (Param.LRScale, for a schedule with peak 1). It uses what a
// gauge measured on the base's q and v and on the adapter's sites, and features, the mean sum of |x| of the
// features.
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
			d := &t.adapter.Deltas[i/2] // A and B of each delta
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

// deltaRates returns the rates of A and B. A is initialised uniformly within ±1/sqrt(in), so an element of x Aᵀ
// has the magnitude of an element of x over sqrt 3.
func deltaRates(p Pace, s Size, d *Delta) (a, b float64) {
	u := s.X / math.Sqrt(3)
	const meanOfNormal = 0.8 // E|z| of a standard normal z
	return safeRate(p.A*u, s.X1), safeRate(p.B*s.Y, float64(d.Scale)*float64(d.Rank)*meanOfNormal*u)
}

// fullRate returns one rate for all blocks: the median over the maps q and v.
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

// safeRate returns move / by, or 0 (no training) if by is 0.
func safeRate(move, by float64) float64 {
	if by <= 0 {
		return 0
	}
	return move / by
}

// depthOf returns the number of blocks up to and including that of a backbone's parameter: 0 for the embedding,
// and the same as for the last block for parameters after it.
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
