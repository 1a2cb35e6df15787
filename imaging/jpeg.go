package imaging

import (
	"context"
	"fmt"

	"melo.example/melo/imaging/jpeg"
)

// maxVisits is how often the scans of a JPEG may process each sample. Usual progressive files do so six times,
// the most thorough ones sixteen times. More is possible only in a file made to waste time. Small images are
// not limited.
const (
	maxVisits   = 24
	smallVisits = 1 << 26
)

// inspectJPEG parses the markers of the whole file, because only they tell what its scans cost.
func inspectJPEG(data []byte, _ Options) (Info, error) {
	h, err := jpeg.ReadHeader(data)
	if err != nil {
		return Info{}, err
	}
	info := Info{W: h.W, H: h.H, C: min(len(h.Components), 3), Bits: h.Precision, Pages: 1}
	samples := h.Samples()
	if h.Visits > max(maxVisits*samples, smallVisits) {
		return Info{}, fmt.Errorf("%w: its %d scans go %d times over the image, the limit is %d times: save it as a baseline JPEG",
			ErrTooLarge, h.Scans, h.Visits/samples, maxVisits)
	}
	info.Work = h.Visits + samples
	info.Bytes = samples + int64(info.C)*int64(h.W)*int64(h.H)
	if h.Progressive {
		info.Bytes += 4 * samples
	}
	return info, nil
}

// decodeJPEG decodes a JPEG file, whose markers determine its colour space.
func decodeJPEG(ctx context.Context, data []byte, _ Options) (*Image, error) {
	m, err := jpeg.Decode(data, jpeg.Options{GoOn: ctx.Err})
	if err != nil {
		return nil, err
	}
	img := &Image{W: m.W, H: m.H, C: min(len(m.Components), 3), Bits: 8}
	if img.Pix8, err = m.Colours(m.Space()); err != nil {
		return nil, err
	}
	if m.Damaged > 0 {
		img.Source.Note = "a part of the file is damaged: a strip of the image is grey"
	} else if m.Extra > 0 {
		img.Source.Note = fmt.Sprintf("%d bytes are left over: the file may be damaged", m.Extra)
	}
	return img, nil
}
