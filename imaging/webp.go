package imaging

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"slices"

	"golang.org/x/image/webp"
)

// webpFile is a parsed WebP. Its first frame is repackaged as a file that contains nothing else.
type webpFile struct {
	w, h   int // size of the canvas
	x, y   int // position of the first frame on it
	fw, fh int
	still  []byte // the frame as a file
	frames int
	exif   []byte
	xmp    []byte
}

// readWebP parses the chunks of a file (RFC 9649). Chunks must be complete, because decoders take missing data
// for zeros.
func readWebP(data []byte) (*webpFile, error) {
	if len(data) < 20 {
		return nil, errEnd
	}
	end := int64(binary.LittleEndian.Uint32(data[4:])) + 8
	if end > int64(len(data)) {
		return nil, fmt.Errorf("%w: it has %d bytes of %d", errEnd, len(data), end)
	}
	if end < 12 {
		return nil, fmt.Errorf("a size of %d bytes, which its header has alone", end)
	}
	f := &webpFile{}
	var frame []byte // chunks of the frame
	extended := false
	err := webpChunks(data[12:end], func(kind string, body, whole []byte) error {
		switch kind {
		case "VP8X":
			if len(body) < 10 {
				return errEnd
			}
			extended = true
			f.w, f.h = 1+int(u24(body[4:])), 1+int(u24(body[7:]))
		case "ANMF":
			f.frames++
			if f.frames > 1 {
				return nil
			}
			if len(body) < 16 {
				return errEnd
			}
			f.x, f.y, f.fw, f.fh = 2*int(u24(body)), 2*int(u24(body[3:])), 1+int(u24(body[6:])), 1+int(u24(body[9:]))
			return webpChunks(body[16:], func(kind string, body, whole []byte) error {
				if kind == "ALPH" || kind == "VP8 " || kind == "VP8L" {
					frame = append(frame, whole...)
				}
				return nil
			})
		case "ALPH", "VP8 ", "VP8L":
			if f.frames == 0 {
				frame = append(frame, whole...)
			}
		case "EXIF":
			f.exif = body
		case "XMP ":
			f.xmp = body
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if frame == nil {
		return nil, fmt.Errorf("no image: %w", errEnd)
	}
	animated := f.frames > 0
	f.frames = max(f.frames, 1)
	head := frame
	if extended { // alpha requires the extended format
		vp8x := make([]byte, 18)
		copy(vp8x, "VP8X")
		vp8x[4], vp8x[8] = 10, 0x10
		w, h := f.w, f.h
		if animated {
			w, h = f.fw, f.fh
		}
		putU24(vp8x[12:], w-1)
		putU24(vp8x[15:], h-1)
		if string(frame[:4]) == "ALPH" {
			head = append(slices.Clip(vp8x), frame...)
		}
	}
	f.still = append([]byte("RIFF????WEBP"), head...)
	binary.LittleEndian.PutUint32(f.still[4:], uint32(len(f.still)-8))
	cfg, err := webp.DecodeConfig(bytes.NewReader(f.still))
	if err != nil {
		return nil, err
	}
	if f.w == 0 {
		f.w, f.h = cfg.Width, cfg.Height
	}
	if !animated {
		f.fw, f.fh = f.w, f.h
	}
	if cfg.Width != f.fw || cfg.Height != f.fh || f.x+f.fw > f.w || f.y+f.fh > f.h {
		return nil, fmt.Errorf("a frame of %d x %d at %d, %d, coded as %d x %d, on %d x %d", f.fw, f.fh, f.x, f.y, cfg.Width, cfg.Height, f.w, f.h)
	}
	return f, nil
}

func u24(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

func putU24(b []byte, v int) { b[0], b[1], b[2] = byte(v), byte(v>>8), byte(v>>16) }

// webpChunks calls f for each chunk, with its body and with the whole chunk.
func webpChunks(b []byte, f func(kind string, body, whole []byte) error) error {
	for len(b) >= 8 {
		n := int64(binary.LittleEndian.Uint32(b[4:]))
		if n > int64(len(b)-8) {
			return fmt.Errorf("chunk %q: %w", b[:4], errEnd)
		}
		whole := b[:min(8+n+n%2, int64(len(b)))]
		if err := f(string(b[:4]), b[8:8+n], whole); err != nil {
			return err
		}
		b = b[len(whole):]
	}
	return nil
}

func inspectWebP(data []byte, _ Options) (Info, error) {
	f, err := readWebP(data)
	if err != nil {
		return Info{}, err
	}
	n := int64(f.w) * int64(f.h)
	return Info{W: f.w, H: f.h, C: 3, Bits: 8, Pages: f.frames, Work: 3 * n, Bytes: 12*n + int64(len(f.still))}, nil
}

// decodeWebP takes the planes of a lossy WebP and converts them as libwebp does, with its own chroma upsampling
// and limited-range YUV to RGB. Lossless files are decoded as colours. Of an animation it takes the first
// frame, on black if that is smaller than the canvas.
func decodeWebP(ctx context.Context, data []byte, _ Options) (*Image, error) {
	f, err := readWebP(data)
	if err != nil {
		return nil, err
	}
	m, err := webp.Decode(&reader{ctx, f.still})
	if err != nil {
		return nil, err
	}
	var img *Image
	switch m := m.(type) {
	case *image.YCbCr:
		img = fromYUV(m)
	case *image.NYCbCrA:
		img = fromYUV(&m.YCbCr)
	case *image.NRGBA:
		img = fromNRGBA(m)
	default:
		return nil, fmt.Errorf("colours of type %T", m)
	}
	if img.W == f.w && img.H == f.h {
		return img, nil
	}
	canvas := newImage(f.w, f.h, 3, 8)
	for y := range img.H {
		copy(canvas.Pix8[3*((f.y+y)*f.w+f.x):], img.Pix8[3*y*img.W:3*(y+1)*img.W])
	}
	return canvas, nil
}

// fromNRGBA drops alpha.
func fromNRGBA(m *image.NRGBA) *Image {
	dst := newImage(m.Rect.Dx(), m.Rect.Dy(), 3, 8)
	for y := range dst.H {
		src := m.Pix[y*m.Stride:][:4*dst.W]
		out := dst.Pix8[y*3*dst.W:][:3*dst.W]
		for i, o := 0, 0; o+2 < len(out) && i+3 < len(src); i, o = i+4, o+3 {
			out[o], out[o+1], out[o+2] = src[i], src[i+1], src[i+2]
		}
	}
	return dst
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

// upsampleWebP doubles a chroma row. far is the more distant neighbouring row. Weights are 9, 3, 3, 1 with
// libwebp's two-step rounding (src/dsp/upsampling.c).
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
