package imaging

import (
	"context"
	"errors"
	"fmt"

	"melo.example/melo/dicom"
	"melo.example/melo/dicom/pixel"
)

// formatDICOM is the name of the format. A window stretches its grey values to the full range, so a recipe's
// Depth does not apply.
const formatDICOM = "DICOM"

// ParseWindow parses the form of [Recipe.Window] that users write: "" or "object", "full", "range",
// "CENTER,WIDTH", or the name or position of one of the object's windows.
func ParseWindow(s string) (string, error) {
	w, err := pixel.ParseWindow(s)
	if err != nil {
		return "", errorf("%w", err)
	}
	return w.String(), nil
}

// dicomFormat is the format of DICOM objects, which have no fixed first bytes.
var dicomFormat = format{name: formatDICOM, inspect: inspectDICOM, decode: decodeDICOM, density: constant(blankPage)}

// describeDICOM reads an object up to its pixels, within the limits. taken is the approximate memory of the
// object in bytes.
func describeDICOM(data []byte, opt Options) (d *pixel.Description, taken int64, err error) {
	f, err := dicom.Parse(data, "", objectLimits(opt))
	if errors.Is(err, dicom.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	if err != nil {
		return nil, 0, err
	}
	d, err = pixel.DescribeLimits(f, pixel.Limits{MaxFrameBytes: opt.Limits.orDefault().MaxBytes})
	return d, int64(f.Elements)*dicom.ElementBytes + f.Inflated, err
}

// objectLimits returns the limits for parsing an object. Its elements may use part of the memory.
func objectLimits(opt Options) dicom.Limits {
	lim := opt.Limits.orDefault()
	most := min(int64(dicom.DefaultLimits.MaxElements), lim.MaxBytes/(3*dicom.ElementBytes))
	return dicom.Limits{MaxFileBytes: lim.MaxFileBytes, MaxInflatedBytes: lim.MaxBytes, MaxElements: int(max(most, 1))}
}

// InspectBytes returns an upper bound of the memory that [Inspect] needs beyond data. It is 0 for all formats
// but DICOM, whose objects are parsed completely.
func InspectBytes(data []byte, opt Options) int64 {
	if f := findFormat(data); f == nil || f.name != formatDICOM {
		return 0
	}
	return dicom.Cost(data, objectLimits(opt))
}

func inspectDICOM(data []byte, opt Options) (Info, error) {
	d, taken, err := describeDICOM(data, opt)
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
	info.Bytes = saturated(samples, each) + taken
	return info, nil
}

func decodeDICOM(ctx context.Context, data []byte, opt Options) (*Image, error) {
	img, err := viewDICOM(data, opt)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return nil, err
	}
	// Keep the object for recipes with other windows: a server decodes an image before it knows which adapters
	// are asked.
	img.again = func(window string) (*Image, error) {
		opt := opt
		opt.Window = window
		return viewDICOM(data, opt)
	}
	return img, nil
}

// viewDICOM renders a frame through the window in the options.
func viewDICOM(data []byte, opt Options) (*Image, error) {
	w, err := pixel.ParseWindow(opt.Window)
	if err != nil {
		return nil, err
	}
	d, _, err := describeDICOM(data, opt)
	if err != nil {
		return nil, err
	}
	v, err := d.View(opt.Page, w)
	if err != nil {
		return nil, err
	}
	return &Image{W: v.Width, H: v.Height, C: v.Channels, Bits: v.Bits, Pix8: v.Pix8, Pix16: v.Pix16}, nil
}
