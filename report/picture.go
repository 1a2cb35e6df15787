package report

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"

	"melo.example/melo/imaging"
)

// pictureQuality is that of the JPEGs, which are to be looked at and no more.
const pictureQuality = 82

// NewPicture makes a small JPEG of an image, the longer side of which is at most side pixels. Smaller images
// stay as they are.
func NewPicture(m *imaging.Image, side int) (*Picture, error) {
	w, h := m.W, m.H
	small := m
	if long := max(w, h); long > side {
		w, h = max(w*side/long, 1), max(h*side/long, 1)
		small = &imaging.Image{}
		var s imaging.Scratch
		if err := s.Resize(m, small, w, h, imaging.Bicubic); err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
	}
	sample := func(i int) uint8 {
		if small.Bits == 16 {
			return uint8(small.Pix16[i] >> 8)
		}
		return small.Pix8[i]
	}
	var img image.Image
	if small.C == 1 {
		grey := image.NewGray(image.Rect(0, 0, w, h))
		for i := range grey.Pix {
			grey.Pix[i] = sample(i)
		}
		img = grey
	} else {
		rgba := image.NewRGBA(image.Rect(0, 0, w, h))
		for i := range w * h {
			rgba.Pix[4*i], rgba.Pix[4*i+1], rgba.Pix[4*i+2], rgba.Pix[4*i+3] = sample(3*i), sample(3*i+1), sample(3*i+2), 255
		}
		img = rgba
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: pictureQuality}); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return &Picture{JPEG: b.Bytes(), W: w, H: h}, nil
}
