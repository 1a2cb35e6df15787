package metric

import "math"

// influence is a number, a mean over runs, with what each sample does to it: to first order the number is off by the sum of
// what its samples add. So the variance is that of sums over units, whatever units are (Obuchowski, Biometrics 1997, for the
// AUC; the linearised ratio of surveys for shares).
type influence struct {
	value   float64
	defined bool
	z       []float64 // [n] sum to 0
	in      []bool    // [n] that take part: in the denominator
	other   []bool    // [n] of an AUC, the negatives; in are the positives. Nil: there is one kind
	size    float64   // of the denominator, a mean over runs
}

// variance of the sum over units, and the number of units of either kind that take part.
func (f *influence) variance(units [][]int) (v float64, k, kOther int) {
	var same, rest, cross float64
	for _, u := range units {
		var a, b float64
		var inA, inB bool
		for _, i := range u {
			switch {
			case f.in[i]:
				a, inA = a+f.z[i], true
			case f.other != nil && f.other[i]:
				b, inB = b+f.z[i], true
			}
		}
		if inA {
			k++
		}
		if inB {
			kOther++
		}
		same, rest, cross = same+a*a, rest+b*b, cross+a*b
	}
	v = same * unbiased(k)
	if f.other != nil {
		all := len(units)
		v += rest*unbiased(kOther) + 2*cross*unbiased(all)
	}
	return max(v, 0), k, kOther
}

// unbiased is what n-1 below makes of a sum over n.
func unbiased(n int) float64 {
	if n < 2 {
		return 1
	}
	return float64(n) / float64(n-1)
}

// correlation of two numbers of the same samples.
func correlation(a, b *influence, units [][]int) float64 {
	var aa, bb, ab float64
	for _, u := range units {
		var x, y float64
		for _, i := range u {
			x, y = x+a.z[i], y+b.z[i]
		}
		aa, bb, ab = aa+x*x, bb+y*y, ab+x*y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return min(max(ab/math.Sqrt(aa*bb), -1), 1)
}

// ratioOf is the mean over runs of sum(up)/sum(down), where each sample adds to both. It is not defined if one of the runs
// has nothing below.
func ratioOf(runs []*Predictions, add func(run, i int) (up, down float64)) *influence {
	n := runs[0].N()
	f := &influence{z: make([]float64, n), in: make([]bool, n), defined: true}
	share := 1 / float64(len(runs))
	for r := range runs {
		up, down := 0.0, 0.0
		for i := range n {
			u, d := add(r, i)
			up, down = up+u, down+d
		}
		if down == 0 {
			return &influence{z: f.z, in: f.in}
		}
		ratio := up / down
		f.value += share * ratio
		f.size += share * down
		for i := range n {
			if u, d := add(r, i); d != 0 {
				f.z[i] += share * (u - ratio*d) / down
				f.in[i] = true
			}
		}
	}
	return f
}

// aucOf is the mean AUC of a label over runs, by DeLong's placements.
func aucOf(runs []*Predictions, label int) *influence {
	n := runs[0].N()
	f := &influence{z: make([]float64, n), in: make([]bool, n), other: make([]bool, n)}
	share := 1 / float64(len(runs))
	for _, p := range runs {
		prob, truth := p.Column(label)
		at, ok := place(prob, truth)
		if !ok {
			return f
		}
		f.value += share * at.auc
		var a, b int
		for i, yes := range truth {
			if yes {
				f.z[i] += share * (at.positive[a] - at.auc) / float64(len(at.positive))
				f.in[i] = true
				a++
			} else {
				f.z[i] += share * (at.negative[b] - at.auc) / float64(len(at.negative))
				f.other[i] = true
				b++
			}
		}
	}
	f.defined = true
	return f
}
