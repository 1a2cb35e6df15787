package wavelet

// Reversible does the inverse 5/3 transform. It keeps its buffer.
type Reversible[T Int] struct{ buf []T }

// Inverse does one level in place.
func (r *Reversible[T]) Inverse(data []T, l Level) {
	r.buf = resize(r.buf, max(l.W, l.H*min(strip, max(l.W, 1))))
	if l.W > 1 || l.OddX {
		for y := range l.H {
			row := data[y*l.Stride:][:l.W]
			inverseRow(row, r.buf[:l.W], l.OddX)
			copy(row, r.buf)
		}
	}
	if l.H > 1 || l.OddY {
		for x := 0; x < l.W; x += strip {
			r.columns(data[x:], min(strip, l.W-x), l)
		}
	}
}

// inverseRow interleaves in into out.
func inverseRow[T Int](in, out []T, odd bool) {
	n := len(in)
	if n == 1 {
		out[0] = in[0]
		if odd {
			out[0] >>= 1
		}
		return
	}
	low, high := parts(n, odd)
	l, h := in[:low], in[low:]
	if !odd {
		// out[2i] = l[i] - (h[i-1] + h[i] + 2) / 4, with h mirrored at both ends
		prev := h[0]
		for i, v := range h {
			out[2*i] = l[i] - (prev+v+2)>>2
			prev = v
		}
		if low > high {
			out[2*high] = l[high] - (2*prev+2)>>2
		}
		for i, v := range h {
			right := out[2*i]
			if 2*i+2 < n {
				right = out[2*i+2]
			}
			out[2*i+1] = v + (out[2*i]+right)>>1
		}
		return
	}
	for i, v := range l {
		right := h[i]
		if i+1 < high {
			right = h[i+1]
		}
		out[2*i+1] = v - (h[i]+right+2)>>2
	}
	for i, v := range h {
		var left, right T
		switch {
		case i > 0 && 2*i+1 < n:
			left, right = out[2*i-1], out[2*i+1]
		case i > 0:
			left, right = out[2*i-1], out[2*i-1]
		default:
			left, right = out[1], out[1]
		}
		out[2*i] = v + (left+right)>>1
	}
}

// columns transforms w columns.
func (r *Reversible[T]) columns(data []T, w int, l Level) {
	low, high := parts(l.H, l.OddY)
	if l.H == 1 { // odd: a high-pass sample alone
		for x := range data[:w] {
			data[x] >>= 1
		}
		return
	}
	first := 0 // row of the first low-pass sample
	if l.OddY {
		first = 1
	}
	row := func(i int) []T { return data[i*l.Stride:][:w] }
	highRow := func(i int) []T { // mirrored
		return row(low + min(max(i, 0), high-1))
	}
	out := func(i int) []T { return r.buf[i*w:][:w] }
	odd := func(k int) { // the row that the k-th high-pass sample makes
		at := 2*k + 1 - first
		a, b := at-1, at+1
		if a < 0 {
			a = b
		}
		if b >= l.H {
			b = a
		}
		addHalf(out(at), row(low+k), out(a), out(b))
	}
	done := 0
	for i := range low {
		// The low-pass sample i stands between the high-pass samples i-1 and i, from an odd origin i and i+1.
		subQuarter(out(2*i+first), row(i), highRow(i-1+first), highRow(i+first))
		// A high-pass sample is ready when the rows on both sides are.
		for ; done < high && 2*done+2-first <= 2*i+first; done++ {
			odd(done)
		}
	}
	for ; done < high; done++ {
		odd(done)
	}
	for y := range l.H {
		copy(row(y), out(y))
	}
}

// subQuarter makes a low-pass row.
func subQuarter[T Int](out, in, a, b []T) {
	in, a, b = in[:len(out)], a[:len(out)], b[:len(out)]
	for x := range out {
		out[x] = in[x] - (a[x]+b[x]+2)>>2
	}
}

// addHalf makes a high-pass row.
func addHalf[T Int](out, in, a, b []T) {
	in, a, b = in[:len(out)], a[:len(out)], b[:len(out)]
	for x := range out {
		out[x] = in[x] + (a[x]+b[x])>>1
	}
}
