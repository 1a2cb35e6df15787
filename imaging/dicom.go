package imaging

import (
	"context"
	"errors"

	"melo.example/melo/dicom"
	"melo.example/melo/dicom/pixel"
)

// formatDICOM is the name of the format. Its grey values are stretched to the full range by a window, so that a recipe's
// depth has nothing to say about them.
const formatDICOM = "DICOM"

// dicomFormat is the format of DICOM objects, which have no beginning of their own.
var dicomFormat = format{name: formatDICOM, inspect: inspectDICOM, decode: decodeDICOM, density: constant(blankPage)}

// describeDICOM reads an object up to its pixels, within the limits.
func describeDICOM(data []byte, opt Options) (*pixel.Description, error) {
	lim := opt.Limits.orDefault()
	f, err := dicom.Parse(data, "", dicom.Limits{MaxFileBytes: lim.MaxFileBytes, MaxInflatedBytes: lim.MaxBytes})
	if err != nil {
		return nil, err
	}
	return pixel.DescribeLimits(f, pixel.Limits{MaxFrameBytes: lim.MaxBytes})
}

func inspectDICOM(data []byte, opt Options) (Info, error) {
	d, err := describeDICOM(data, opt)
	if err != nil {
		return Info{}, err
	}
	pixels := saturated(int64(d.Rows), int64(d.Columns))
	samples := saturated(pixels, int64(d.Samples))
	info := Info{W: d.Columns, H: d.Rows, C: 1, Bits: d.Stored, Pages: d.Frames, Work: samples}
	if d.Samples == 3 || d.Photometric == pixel.Palette {
		info.C = 3
	}
	each := int64(d.SampleBytes()) + 2*int64(info.C)/int64(d.Samples)
	if !d.Syntax.Native() {
		each += 8 // coefficients of codecs
	}
	info.Bytes = saturated(samples, each)
	return info, nil
}

func decodeDICOM(ctx context.Context, data []byte, opt Options) (*Image, error) {
	w, err := pixel.ParseWindow(opt.Window)
	if err != nil {
		return nil, err
	}
	d, err := describeDICOM(data, opt)
	if err != nil {
		return nil, err
	}
	v, err := d.View(opt.Page, w)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return nil, err
	}
	return &Image{W: v.Width, H: v.Height, C: v.Channels, Bits: v.Bits, Pix8: v.Pix8, Pix16: v.Pix16}, nil
}
