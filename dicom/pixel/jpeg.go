package pixel

import (
	"encoding/binary"
	"fmt"

	"melo.example/melo/dicom/jpeg"
)

// fromJPEG decodes a frame of one of the JPEG syntaxes.
func fromJPEG(encoded []byte, d *Description) (*Frame, error) {
	img, err := jpeg.Decode(encoded, jpeg.Limits{MaxSamples: d.FrameBytes() / int64(d.SampleBytes())})
	if err != nil {
		return nil, err
	}
	if err := d.fits("JPEG", img.Width, img.Height, img.Components, img.Precision); err != nil {
		return nil, err
	}
	f := &Frame{pack(img.Samples, d.SampleBytes()), d.Photometric}
	if !img.Lossless {
		f.Photometric = d.colourOf(img)
	}
	return f, nil
}

// fits returns an error if a codestream's header contradicts the object.
func (d *Description) fits(codec string, width, height, components, precision int) error {
	switch {
	case width != d.Columns || height != d.Rows:
		return fmt.Errorf("the %s frame has %d x %d pixels, the object says %d x %d", codec, width, height, d.Columns, d.Rows)
	case components != d.Samples:
		return fmt.Errorf("the %s frame has %d components, the object says %d samples a pixel", codec, components, d.Samples)
	case precision > d.Allocated:
		return fmt.Errorf("the %s frame has %d bits a sample, the object allocates %d", codec, precision, d.Allocated)
	}
	return nil
}

// pack writes samples in little endian with width bytes each.
func pack(samples []uint16, width int) []byte {
	out := make([]byte, len(samples)*width)
	switch width {
	case 1:
		for i, v := range samples {
			out[i] = uint8(v)
		}
	case 2:
		for i, v := range samples {
			binary.LittleEndian.PutUint16(out[2*i:], v)
		}
	default:
		for i, v := range samples {
			binary.LittleEndian.PutUint32(out[width*i:], uint32(v))
		}
	}
	return out
}

// colourOf returns the meaning of the components of a lossy frame. Usually the object says it, but some objects
// are wrong: a frame with a JFIF marker, or with Adobe's for YCbCr, is YCbCr whatever the object says.
func (d *Description) colourOf(img *jpeg.Image) Photometric {
	switch d.Photometric {
	case YBRFull422:
		return YBRFull
	case RGB:
		named := img.IDs[0] == 'R' && img.IDs[1] == 'G' && img.IDs[2] == 'B'
		if img.Transform == 1 || img.Transform < 0 && img.JFIF && !named {
			d.note("RGB, but its JPEG frame says YCbCr: shown as YCbCr")
			return YBRFull
		}
	}
	return d.Photometric
}
