package imaging

import (
	"context"
	"fmt"
	"image"
	"image/jpeg"

	coded "melo.example/melo/imaging/jpeg"
)

// maxVisits is how often the scans of a JPEG may go over each sample. The usual progressive files do so six times,
// the most thorough ones sixteen times; what goes beyond is made to cost time. Small images may do as they like.
const (
	maxVisits   = 24
	smallVisits = 1 << 26
)

// inspectJPEG walks over the markers of the whole file: only so is known what its scans cost.
func inspectJPEG(data []byte, _ Options) (Info, error) {
	h, err := coded.ReadHeader(data)
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

// decodeJPEG takes the planes from the standard library and does what libjpeg does with them: "fancy"
// (triangle filter) chroma upsampling and the integer YCC to RGB conversion of the JFIF standard. The
// standard library repeats chroma samples instead, which is up to 65 levels off at coloured edges.
func decodeJPEG(ctx context.Context, data []byte, _ Options) (*Image, error) {
	m, err := jpeg.Decode(&reader{ctx, data})
	if err != nil {
		return nil, err
	}
	ycc, ok := m.(*image.YCbCr)
	if !ok {
		return convert(m), nil // grey, RGB or CMYK
	}
	return fromYCC(ycc)
}

// fromYCC upsamples the chroma planes row by row and converts.
func fromYCC(m *image.YCbCr) (*Image, error) {
	b := m.Bounds()
	h, v := 1, 1 // horizontal and vertical subsampling of chroma
	switch m.SubsampleRatio {
	case image.YCbCrSubsampleRatio444:
	case image.YCbCrSubsampleRatio422:
		h = 2
	case image.YCbCrSubsampleRatio420:
		h, v = 2, 2
	case image.YCbCrSubsampleRatio440:
		v = 2
	case image.YCbCrSubsampleRatio411:
		h = 4
	case image.YCbCrSubsampleRatio410:
		h, v = 4, 2
	default:
		return nil, fmt.Errorf("subsampling %v is not supported", m.SubsampleRatio)
	}
	up := chromaUpsampler{w: (b.Dx() + h - 1) / h, h: (b.Dy() + v - 1) / v, hs: h, vs: v, stride: m.CStride}
	up.cols = make([]int32, up.w)
	cb, cr := make([]uint8, up.w*h), make([]uint8, up.w*h)
	dst := newImage(b.Dx(), b.Dy(), 3, 8)
	for y := range dst.H {
		up.row(cb, m.Cb, y)
		up.row(cr, m.Cr, y)
		yccRow(dst.Pix8[y*3*dst.W:(y+1)*3*dst.W], m.Y[y*m.YStride:][:dst.W], cb, cr)
	}
	return dst, nil
}

// chromaUpsampler expands rows of a w x h chroma plane hs times in width and vs times in height.
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
	case u.hs == 4 || u.hs == 2 && u.w <= 2:
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
