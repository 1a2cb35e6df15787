package metric

import "math"

// influence is a metric, averaged over runs, with the influence of each sample on it: to first order, the
// metric's error is the sum of the influences. So its variance is the variance of a sum over units, whatever
// the units are (Obuchowski, Biometrics 1997, for the AUC; linearised ratio estimators of survey statistics for
// proportions).
type influence struct {
	value   float64
	defined bool
	z       []float64 // [n], with sum 0
	in      []bool    // [n] samples in the denominator
	other   []bool    // [n] for an AUC, the negatives; then in are the positives. nil: one kind of sample only
	size    float64   // denominator, averaged over runs
}

// variance returns the variance of the sum over units, and the number of contributing units of either kind.
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

// unbiased returns n/(n-1), the correction of a variance that was computed with denominator n.
func unbiased(n int) float64 {
	if n < 2 {
		return 1
	}
	return float64(n) / float64(n-1)
}

// correlation returns the correlation of two metrics on the same samples.
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

// ratioOf returns the mean over runs of sum(up)/sum(down), where each sample contributes to both sums. It is
// not defined if a run has a zero denominator.
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

// aucOf returns the mean AUC of a label over runs, with DeLong's placements.
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
