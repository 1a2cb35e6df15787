package dataset

import (
	"math"

	"melo/imaging"
)

// render writes image m, varied by v, as the CHW tensor that the recipe asks for: geometry by one affine
// map with bilinear interpolation, mirrored at the edges; then brightness and contrast, clipped to the
// range of the samples; then normalisation.
func render(dst []float32, m *imaging.Image, r imaging.Recipe, v variation) {
	s := r.Size
	t := tone{recipe: r, scale: float32(v.gain * v.spread)}
	if m.Bits == 16 {
		t.white = math.MaxUint16
		t.offset = float32(mean(m.Pix16) * v.gain * (1 - v.spread))
	} else {
		t.white = math.MaxUint8
		t.offset = float32(mean(m.Pix8) * v.gain * (1 - v.spread))
	}
	if v.plain() && m.W == s && m.H == s {
		if m.Bits == 16 {
			mirror(dst, m.Pix16, m.C, s, v)
		} else {
			mirror(dst, m.Pix8, m.C, s, v)
		}
	} else if m.Bits == 16 {
		warp(dst, m.Pix16, m, s, v)
	} else {
		warp(dst, m.Pix8, m, s, v)
	}
	t.finish(dst, m.C)
}

func mean[T uint8 | uint16](pix []T) float64 {
	var sum uint64
	for _, p := range pix {
		sum += uint64(p)
	}
	return float64(sum) / float64(len(pix))
}

// mirror copies samples to the first m.C planes of dst.
func mirror[T uint8 | uint16](dst []float32, src []T, c, s int, v variation) {
	for ch := range c {
		plane := dst[ch*s*s : (ch+1)*s*s]
		for y := range s {
			from := y
			if v.flipVertical {
				from = s - 1 - y
			}
			row := src[from*s*c : (from+1)*s*c]
			out := plane[y*s : (y+1)*s]
			if v.flip {
				for x := range out {
					out[x] = float32(row[(s-1-x)*c+ch])
				}
			} else {
				for x := range out {
					out[x] = float32(row[x*c+ch])
				}
			}
		}
	}
}

// warp samples the first m.C planes of dst from the places that the variation maps their pixels to.
func warp[T uint8 | uint16](dst []float32, src []T, m *imaging.Image, s int, v variation) {
	// An output pixel, from -1/2 to 1/2 about the centre, is mirrored, rotated and laid into the crop.
	sx, sy := v.w*float64(m.W), v.h*float64(m.H)
	cx, cy := (v.x+v.w/2)*float64(m.W), (v.y+v.h/2)*float64(m.H)
	sin, cos := math.Sincos(v.angle)
	fx, fy := 1.0, 1.0
	if v.flip {
		fx = -1
	}
	if v.flipVertical {
		fy = -1
	}
	step := 1 / float64(s)
	dxx, dxy := cos*sx*fx*step, sin*sy*fx*step // source step per output column
	for y := range s {
		ty := ((float64(y)+0.5)*step - 0.5) * fy
		tx := (0.5*step - 0.5) * fx
		x0 := cx + sx*(cos*tx-sin*ty) - 0.5
		y0 := cy + sy*(sin*tx+cos*ty) - 0.5
		row := dst[y*s:]
		for x := range s {
			px, py := x0+float64(x)*dxx, y0+float64(x)*dxy
			bilinear(row[x:], s*s, src, m, px, py)
		}
	}
}

// bilinear interpolates all channels at (x, y), in pixels from the centre of the first, and writes them
// stride apart.
func bilinear[T uint8 | uint16](dst []float32, stride int, src []T, m *imaging.Image, x, y float64) {
	fx, fy := math.Floor(x), math.Floor(y)
	ax, ay := float32(x-fx), float32(y-fy)
	xa, xb := reflect(int(fx), m.W), reflect(int(fx)+1, m.W)
	ya, yb := reflect(int(fy), m.H), reflect(int(fy)+1, m.H)
	c := m.C
	p00, p01 := src[(ya*m.W+xa)*c:][:c], src[(ya*m.W+xb)*c:][:c]
	p10, p11 := src[(yb*m.W+xa)*c:][:c], src[(yb*m.W+xb)*c:][:c]
	for ch := range p00 {
		top := float32(p00[ch]) + ax*(float32(p01[ch])-float32(p00[ch]))
		low := float32(p10[ch]) + ax*(float32(p11[ch])-float32(p10[ch]))
		dst[ch*stride] = top + ay*(low-top)
	}
}

// reflect mirrors an index beyond the edges of n pixels, the edge pixel standing twice.
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

// tone turns samples into normalised values.
type tone struct {
	recipe        imaging.Recipe
	white         float32 // the greatest sample
	scale, offset float32 // brightness and contrast, on samples
}

// finish works on the first c planes of dst, from which it fills the others.
func (t *tone) finish(dst []float32, c int) {
	n := t.recipe.Size * t.recipe.Size
	for ch := 2; ch >= 0; ch-- { // the plane that grey images share is overwritten last
		out, src := dst[ch*n:(ch+1)*n], dst[min(ch, c-1)*n:][:n]
		mean, std := t.recipe.Mean[ch], t.recipe.Std[ch]
		gain, shift := 1/(t.white*std), -mean/std
		for i, s := range src {
			s = min(max(s*t.scale+t.offset, 0), t.white)
			out[i] = s*gain + shift
		}
	}
}
