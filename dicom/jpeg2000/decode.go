package jpeg2000

import (
	"fmt"

	"melo.example/melo/dicom/jpeg2000/internal/codestream"
)

// Decode decodes a codestream or a JP2 or JPH file.
func Decode(data []byte, opt Options) (*Image, error) {
	img, err := decode(data, opt)
	if err != nil {
		return nil, fmt.Errorf("jpeg2000: %w", err)
	}
	return img, nil
}

// DecodeConfig reads only the headers and returns an Image without samples. If the file has a palette, the
// components are those after applying it.
func DecodeConfig(data []byte, opt Options) (*Image, error) {
	f, err := openFile(data)
	if err != nil {
		return nil, fmt.Errorf("jpeg2000: %w", err)
	}
	size, coding, err := codestream.ParseHeader(f.codestream, opt.budget())
	if err != nil {
		return nil, fmt.Errorf("jpeg2000: %w", err)
	}
	img := describe(size, coding)
	if err = f.describe(img); err == nil {
		err = f.order(img)
	}
	if err != nil {
		return nil, fmt.Errorf("jpeg2000: %w", err)
	}
	return img, nil
}

func decode(data []byte, opt Options) (*Image, error) {
	f, err := openFile(data)
	if err != nil {
		return nil, err
	}
	budget := opt.budget()
	cs, err := codestream.Parse(f.codestream, budget, codestream.Options{Partial: opt.Partial})
	if err != nil {
		return nil, err
	}
	img := describe(cs.Size, cs.Coding)
	img.Truncated = cs.Truncated
	if err := allocate(img, cs, budget, opt.Partial); err != nil {
		return nil, err
	}
	d := &decoder{cs: cs, img: img, budget: budget, opt: opt}
	for i := range cs.Tiles {
		if err := d.tile(i); err != nil {
			return nil, err
		}
	}
	if err := f.apply(img, budget); err != nil {
		return nil, err
	}
	return img, nil
}

// describe returns an image without samples.
func describe(s *codestream.Size, t *codestream.TileCoding) *Image {
	img := &Image{
		Width: int(s.X1 - s.X0), Height: int(s.Y1 - s.Y0), Components: make([]Component, len(s.Components)),
		Lossless: true, Transformed: t.Colour, HighThrough: s.HighThroughput,
	}
	for i, c := range s.Components {
		b := s.Bounds(i)
		img.Components[i] = Component{Width: int(b.W()), Height: int(b.H()), DX: c.DX, DY: c.DY,
			Precision: c.Precision, Signed: c.Signed}
		img.Lossless = img.Lossless && t.Comps[i].Reversible
	}
	return img
}

// allocate allocates the samples, after checking that every tile has data.
func allocate(img *Image, cs *codestream.Codestream, budget *codestream.Budget, partial bool) error {
	for i := range cs.Tiles {
		if cs.Tiles[i].Coding == nil && !partial {
			return fmt.Errorf("%w: tile %d of %d is missing", ErrTruncated, i, len(cs.Tiles))
		}
	}
	for i := range img.Components {
		c := &img.Components[i]
		if err := budget.Take("samples", int64(c.Width)*int64(c.Height), 4); err != nil {
			return err
		}
	}
	for i := range img.Components {
		c := &img.Components[i]
		c.Samples = make([]int32, c.Width*c.Height)
	}
	return nil
}
