package imaging

import (
	"fmt"
	"math/bits"
)

// Remarks lists choices that were made where the image file leaves one: which page or frame, the range of
// samples that use only part of theirs, and oddities of the file. It is empty for most images.
func (m *Image) Remarks(r Recipe) []string {
	var list []string
	if m.Source.Pages > 1 {
		what := "page"
		if m.Source.Format != "TIFF" {
			what = "frame"
		}
		list = append(list, fmt.Sprintf("%s %d of %d is taken", what, m.Source.Page+1, m.Source.Pages))
	}
	if m.Bits == 16 && m.Source.Format != formatDICOM && r.Depth == DepthStored {
		if n := bits.Len16(m.Max()); n > 8 && n <= 12 {
			list = append(list, fmt.Sprintf("%d of 16 bits are used: as stored the image is dark", n))
		}
	}
	if m.Source.Note != "" {
		list = append(list, m.Source.Note)
	}
	return list
}
