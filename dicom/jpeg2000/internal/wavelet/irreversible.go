package wavelet

// Lifting steps of the 9/7 filter, T.800 table F.4.
const (
	alpha = -1.586134342059924
	beta  = -0.052980118572961
	gamma = 0.882911075530934
	delta = 0.443506852043971
	scale = 1.230174104914001
)

// Irreversible does the inverse 9/7 transform in 32-bit floating point. It keeps its buffer. Every product is rounded
// before it is added, so that all machines give the same bits.
type Irreversible struct{ buf []float32 }

// Inverse does one level in place.
func (r *Irreversible) Inverse(data []float32, l Level) {
	r.buf = resize(r.buf, max(l.W, l.H*min(strip, max(l.W, 1))))
	if l.W > 1 || l.OddX {
		for y := range l.H {
			row := data[y*l.Stride:][:l.W]
			liftRow(row, r.buf[:l.W], l.OddX)
			copy(row, r.buf)
		}
	}
	if l.H > 1 || l.OddY {
		for x := 0; x < l.W; x += strip {
			r.columns(data[x:], min(strip, l.W-x), l)
		}
	}
}

func liftRow(in, out []float32, odd bool) {
	n := len(in)
	if n == 1 {
		out[0] = in[0]
		if odd {
			out[0] /= 2
		}
		return
	}
	low, _ := parts(n, odd)
	even, other := 0, 1 // where low-pass and high-pass samples stand
	if odd {
		even, other = 1, 0
	}
	for i, v := range in[:low] {
		out[2*i+even] = v * scale
	}
	for i, v := range in[low:] {
		out[2*i+other] = v * (1.625732422 / 2)
	}
	lift(out, even, -delta)
	lift(out, other, -gamma)
	lift(out, even, -beta)
	lift(out, other, -alpha)
}

// lift adds to every second sample, from the first one on, k times the sum of its neighbours, mirrored at the ends.
func lift(s []float32, first int, k float32) {
	n := len(s)
	i := first
	if i == 0 {
		s[0] += float32(k * (s[1] + s[1]))
		i = 2
	}
	left := s[i-1]
	for ; i+1 < n; i += 2 {
		right := s[i+1]
		s[i] += float32(k * (left + right))
		left = right
	}
	if i < n {
		s[i] += float32(k * (left + left))
	}
}

// columns transforms w columns.
func (r *Irreversible) columns(data []float32, w int, l Level) {
	if l.H == 1 { // odd: a high-pass sample alone
		for x := range data[:w] {
			data[x] /= 2
		}
		return
	}
	low, _ := parts(l.H, l.OddY)
	even, other := 0, 1
	if l.OddY {
		even, other = 1, 0
	}
	buf := r.buf[:l.H*w]
	for y := range l.H {
		in := data[y*l.Stride:][:w]
		if y < low {
			scaleRow(buf[(2*y+even)*w:][:w], in, scale)
		} else {
			scaleRow(buf[(2*(y-low)+other)*w:][:w], in, 1.625732422/2)
		}
	}
	liftRows(buf, w, even, -delta)
	liftRows(buf, w, other, -gamma)
	liftRows(buf, w, even, -beta)
	liftRows(buf, w, other, -alpha)
	for y := range l.H {
		copy(data[y*l.Stride:][:w], buf[y*w:][:w])
	}
}

func scaleRow(out, in []float32, k float32) {
	in = in[:len(out)]
	for x := range out {
		out[x] = in[x] * k
	}
}

// liftRows is lift on rows of w samples.
func liftRows(buf []float32, w, first int, k float32) {
	n := len(buf) / w
	for y := first; y < n; y += 2 {
		a, b := y-1, y+1
		if a < 0 {
			a = b
		}
		if b >= n {
			b = a
		}
		out, p, q := buf[y*w:][:w], buf[a*w:][:w], buf[b*w:][:w]
		for x := range out {
			out[x] += float32(k * (p[x] + q[x]))
		}
	}
}
