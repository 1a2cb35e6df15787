package imaging

import (
	"context"
	"fmt"

	"melo.example/melo/imaging/jpeg"
)

// maxVisits is how often the scans of a JPEG may go over each sample. The usual progressive files do so six times,
// the most thorough ones sixteen times; what goes beyond is made to cost time. Small images may do as they like.
const (
	maxVisits   = 24
	smallVisits = 1 << 26
)

// inspectJPEG walks over the markers of the whole file: only so is known what its scans cost.
func inspectJPEG(data []byte, _ Options) (Info, error) {
	h, err := jpeg.ReadHeader(data)
	if err != nil {
		return Info{}, err
	}
	info := Info{W: h.W, H: h.H, C: min(len(h.Components), 3), Bits: h.Precision, Pages: 1}
	samples := h.Samples()
	if h.Visits > max(maxVisits*samples, smallVisits) {
		return Info{}, fmt.Errorf("%w: its %d scans go %d times over the image, the limit is %d times: save it as a baseline JPEG",
			ErrTooLarge, h.Scans, h.Visits/samples, maxVisits)
	}
	info.Work = h.Visits + samples
	info.Bytes = samples + int64(info.C)*int64(h.W)*int64(h.H)
	if h.Progressive {
		info.Bytes += 4 * samples
	}
	return info, nil
}

// decodeJPEG does with the planes what libjpeg does: "fancy" (triangle filter) chroma upsampling, and the integer
// YCC to RGB conversion of the JFIF standard.
func decodeJPEG(ctx context.Context, data []byte, _ Options) (*Image, error) {
	m, err := jpeg.Decode(data, jpeg.Options{GoOn: ctx.Err})
	if err != nil {
		return nil, err
	}
	img, err := colours(m, jpegColours(&m.Header))
	if err == nil && m.Damaged > 0 {
		img.Source.Note = "a part of the file is damaged: a strip of the image is grey"
	}
	return img, err
}

// colourSpace is what the components of a JPEG mean.
type colourSpace int

const (
	greyScale colourSpace = iota
	rgb
	yCbCr
	cmyk // inverted: 255 is no ink
	ycck
)

// jpegColours guesses as libjpeg does (jdapimin.c). That CMYK is inverted is Pillow's assumption, with Adobe's marker
// or without.
func jpegColours(h *jpeg.Header) colourSpace {
	id := func(i int) byte { return h.Components[i].ID }
	switch {
	case len(h.Components) == 1:
		return greyScale
	case len(h.Components) == 4 && h.Adobe == 2:
		return ycck
	case len(h.Components) == 4:
		return cmyk
	case h.JFIF:
		return yCbCr
	case h.Adobe == 0, h.Adobe < 0 && id(0) == 'R' && id(1) == 'G' && id(2) == 'B':
		return rgb
	}
	return yCbCr
}

// colours upsamples the planes row by row, and converts.
func colours(m *jpeg.Image, space colourSpace) (*Image, error) {
	hs, vs := 0, 0 // the greatest sampling factors
	for _, c := range m.Components {
		hs, vs = max(hs, c.H), max(vs, c.V)
	}
	if space == greyScale {
		p := m.Planes[0]
		dst := &Image{W: m.W, H: m.H, C: 1, Bits: 8, Pix8: p.Pix}
		for y := range m.H {
			copy(p.Pix[y*m.W:(y+1)*m.W], p.Pix[y*p.Stride:]) // in place: rows move to the front
		}
		dst.Pix8 = p.Pix[:m.W*m.H]
		return dst, nil
	}
	rows := make([][]uint8, len(m.Planes))
	ups := make([]chromaUpsampler, len(m.Planes))
	for i, c := range m.Components {
		if hs%c.H != 0 || vs%c.V != 0 {
			return nil, fmt.Errorf("sampling of %d x %d in %d x %d is not supported: save it with the usual 4:2:0 or 4:4:4", c.H, c.V, hs, vs)
		}
		p := m.Planes[i]
		ups[i] = chromaUpsampler{w: p.W, h: p.H, hs: hs / c.H, vs: vs / c.V, stride: p.Stride, cols: make([]int32, p.W)}
		rows[i] = make([]uint8, p.W*ups[i].hs)
	}
	dst := newImage(m.W, m.H, 3, 8)
	for y := range m.H {
		for i := range ups {
			if ups[i].hs == 1 && ups[i].vs == 1 {
				rows[i] = m.Planes[i].Pix[y*ups[i].stride:][:ups[i].w]
				continue
			}
			ups[i].row(rows[i], m.Planes[i].Pix, y)
		}
		convertRow(dst.Pix8[y*3*dst.W:(y+1)*3*dst.W], rows, space)
	}
	return dst, nil
}

// convertRow makes RGB of a row of components.
func convertRow(dst []uint8, c [][]uint8, space colourSpace) {
	n := len(dst) / 3
	switch space {
	case rgb:
		for x := range n {
			dst[3*x], dst[3*x+1], dst[3*x+2] = c[0][x], c[1][x], c[2][x]
		}
		return
	case cmyk:
		for x := range n {
			k := int(c[3][x])
			dst[3*x], dst[3*x+1], dst[3*x+2] = inked(255-int(c[0][x]), k), inked(255-int(c[1][x]), k), inked(255-int(c[2][x]), k)
		}
		return
	}
	yccRow(dst, c[0][:n], c[1], c[2])
	if space == ycck {
		// YCC stands for the inverse of inverted inks, which are the inks that Pillow inverts.
		for x := range n {
			k := int(c[3][x])
			for i := range 3 {
				dst[3*x+i] = inked(int(dst[3*x+i]), k)
			}
		}
	}
}

// inked is Pillow's conversion of an ink over white, both 0 to 255: white - ink * white / 255, rounded.
func inked(ink, white int) uint8 {
	t := ink*white + 128
	return uint8(max(white-((t>>8)+t)>>8, 0))
}

// chromaUpsampler expands rows of a w x h plane hs times in width and vs times in height.
type chromaUpsampler struct {
	w, h, hs, vs, stride int
	cols                 []int32 // vertically filtered samples of the row at hand
}

// row writes output row y. The filters are those of libjpeg (jdsample.c): nearer sample 3/4, further 1/4
// in each subsampled direction, with its alternating rounding; plain repetition where libjpeg repeats.
func (u *chromaUpsampler) row(dst, plane []uint8, y int) {
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
