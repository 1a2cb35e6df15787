package imaging

import (
	"image"
	"image/color"

	"melo.example/melo/imaging/jpeg"
)

// convert copies a decoded image into our layout. Alpha is dropped: premultiplied colours are divided by
// it, others are kept as stored.
func convert(m image.Image) *Image {
	b := m.Bounds()
	w, h := b.Dx(), b.Dy()
	switch m := m.(type) {
	case *image.Gray:
		return copyRows(newImage(w, h, 1, 8), m.Pix, m.Stride, m.PixOffset(b.Min.X, b.Min.Y))
	case *image.Gray16:
		return from16(newImage(w, h, 1, 16), m.Pix, m.Stride, 2)
	case *image.NRGBA:
		return from8x4(newImage(w, h, 3, 8), m.Pix, m.Stride)
	case *image.RGBA:
		if m.Opaque() {
			return from8x4(newImage(w, h, 3, 8), m.Pix, m.Stride)
		}
	case *image.NRGBA64:
		return from16(newImage(w, h, 3, 16), m.Pix, m.Stride, 8)
	case *image.RGBA64:
		if m.Opaque() {
			return from16(newImage(w, h, 3, 16), m.Pix, m.Stride, 8)
		}
	case *image.Paletted:
		return fromPalette(m)
	case *image.CMYK:
		return fromCMYK(m)
	}
	return fromAny(m)
}

func copyRows(dst *Image, pix []uint8, stride, off int) *Image {
	n := dst.W * dst.C
	for y := range dst.H {
		copy(dst.Pix8[y*n:(y+1)*n], pix[off+y*stride:])
	}
	return dst
}

// from8x4 drops the fourth of four interleaved channels.
func from8x4(dst *Image, pix []uint8, stride int) *Image {
	for y := range dst.H {
		src := pix[y*stride:][:4*dst.W]
		out := dst.Pix8[y*3*dst.W:][:3*dst.W]
		for i, o := 0, 0; o+2 < len(out) && i+3 < len(src); i, o = i+4, o+3 {
			out[o], out[o+1], out[o+2] = src[i], src[i+1], src[i+2]
		}
	}
	return dst
}

// from16 reads big-endian samples, bytesPerPixel apart, keeping the first dst.C of each pixel.
func from16(dst *Image, pix []uint8, stride, bytesPerPixel int) *Image {
	o := 0
	for y := range dst.H {
		row := pix[y*stride:]
		for x := range dst.W {
			px := row[x*bytesPerPixel:]
			for c := range dst.C {
				dst.Pix16[o] = uint16(px[2*c])<<8 | uint16(px[2*c+1])
				o++
			}
		}
	}
	return dst
}

// fromPalette looks the colours up; a palette of greys gives a grey image.
func fromPalette(m *image.Paletted) *Image {
	var lut [256][3]uint8
	grey := true
	for i, c := range m.Palette[:min(256, len(m.Palette))] {
		n := color.NRGBAModel.Convert(c).(color.NRGBA)
		lut[i] = [3]uint8{n.R, n.G, n.B}
		grey = grey && n.R == n.G && n.G == n.B
	}
	b := m.Bounds()
	dst := newImage(b.Dx(), b.Dy(), 3, 8)
	if grey {
		dst = newImage(b.Dx(), b.Dy(), 1, 8)
	}
	o := 0
	for y := range dst.H {
		for _, p := range m.Pix[y*m.Stride:][:dst.W] {
			o += copy(dst.Pix8[o:o+dst.C], lut[p][:])
		}
	}
	return dst
}

func fromCMYK(m *image.CMYK) *Image {
	b := m.Bounds()
	dst := newImage(b.Dx(), b.Dy(), 3, 8)
	o := 0
	for y := range dst.H {
		src := m.Pix[y*m.Stride:][:4*dst.W]
		for i := 0; i+3 < len(src); i += 4 {
			white := 255 - src[i+3]
			for c := range 3 {
				dst.Pix8[o] = jpeg.Inked(src[i+c], white)
				o++
			}
		}
	}
	return dst
}

// fromAny handles the rare rest pixel by pixel, at the depth of its colour model.
func fromAny(m image.Image) *Image {
	b := m.Bounds()
	bits := 8
	switch m.ColorModel() {
	case color.RGBA64Model, color.NRGBA64Model, color.Gray16Model:
		bits = 16
	}
	dst := newImage(b.Dx(), b.Dy(), 3, bits)
	o := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if bits == 16 {
				n := color.NRGBA64Model.Convert(m.At(x, y)).(color.NRGBA64)
				dst.Pix16[o], dst.Pix16[o+1], dst.Pix16[o+2] = n.R, n.G, n.B
			} else {
				n := color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA)
				dst.Pix8[o], dst.Pix8[o+1], dst.Pix8[o+2] = n.R, n.G, n.B
			}
			o += 3
		}
	}
	return dst
}

// firstChannel keeps the first of three channels.
func firstChannel(m *Image) *Image {
	dst := newImage(m.W, m.H, 1, m.Bits)
	for i := range dst.Pix8 {
		dst.Pix8[i] = m.Pix8[3*i]
	}
	for i := range dst.Pix16 {
		dst.Pix16[i] = m.Pix16[3*i]
	}
	return dst
}
