package pixel

import (
	"encoding/binary"
	"fmt"

	"melo.example/melo/dicom/jpeg2000"
)

// fromJPEG2000 decodes a frame of one of the JPEG 2000 and HTJ2K syntaxes.
func fromJPEG2000(encoded []byte, d *Description) (*Frame, error) {
	img, err := jpeg2000.Decode(encoded, jpeg2000.Options{MaxBytes: 32*d.FrameBytes()/int64(d.SampleBytes()) + 16<<20})
	if err != nil {
		return nil, err
	}
	precision := 0
	for _, c := range img.Components {
		precision = max(precision, c.Precision)
	}
	if err := d.fits("JPEG 2000", img.Width, img.Height, len(img.Components), precision); err != nil {
		return nil, err
	}
	for i, c := range img.Components {
		if c.Width != d.Columns || c.Height != d.Rows {
			return nil, fmt.Errorf("component %d of the JPEG 2000 frame is subsampled: %w", i+1, ErrUnsupported)
		}
	}
	for _, c := range img.Components {
		if c.Signed != d.Signed {
			d.note("the object says that its samples are signed: %v; its JPEG 2000 frame says: %v", d.Signed, c.Signed)
			reread(c, d.Signed)
		}
	}
	f := &Frame{d.packComponents(img.Components), d.Photometric}
	switch {
	case d.Photometric == YBRICT, d.Photometric == YBRRCT, img.Transformed && d.Samples == 3:
		f.Photometric = RGB // the transform has been undone
	case d.Photometric == YBRFull422:
		f.Photometric = YBRFull
	}
	return f, nil
}

// reread reinterprets the bits of samples as the object says: as two's complement, or unsigned.
func reread(c jpeg2000.Component, signed bool) {
	shift := 32 - c.Precision
	for i, v := range c.Samples {
		if signed {
			c.Samples[i] = v << shift >> shift
		} else {
			c.Samples[i] = int32(uint32(v) << shift >> shift)
		}
	}
}

// packComponents interleaves components into samples of the object's width.
func (d *Description) packComponents(list []jpeg2000.Component) []byte {
	width, n := d.SampleBytes(), len(list)
	out := make([]byte, d.FrameBytes())
	for s, c := range list {
		switch width {
		case 1:
			for i, v := range c.Samples {
				out[i*n+s] = uint8(v)
			}
		case 2:
			for i, v := range c.Samples {
				binary.LittleEndian.PutUint16(out[2*(i*n+s):], uint16(v))
			}
		default:
			for i, v := range c.Samples {
				binary.LittleEndian.PutUint32(out[width*(i*n+s):], uint32(v))
			}
		}
	}
	return out
}
