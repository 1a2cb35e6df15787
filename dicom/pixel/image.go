package pixel

import (
	"image"
	"image/color"
)

// Image converts the view to an image of the standard library.
func (v *View) Image() image.Image {
	r := image.Rect(0, 0, v.Width, v.Height)
	switch {
	case v.Channels == 1 && v.Bits == 8:
		return &image.Gray{Pix: v.Pix8, Stride: v.Width, Rect: r}
	case v.Channels == 1:
		m := image.NewGray16(r)
		for k, x := range v.Pix16 {
			m.SetGray16(k%v.Width, k/v.Width, color.Gray16{Y: x})
		}
		return m
	case v.Bits == 8:
		m := image.NewNRGBA(r)
		for k := 0; k < v.Width*v.Height; k++ {
			copy(m.Pix[4*k:], v.Pix8[3*k:3*k+3])
			m.Pix[4*k+3] = 255
		}
		return m
	}
	m := image.NewNRGBA64(r)
	for k := 0; k < v.Width*v.Height; k++ {
		m.SetNRGBA64(k%v.Width, k/v.Width, color.NRGBA64{R: v.Pix16[3*k], G: v.Pix16[3*k+1], B: v.Pix16[3*k+2], A: 65535})
	}
	return m
}
