package lines

import (
	"melo.example/melo/dicom/show"
	"melo.example/melo/internal/text"
)

// DICOM shows what an object says of its pixels.
func DICOM(l Writer, d *show.Document) {
	l.Entry("transfer syntax  ", "%s (%s)", d.Syntax, d.Name)
	if p := d.Pixels; p != nil {
		sign := "unsigned"
		if p.Signed {
			sign = "signed"
		}
		if p.Float {
			sign = "floating point"
		}
		l.Entry("pixels           ", "%s of %d x %d, %d samples a pixel, %d bits of %d, %s, %s", text.Plural(p.Frames, "frame", "frames"), p.Columns,
			p.Rows, p.Samples, p.Stored, p.Allocated, sign, p.Photometric)
	}
	if d.PixelSum != "" {
		l.Printf("pix_sha256       %s", d.PixelSum)
	}
	if d.Shown != "" {
		l.Printf("shown            %s", d.Shown)
	}
	if d.Picture != "" {
		l.Printf("written          %s", d.Picture)
	}
	for _, n := range d.Notes {
		l.Entry("note             ", "%s", n)
	}
}
