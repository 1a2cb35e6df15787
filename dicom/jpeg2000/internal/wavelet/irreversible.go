package wavelet

// Lifting steps of the 9/7 filter, T.800 table F.4, and its scale.
const (
	alpha = -1.586134342059924
	beta  = -0.052980118572961
	gamma = 0.882911075530934
	delta = 0.443506852043971
	scale = 1.230174104914001
	// highScale is 1/scale but for 3e-5 of it: OpenJPEG has 2/scale as 13318/8192, and its samples are the measure.
	highScale = 1.625732422 / 2
)

// Irreversible does the inverse 9/7 transform in 32-bit floating point. It keeps its buffers. Every product is rounded
// before it is added, so that all machines give the same bits.
type Irreversible struct{ low, high []float32 }

// Inverse does one level.
func (r *Irreversible) Inverse(l *Level[float32]) {
	r.low, r.high = grow(r.low, l.W/2+2*margin+2), grow(r.high, l.W/2+2*margin+2)
	row := func(y int) {
		low, high, isLow := l.halves(y)
		k := float32(highScale)
		if isLow {
			k = scale
		}
		if l.H == 1 {
			k = 1
			if l.OddY {
				k = 0.5
			}
		}
		r.row(l.out(y), low, high, l.OddX, k)
	}
	if l.H == 1 {
		row(0)
		return
	}
	steps := [4]float32{-delta, -gamma, -beta, -alpha}
	l.walk(4, row, func(step int, out, above, below []float32) { lift(out, above, below, steps[step]) })
}

func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}

// margin is how many samples of either half are mirrored beyond each end of a row.
const margin = 3

// row makes a row of its halves, times k. The halves are extended beyond the ends, so that all steps can be done at once.
//
// Position a of the row, counted from 1 where the first sample is a high-pass one, is low-pass sample a/2 or high-pass
// sample (a-1)/2; in the buffers they stand margin places later.
func (r *Irreversible) row(out, low, high []float32, odd bool, k float32) {
	n := len(out)
	if n == 1 {
		if odd {
			out[0] = high[0] / 2 * k
		} else {
			out[0] = low[0] * k
		}
		return
	}
	first := 0
	if odd {
		first = 1
	}
	s, d := r.low, r.high
	for i, v := range low {
		s[margin+first+i] = v * scale
	}
	for i, v := range high {
		d[margin+i] = v * highScale
	}
	r.extend(first, first+n-1)

	pairs := (first + n + 1) / 2 // low-pass samples from 0 on
	s, d = s[margin-1:][:pairs+3], d[margin-2:][:pairs+4]
	// Now s[i] is low-pass sample i-1, and d[i] high-pass sample i-2.
	s0 := s[0] + float32(-delta*(d[0]+d[1]))
	s1 := s[1] + float32(-delta*(d[1]+d[2]))
	s2 := s[2] + float32(-delta*(d[2]+d[3]))
	d0 := d[1] + float32(-gamma*(s0+s1))
	d1 := d[2] + float32(-gamma*(s1+s2))
	e := s1 + float32(-beta*(d0+d1))
	// The loop goes on with the steps of the samples to come, and makes low-pass sample i and high-pass sample i.
	dl, dr, sr := d[3:][:pairs], d[4:][:pairs], s[3:][:pairs]
	at := 0
	for i := range pairs {
		s3 := sr[i] + float32(-delta*(dl[i]+dr[i]))
		d2 := dl[i] + float32(-gamma*(s2+s3))
		f := s2 + float32(-beta*(d1+d2))
		g := d1 + float32(-alpha*(e+f))
		if i > 0 || !odd {
			out[at] = e * k
			at++
		}
		if at < n {
			out[at] = g * k
			at++
		}
		s2, d1, e = s3, d2, f
	}
}

// extend mirrors samples beyond both ends, positions first and last.
func (r *Irreversible) extend(first, last int) {
	for j := 1; j <= 2*margin-1; j++ {
		r.mirror(first-j, first, last)
		r.mirror(last+j, first, last)
	}
}

// mirror sets position a to the sample that it mirrors.
func (r *Irreversible) mirror(a, first, last int) {
	b := a
	for b < first || b > last {
		if b < first {
			b = 2*first - b
		} else {
			b = 2*last - b
		}
	}
	// a and b are both even or both odd.
	i, j := a>>1+margin, b>>1+margin
	switch {
	case i < 0 || i >= len(r.low):
	case a&1 == 0:
		r.low[i] = r.low[j]
	default:
		r.high[i] = r.high[j]
	}
}

// lift adds k times the sum of its neighbours to a row.
func lift(out, a, b []float32, k float32) {
	a, b = a[:len(out)], b[:len(out)]
	for x := range out {
		out[x] += float32(k * (a[x] + b[x]))
	}
}
