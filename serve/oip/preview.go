package oip

import (
	"context"
	"encoding/binary"
	"math"

	"melo.example/melo/imaging"
)

// MaxPreview is how many pixels a preview has at most. Larger images are shown smaller.
const MaxPreview = 16 << 20

// fullRange is the window of a preview: a person chooses another one where it is shown.
const fullRange = "range"

// Preview is an image as a person looks at it: its samples, and through which of them it is seen at first.
type Preview struct {
	Width, Height         int // of the preview
	FullWidth, FullHeight int // of the image, upright
	Channels, Bits        int // 1 or 3; 8 or 16
	Low, High             int // samples that are black and white at first
	Page, Pages           int // from 0
	Format                string
	Samples               []byte // row by row, channels interleaved; those of 16 bits with the lower byte first
}

// Preview decodes an image that browsers cannot show, and calls use with what is to be seen of it. The memory that it takes is that
// of requests until use returns. Grey values of a DICOM object span the range of its image; Low and High are where its own window begins
// and ends.
func (s *Service) Preview(ctx context.Context, image Encoded, use func(p *Preview) error) error {
	info, err := s.decoder.inspect(ctx, image)
	if err != nil {
		return imageFault(err)
	}
	// What is shown, its bytes, and for DICOM objects the image through a second window.
	beside := 2*2*3*min(int64(info.W)*int64(info.H), MaxPreview) + info.Bytes
	return s.decoder.decodeBeside(ctx, []Encoded{image}, beside, func(_ int, list []Decoded) error {
		if err := firstError(list); err != nil {
			return err
		}
		p, err := preview(list[0].Image)
		if err != nil {
			return imageFault(err)
		}
		return use(p)
	})
}

// preview shows an image that was decoded through its own window.
func preview(own *imaging.Image) (*Preview, error) {
	wide, err := own.Through(fullRange)
	if err != nil {
		return nil, err
	}
	low, high := 0, math.MaxUint8
	switch {
	case wide != own:
		low, high = windowOf(wide, own)
	case wide.Bits == 16:
		if high = math.MaxUint16; wide.C == 1 && own.Source.Format != "DICOM" {
			high = max(int(wide.Max()), 1) // nothing says which sample is white
		}
	}
	p := &Preview{FullWidth: wide.W, FullHeight: wide.H, Channels: wide.C, Bits: wide.Bits, Low: low, High: high, Page: own.Source.Page,
		Pages: own.Source.Pages, Format: own.Source.Format}
	if pixels := float64(wide.W) * float64(wide.H); pixels > MaxPreview {
		zoom := math.Sqrt(MaxPreview / pixels)
		var scratch imaging.Scratch
		small := &imaging.Image{}
		if err := scratch.Resize(wide, small, max(int(float64(wide.W)*zoom), 1), max(int(float64(wide.H)*zoom), 1), imaging.Box); err != nil {
			return nil, err
		}
		wide = small
	}
	p.Width, p.Height, p.Samples = wide.W, wide.H, wide.Pix8
	if wide.Bits == 16 {
		p.Samples = make([]byte, 0, 2*len(wide.Pix16))
		for _, v := range wide.Pix16 {
			p.Samples = binary.LittleEndian.AppendUint16(p.Samples, v)
		}
	}
	return p, nil
}

// windowOf returns which samples of wide are the first to be black and white in own, the same image through a window. Where the window
// is wider than the image, they lie beyond its samples.
func windowOf(wide, own *imaging.Image) (low, high int) {
	top := 1<<own.Bits - 1
	sample := func(m *imaging.Image, i int) int {
		if m.Bits == 16 {
			return int(m.Pix16[i])
		}
		return int(m.Pix8[i])
	}
	// The least and the greatest sample inside of the window, and what they are through it.
	a, b, va, vb := -1, -1, 0, 0
	black, white := -1, 1<<wide.Bits
	for i := range wide.W * wide.H {
		x, v := sample(wide, i), sample(own, i)
		switch {
		case v == 0:
			black = max(black, x)
		case v == top:
			white = min(white, x)
		default:
			if a < 0 || x < a {
				a, va = x, v
			}
			if b < 0 || x > b {
				b, vb = x, v
			}
		}
	}
	if b > a && vb > va { // the line through both
		slope := float64(vb-va) / float64(b-a)
		return int(math.Round(float64(a) - float64(va)/slope)), int(math.Round(float64(b) + float64(top-vb)/slope))
	}
	low, high = max(black, 0), min(white, 1<<wide.Bits-1)
	return low, max(high, low+1)
}
