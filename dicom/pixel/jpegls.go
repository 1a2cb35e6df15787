package pixel

import "melo.example/melo/dicom/jpegls"

// fromJPEGLS decodes a frame of one of the JPEG-LS syntaxes.
func fromJPEGLS(encoded []byte, d *Description) (*Frame, error) {
	img, err := jpegls.Decode(encoded, jpegls.Limits{MaxSamples: d.FrameBytes() / int64(d.SampleBytes())})
	if err != nil {
		return nil, err
	}
	if err := d.fits("JPEG-LS", img.Width, img.Height, img.Components, img.Precision); err != nil {
		return nil, err
	}
	return &Frame{pack(img.Samples, d.SampleBytes()), d.Photometric}, nil
}
