package imaging

import (
	"context"
	"image"

	"golang.org/x/image/webp"
)

// decodeWebP takes the planes of a lossy WebP and converts them as libwebp does: its own chroma
// upsampling and its limited-range YUV to RGB. Lossless ones come as colours.
func decodeWebP(ctx context.Context, data []byte, _ Options) (*Image, error) {
	m, err := webp.Decode(&reader{ctx, data})
	if err != nil {
		return nil, err
	}
	switch m := m.(type) {
	case *image.YCbCr:
		return fromYUV(m), nil
	case *image.NYCbCrA:
		return fromYUV(&m.YCbCr), nil
	}
	return convert(m), nil
}

// fromYUV converts 4:2:0 planes.
func fromYUV(m *image.YCbCr) *Image {
	b := m.Bounds()
	dst := newImage(b.Dx(), b.Dy(), 3, 8)
	cw, ch := (dst.W+1)/2, (dst.H+1)/2
	u, v := make([]uint8, 2*cw+1), make([]uint8, 2*cw+1)
	for y := range dst.H {
		near := y / 2
		far := min(max(near-1+2*(y%2), 0), ch-1)
		upsampleWebP(u, m.Cb[near*m.CStride:][:cw], m.Cb[far*m.CStride:][:cw])
		upsampleWebP(v, m.Cr[near*m.CStride:][:cw], m.Cr[far*m.CStride:][:cw])
		yuvRow(dst.Pix8[y*3*dst.W:(y+1)*3*dst.W], m.Y[y*m.YStride:][:dst.W], u, v)
	}
	return dst
}

// upsampleWebP doubles a chroma row whose further neighbour row is far: weights 9, 3, 3, 1 with libwebp's
// two-step rounding (src/dsp/upsampling.c).
func upsampleWebP(dst, near, far []uint8) {
	n := len(near)
	dst[0] = uint8((3*int(near[0]) + int(far[0]) + 2) >> 2)
	for x := 1; x < n; x++ {
		n0, n1, f0, f1 := int(near[x-1]), int(near[x]), int(far[x-1]), int(far[x])
		avg := n0 + n1 + f0 + f1 + 8
		cross := (avg + 2*(n1+f0)) >> 3
		along := (avg + 2*(n0+f1)) >> 3
		dst[2*x-1] = uint8((cross + n0) >> 1)
		dst[2*x] = uint8((along + n1) >> 1)
	}
	dst[2*n-1] = uint8((3*int(near[n-1]) + int(far[n-1]) + 2) >> 2)
}

// yuvRow converts a row with libwebp's 14-bit fixed point (src/dsp/yuv.h), limited-range BT.601.
func yuvRow(dst, y, u, v []uint8) {
	high := func(v uint8, coeff int) int { return int(v) * coeff >> 8 }
	for i := range y {
		l := high(y[i], 19077)
		dst[3*i] = clipYUV(l + high(v[i], 26149) - 14234)
		dst[3*i+1] = clipYUV(l - high(u[i], 6419) - high(v[i], 13320) + 8708)
		dst[3*i+2] = clipYUV(l + high(u[i], 33050) - 17685)
	}
}

func clipYUV(v int) uint8 { return uint8(min(max(v>>6, 0), 255)) }
