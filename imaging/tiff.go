package imaging

import (
	"context"

	"melo.example/melo/imaging/jpeg"
	"melo.example/melo/imaging/tiff"
)

func inspectTIFF(data []byte, opt Options) (Info, error) {
	_, info, err := openTIFF(data, opt)
	return info, err
}

// openTIFF reads the tags of a page. If the page does not exist the caller reports it, because it knows the
// number of pages.
func openTIFF(data []byte, opt Options) (*tiff.Page, Info, error) {
	f, err := tiff.Open(data)
	if err != nil {
		return nil, Info{}, err
	}
	page := opt.Page
	if page < 0 || page >= f.Pages() {
		page = 0
	}
	p, err := f.Page(page)
	if err != nil {
		return nil, Info{}, err
	}
	info := Info{W: p.W, H: p.H, Bits: p.Bits, Pages: f.Pages(), Unscaled: p.Unscaled(), Float: p.Float()}
	info.Bytes, info.Work = p.Cost()
	pixels := saturated(int64(p.W), int64(p.H))
	extra := int64(0) // an image in addition to the raster
	if p.Orientation > 1 || p.Photometric == tiff.Palette || p.Photometric == tiff.CMYK || p.Premultiplied() {
		extra = saturated(pixels, 3*int64(min(p.Bits+7, 16)/8))
	}
	info.Bytes = max(info.Bytes, info.Bytes+extra)
	return p, info, nil
}

func decodeTIFF(ctx context.Context, data []byte, opt Options) (*Image, error) {
	p, _, err := openTIFF(data, opt)
	if err != nil {
		return nil, err
	}
	m, err := p.Decode(ctx.Err)
	if err != nil {
		return nil, err
	}
	img := fromRaster(p, m)
	o := p.Orientation
	if o == 0 {
		o = xmpOrientation(p.XMP)
	}
	return orient(img, o), nil
}

// fromRaster converts the samples of a page to grey or RGB.
func fromRaster(p *tiff.Page, m *tiff.Raster) *Image {
	img := &Image{W: m.W, H: m.H, C: m.N, Bits: 8, Pix8: m.Pix8}
	if m.Pix16 != nil {
		img.Bits, img.Pix8, img.Pix16 = 16, nil, m.Pix16
	}
	switch p.Photometric {
	case tiff.Palette:
		return tiffPalette(p).image(m.Pix8, m.W, m.H)
	case tiff.WhiteIsZero:
		for i, v := range img.Pix8 {
			img.Pix8[i] = ^v
		}
		for i, v := range img.Pix16 {
			img.Pix16[i] = ^v
		}
	case tiff.CMYK:
		return fromInks(img)
	}
	if p.Premultiplied() {
		return divided(img)
	}
	return img
}

// tiffPalette uses the upper bytes of the colours, as Pillow does.
func tiffPalette(p *tiff.Page) *palette {
	n := len(p.Colours) / 3
	rgb := make([]byte, 3*n)
	for i := range n {
		for c := range 3 {
			rgb[3*i+c] = uint8(p.Colours[c*n+i] >> 8)
		}
	}
	return newPalette(rgb)
}

// fromInks converts cyan, magenta, yellow and black, where 0 means no ink.
func fromInks(m *Image) *Image {
	dst := newImage(m.W, m.H, 3, m.Bits)
	for i := range m.W * m.H {
		for c := range 3 {
			if m.Bits == 8 {
				dst.Pix8[3*i+c] = jpeg.Inked(m.Pix8[4*i+c], 255-m.Pix8[4*i+3])
				continue
			}
			white := 65535 - uint64(m.Pix16[4*i+3])
			dst.Pix16[3*i+c] = uint16(white - (uint64(m.Pix16[4*i+c])*white+32767)/65535)
		}
	}
	return dst
}

// divided divides colours by alpha, the last channel, and drops it.
func divided(m *Image) *Image {
	c := m.C - 1
	dst := newImage(m.W, m.H, c, m.Bits)
	for i := range m.W * m.H {
		for k := range c {
			if m.Bits == 8 {
				dst.Pix8[c*i+k] = uint8(quotient(uint32(m.Pix8[m.C*i+k]), uint32(m.Pix8[m.C*i+c]), 255))
			} else {
				dst.Pix16[c*i+k] = uint16(quotient(uint32(m.Pix16[m.C*i+k]), uint32(m.Pix16[m.C*i+c]), 65535))
			}
		}
	}
	return dst
}

// quotient divides as Pillow does: rounded down; pixels without alpha are black.
func quotient(v, alpha, top uint32) uint32 {
	if alpha == 0 {
		return 0
	}
	return min(v*top/alpha, top)
}
