package wavelet

// Reversible does the inverse 5/3 transform. It keeps its buffer.
type Reversible[T Int] struct{ buf []T }

// Inverse does one level.
func (r *Reversible[T]) Inverse(l *Level[T]) {
	row := func(y int) {
		low, high, isLow := l.halves(y)
		if isLow && y == l.H-1 { // it may lie where it is written to
			r.buf = append(r.buf[:0], low...)
			low = r.buf
		}
		reversibleRow(l.out(y), low, high, l.OddX)
	}
	if l.H == 1 {
		row(0)
		if l.OddY {
			for x, v := range l.out(0) {
				l.Out[x] = v / 2
			}
		}
		return
	}
	l.walk(2, row, func(step int, out, above, below []T) {
		if step == 0 {
			subQuarter(out, above, below)
		} else {
			addHalf(out, above, below)
		}
	})
}

// reversibleRow makes a row of its halves.
func reversibleRow[T Int](out, low, high []T, odd bool) {
	if len(out) == 1 {
		if odd {
			out[0] = high[0] / 2
		} else {
			out[0] = low[0]
		}
		return
	}
	first := high[0] // to the left of the first low-pass sample, or mirrored there
	all := out
	if odd {
		high, out = high[1:], out[1:]
	}
	left, e := first, T(0)
	n := min(len(low), len(high))
	pairs := out[:2*n]
	for i, h := range high[:n] {
		f := low[i] - (left+h+2)>>2
		if i > 0 {
			pairs[2*i-1] = left + (e+f)>>1
		}
		pairs[2*i] = f
		left, e = h, f
	}
	if len(low) > n { // a low-pass sample at the end
		f := low[n] - (left+left+2)>>2
		if n > 0 {
			out[2*n-1] = left + (e+f)>>1
		}
		out[2*n] = f
	} else {
		out[2*n-1] = left + e
	}
	if odd {
		all[0] = first + all[1]
	}
}

// subQuarter lifts a low-pass row.
func subQuarter[T Int](out, a, b []T) {
	a, b = a[:len(out)], b[:len(out)]
	for x := range out {
		out[x] -= (a[x] + b[x] + 2) >> 2
	}
}

// addHalf lifts a high-pass row.
func addHalf[T Int](out, a, b []T) {
	a, b = a[:len(out)], b[:len(out)]
	for x := range out {
		out[x] += (a[x] + b[x]) >> 1
	}
}
