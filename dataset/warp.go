package dataset

import (
	"math"

	"melo.example/melo/imaging"
)

// render writes image m, augmented by v, as the CHW tensor for the recipe. It applies geometry as one affine
// map with bilinear interpolation and mirrored edges, then brightness and contrast, clipped to the sample
// range, then normalisation. 8-bit images are rounded to 8 bits after the geometry, as in Pillow, which allows
// a look-up table for everything after it.
func render(dst []float32, m *imaging.Image, r imaging.Recipe, v variation) {
	s := r.Size
	inPlace := v.w == 1 && v.h == 1 && v.angle == 0 && m.W == s && m.H == s
	if m.Bits == 16 {
		t := newTone(r, v, mean(m.Pix16), math.MaxUint16)
		warp16(dst, m, affineOf(v, m, s), s)
		t.finish(dst, m.C)
		return
	}
	t := newTone(r, v, mean(m.Pix8), math.MaxUint8)
	var lut [3][256]float32
	for ch := range lut {
		for p := range lut[ch] {
			lut[ch][p] = t.value(float32(p), ch)
		}
	}
	if inPlace {
		mirror8(dst, m, &lut, s, v)
	} else {
		warp8(dst, m, &lut, affineOf(v, m, s), s)
	}
}

func mean[T uint8 | uint16](pix []T) float64 {
	var sum uint64
	for _, p := range pix {
		sum += uint64(p)
	}
	return float64(sum) / float64(len(pix))
}

// tone converts samples to normalised values.
type tone struct {
	white         float32 // largest possible sample
	scale, offset float32 // brightness and contrast, applied to samples
	gain, shift   [3]float32
	n             int // pixels per plane
}

func newTone(r imaging.Recipe, v variation, mean, white float64) *tone {
	t := &tone{white: float32(white), scale: float32(v.gain * v.spread),
		offset: float32(mean * v.gain * (1 - v.spread)), n: r.Size * r.Size}
	for ch := range 3 {
		t.gain[ch], t.shift[ch] = 1/(t.white*r.Std[ch]), -r.Mean[ch]/r.Std[ch]
	}
	return t
}

func (t *tone) value(s float32, ch int) float32 {
	return min(max(s*t.scale+t.offset, 0), t.white)*t.gain[ch] + t.shift[ch]
}

// finish converts samples in the first c planes of dst and fills all three planes.
func (t *tone) finish(dst []float32, c int) {
	for ch := 2; ch >= 0; ch-- { // the plane that grey images share is overwritten last
		out, src := dst[ch*t.n:(ch+1)*t.n], dst[min(ch, c-1)*t.n:][:t.n]
		for i, s := range src {
			out[i] = t.value(s, ch)
		}
	}
}

// mirror8 looks up samples if the geometry is only mirroring.
func mirror8(dst []float32, m *imaging.Image, lut *[3][256]float32, s int, v variation) {
	for ch := range 3 {
		table, from := &lut[ch], min(ch, m.C-1)
		for y := range s {
			line := y
			if v.flipVertical {
				line = s - 1 - y
			}
			row := m.Pix8[line*s*m.C:][:s*m.C]
			at, step := from, m.C
			if v.flip {
				at, step = (s-1)*m.C+from, -m.C
			}
			out := dst[(ch*s+y)*s:][:s]
			for x := range out {
				out[x] = table[row[at]]
				at += step
			}
		}
	}
}

// affine maps output to source pixels, both relative to the centre of the first pixel, in fixed point: (x, y)
// -> (x0 + x*xx + y*yx, y0 + x*xy + y*yy).
type affine struct{ x0, y0, xx, xy, yx, yy int }

// fixedOne is 1 in affine's fixed point.
const fixedOne = 1 << 24

// affineOf composes the transforms of a pixel of an s x s output: mirroring, rotation about the centre, and
// placement in the crop.
func affineOf(v variation, m *imaging.Image, s int) affine {
	sx, sy := v.w*float64(m.W), v.h*float64(m.H)
	cx, cy := (v.x+v.w/2)*float64(m.W), (v.y+v.h/2)*float64(m.H)
	sin, cos := math.Sincos(v.angle)
	fx, fy := 1/float64(s), 1/float64(s)
	if v.flip {
		fx = -fx
	}
	if v.flipVertical {
		fy = -fy
	}
	fixed := func(f float64) int { return int(math.Round(f * fixedOne)) }
	xx, xy, yx, yy := sx*cos*fx, sy*sin*fx, -sx*sin*fy, sy*cos*fy
	half := 0.5 - float64(s)/2 // first output pixel, relative to the centre
	return affine{
		x0: fixed(cx - 0.5 + half*(xx+yx)), y0: fixed(cy - 0.5 + half*(xy+yy)),
		xx: fixed(xx), xy: fixed(xy), yx: fixed(yx), yy: fixed(yy),
	}
}

// warp8 interpolates with 8-bit weights, rounds to 8 bits and applies the look-up table. A row of the output
// crosses the image along a straight line. The part of it whose four neighbours are all inside needs no
// mirroring.
func warp8(dst []float32, m *imaging.Image, lut *[3][256]float32, a affine, s int) {
	inner := warpGrey
	if m.C == 3 {
		inner = warpColour
	}
	n := s * s
	for y := range s {
		u, v := a.x0+y*a.yx+1<<(warpDrop-1), a.y0+y*a.yy+1<<(warpDrop-1)
		o := dst[y*s : 2*n+(y+1)*s]
		from, to := inside(u, a.xx, m.W-1, 0, s)
		from, to = inside(v, a.xy, m.H-1, from, to)
		warpEdge(o, m, lut, a, u, v, n, 0, from)
		inner(o, m, lut, a, u+from*a.xx, v+from*a.xy, n, from, to)
		warpEdge(o, m, lut, a, u+to*a.xx, v+to*a.xy, n, to, s)
	}
}

// warpDrop is the shift from fixed point to 8 fractional bits.
const warpDrop = 24 - 8

// inside narrows [from, to) to the x for which the pixel at u + x*step is in [0, n).
func inside(u, step, n, from, to int) (int, int) {
	top := n<<24 - 1 // largest u whose pixel is n-1
	if step < 0 {    // the same line in the other direction
		u, step = top-u, -step
	}
	if step == 0 {
		if u < 0 || u > top {
			return from, from
		}
		return from, to
	}
	if u < 0 {
		from = min(max(from, (-u+step-1)/step), to)
	}
	if u > top {
		return from, from
	}
	to = min(to, (top-u)/step+1)
	return from, max(from, to)
}

// weights returns the weights of the four neighbours, given the fractions of u and v. They add up to 1<<16.
func weights(u, v int) (w00, w01, w10, w11 int) {
	wx, wy := u>>warpDrop&255, v>>warpDrop&255
	w11 = wx * wy
	w01, w10 = wx<<8-w11, wy<<8-w11
	return 1<<16 - w11 - w01 - w10, w01, w10, w11
}

// warpEdge writes the pixels [from, to) of a row, mirroring at the edges.
func warpEdge(o []float32, m *imaging.Image, lut *[3][256]float32, a affine, u, v, n, from, to int) {
	for x := from; x < to; x++ {
		ix, iy := u>>24, v>>24
		w00, w01, w10, w11 := weights(u, v)
		u, v = u+a.xx, v+a.xy
		x0, x1 := reflect(ix, m.W)*m.C, reflect(ix+1, m.W)*m.C
		y0, y1 := reflect(iy, m.H)*m.W*m.C, reflect(iy+1, m.H)*m.W*m.C
		for ch := range 3 {
			c := min(ch, m.C-1)
			t := int(m.Pix8[y0+x0+c])*w00 + int(m.Pix8[y0+x1+c])*w01 + int(m.Pix8[y1+x0+c])*w10 + int(m.Pix8[y1+x1+c])*w11
			o[ch*n+x] = lut[ch][uint8((t+1<<15)>>16)]
		}
	}
}

// warpGrey writes the pixels [from, to) of a row whose neighbours are all inside.
func warpGrey(o []float32, m *imaging.Image, lut *[3][256]float32, a affine, u, v, n, from, to int) {
	red, green, blue := o[:to], o[n:n+to], o[2*n:2*n+to]
	for x := from; x < to; x++ {
		at := v>>24*m.W + u>>24
		w00, w01, w10, w11 := weights(u, v)
		u, v = u+a.xx, v+a.xy
		p, q := m.Pix8[at:at+2:at+2], m.Pix8[at+m.W:at+m.W+2:at+m.W+2]
		t := int(p[0])*w00 + int(p[1])*w01 + int(q[0])*w10 + int(q[1])*w11
		level := uint8((t + 1<<15) >> 16)
		red[x], green[x], blue[x] = lut[0][level], lut[1][level], lut[2][level]
	}
}

// warpColour is warpGrey for three channels.
func warpColour(o []float32, m *imaging.Image, lut *[3][256]float32, a affine, u, v, n, from, to int) {
	red, green, blue := o[:to], o[n:n+to], o[2*n:2*n+to]
	down := 3 * m.W
	for x := from; x < to; x++ {
		at := 3 * (v>>24*m.W + u>>24)
		w00, w01, w10, w11 := weights(u, v)
		u, v = u+a.xx, v+a.xy
		p, q := m.Pix8[at:at+6:at+6], m.Pix8[at+down:at+down+6:at+down+6]
		r := int(p[0])*w00 + int(p[3])*w01 + int(q[0])*w10 + int(q[3])*w11
		g := int(p[1])*w00 + int(p[4])*w01 + int(q[1])*w10 + int(q[4])*w11
		b := int(p[2])*w00 + int(p[5])*w01 + int(q[2])*w10 + int(q[5])*w11
		red[x] = lut[0][uint8((r+1<<15)>>16)]
		green[x] = lut[1][uint8((g+1<<15)>>16)]
		blue[x] = lut[2][uint8((b+1<<15)>>16)]
	}
}

// warp16 interpolates the first m.C planes of dst without the look-up table.
func warp16(dst []float32, m *imaging.Image, a affine, s int) {
	for y := range s {
		u, v := a.x0+y*a.yx, a.y0+y*a.yy
		for x := range s {
			ix, iy := u>>24, v>>24
			wx, wy := float32(u&(fixedOne-1))/fixedOne, float32(v&(fixedOne-1))/fixedOne
			u, v = u+a.xx, v+a.xy
			xa, xb := reflect(ix, m.W)*m.C, reflect(ix+1, m.W)*m.C
			ya, yb := reflect(iy, m.H)*m.W*m.C, reflect(iy+1, m.H)*m.W*m.C
			for ch := range m.C {
				p00, p01 := float32(m.Pix16[ya+xa+ch]), float32(m.Pix16[ya+xb+ch])
				p10, p11 := float32(m.Pix16[yb+xa+ch]), float32(m.Pix16[yb+xb+ch])
				top, low := p00+wx*(p01-p00), p10+wx*(p11-p10)
				dst[(ch*s+y)*s+x] = top + wy*(low-top)
			}
		}
	}
}

// reflect mirrors an index at the edges of n pixels. The edge pixel occurs twice.
func reflect(i, n int) int {
	if uint(i) < uint(n) {
		return i
	}
	i %= 2 * n
	if i < 0 {
		i += 2 * n
	}
	if i >= n {
		i = 2*n - 1 - i
	}
	return i
}
