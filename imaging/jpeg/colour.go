package jpeg

import "fmt"

// Space is what the components of an image mean.
type Space int

// The spaces that are converted here.
const (
	Raw   Space = iota // whatever: components are interleaved as they are
	RGB                // as they are, too
	YCbCr              // of JFIF: BT.601, full range
	CMYK               // inverted, 255 is no ink, as Adobe has it
	YCCK               // YCbCr for the inks
)

// Space guesses what the components mean, as libjpeg does (jdapimin.c). That CMYK is inverted is Pillow's assumption,
// with Adobe's marker or without.
func (h *Header) Space() Space {
	id := func(i int) byte { return h.Components[i].ID }
	switch {
	case len(h.Components) == 1:
		return Raw
	case len(h.Components) == 4 && h.Adobe == 2:
		return YCCK
	case len(h.Components) == 4:
		return CMYK
	case h.JFIF:
		return YCbCr
	case h.Adobe == 0, h.Adobe < 0 && id(0) == 'R' && id(1) == 'G' && id(2) == 'B':
		return RGB
	}
	return YCbCr
}

// Colours upsamples the planes row by row, and converts them to interleaved samples: one a pixel for a single
// component, the components themselves for Raw and RGB, and red, green, blue for others. Upsampling is libjpeg's "fancy"
// one, a triangle filter; conversion is its integer arithmetic. A single plane's memory is reused.
func (m *Image) Colours(space Space) ([]uint8, error) {
	n := len(m.Planes)
	if n == 1 {
		p := m.Planes[0]
		for y := range m.H {
			copy(p.Pix[y*m.W:(y+1)*m.W], p.Pix[y*p.Stride:]) // rows move to the front
		}
		return p.Pix[:m.W*m.H], nil
	}
	hs, vs := m.most()
	rows, ups := make([][]uint8, n), make([]upsampler, n)
	for i, c := range m.Components {
		if hs%c.H != 0 || vs%c.V != 0 {
			return nil, fmt.Errorf("sampling of %d x %d in %d x %d: %w: save it with the usual 4:2:0 or 4:4:4", c.H, c.V, hs, vs, ErrUnsupported)
		}
		p := m.Planes[i]
		ups[i] = upsampler{w: p.W, h: p.H, hs: hs / c.H, vs: vs / c.V, stride: p.Stride, cols: make([]int32, p.W)}
		rows[i] = make([]uint8, p.W*ups[i].hs)
	}
	channels := n
	if space == CMYK || space == YCCK {
		channels = 3
	}
	dst := make([]uint8, m.W*m.H*channels)
	for y := range m.H {
		for i := range ups {
			if ups[i].hs == 1 && ups[i].vs == 1 {
				rows[i] = m.Planes[i].Pix[y*ups[i].stride:][:ups[i].w]
				continue
			}
			ups[i].row(rows[i], m.Planes[i].Pix, y)
		}
		convertRow(dst[y*channels*m.W:(y+1)*channels*m.W], rows, space)
	}
	return dst, nil
}

// convertRow converts a row of components.
func convertRow(dst []uint8, c [][]uint8, space Space) {
	switch space {
	case Raw, RGB:
		for i, row := range c {
			for x, o := 0, i; o < len(dst); x, o = x+1, o+len(c) {
				dst[o] = row[x]
			}
		}
		return
	case CMYK:
		for x := range len(dst) / 3 {
			k := c[3][x]
			dst[3*x], dst[3*x+1], dst[3*x+2] = Inked(255-c[0][x], k), Inked(255-c[1][x], k), Inked(255-c[2][x], k)
		}
		return
	}
	yccRow(dst, c[0][:len(dst)/3], c[1], c[2])
	if space == YCCK {
		// YCC stands for the inverse of inverted inks: for inks.
		for i := range dst {
			dst[i] = Inked(dst[i], c[3][i/3])
		}
	}
}

// Inked is Pillow's conversion of an ink over white, both 0 to 255: white - ink * white / 255, rounded.
func Inked(ink, white uint8) uint8 {
	t := int(ink)*int(white) + 128
	return uint8(max(int(white)-((t>>8)+t)>>8, 0))
}

// upsampler expands rows of a w x h plane hs times in width and vs times in height.
type upsampler struct {
	w, h, hs, vs, stride int
	cols                 []int32 // vertically filtered samples of the row at hand
}

// row writes output row y. The filters are those of libjpeg (jdsample.c): nearer sample 3/4, further 1/4
// in each subsampled direction, with its alternating rounding; plain repetition where libjpeg repeats.
func (u *upsampler) row(dst, plane []uint8, y int) {
	near := y / u.vs
	this := plane[near*u.stride:][:u.w]
	switch {
	case u.hs == 1 && u.vs == 1:
		copy(dst, this)
	case u.hs > 2 || u.vs > 2 || u.hs == 2 && u.w <= 2:
		for x := range dst {
			dst[x] = this[x/u.hs]
		}
	case u.vs == 1:
		upsampleH2(dst, this)
	default:
		far := near - 1 + 2*(y%2)
		that := plane[min(max(far, 0), u.h-1)*u.stride:][:u.w]
		if u.hs == 1 {
			bias := int32(1 + y%2)
			for x := range dst {
				dst[x] = uint8((3*int32(this[x]) + int32(that[x]) + bias) >> 2)
			}
			return
		}
		for x := range u.cols {
			u.cols[x] = 3*int32(this[x]) + int32(that[x])
		}
		upsampleH2V2(dst, u.cols)
	}
}

// upsampleH2 doubles a row of at least two samples.
func upsampleH2(dst, src []uint8) {
	n := len(src)
	dst[0] = src[0]
	dst[1] = uint8((3*int32(src[0]) + int32(src[1]) + 2) >> 2)
	for x := 1; x < n-1; x++ {
		s := 3 * int32(src[x])
		dst[2*x] = uint8((s + int32(src[x-1]) + 1) >> 2)
		dst[2*x+1] = uint8((s + int32(src[x+1]) + 2) >> 2)
	}
	dst[2*n-2] = uint8((3*int32(src[n-1]) + int32(src[n-2]) + 1) >> 2)
	dst[2*n-1] = src[n-1]
}

// upsampleH2V2 doubles a row of at least two vertically filtered samples, which are 4 times too large.
func upsampleH2V2(dst []uint8, cols []int32) {
	n := len(cols)
	dst[0] = uint8((4*cols[0] + 8) >> 4)
	dst[1] = uint8((3*cols[0] + cols[1] + 7) >> 4)
	for x := 1; x < n-1; x++ {
		s := 3 * cols[x]
		dst[2*x] = uint8((s + cols[x-1] + 8) >> 4)
		dst[2*x+1] = uint8((s + cols[x+1] + 7) >> 4)
	}
	dst[2*n-2] = uint8((3*cols[n-1] + cols[n-2] + 8) >> 4)
	dst[2*n-1] = uint8((4*cols[n-1] + 7) >> 4)
}

// yccRow converts a row with libjpeg's 16-bit fixed point (jdcolor.c): R = Y + 1.40200 Cr,
// G = Y - 0.34414 Cb - 0.71414 Cr, B = Y + 1.77200 Cb, with Cb and Cr centred on 128.
func yccRow(dst, y, cb, cr []uint8) {
	const half = 1 << 15
	cb, cr = cb[:len(y)], cr[:len(y)]
	dst = dst[:3*len(y)]
	for i := range y {
		l, b, r := int32(y[i]), int32(cb[i])-128, int32(cr[i])-128
		px := dst[3*i : 3*i+3 : 3*i+3]
		px[0] = clip8(l + (91881*r+half)>>16)
		px[1] = clip8(l + (-22554*b-46802*r+half)>>16)
		px[2] = clip8(l + (116130*b+half)>>16)
	}
}

func clip8(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^(v >> 31)) // 0 below, 255 above
	}
	return uint8(v)
}
