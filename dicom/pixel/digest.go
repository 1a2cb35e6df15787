package pixel

import (
	"crypto/sha256"
	"encoding/hex"
)

// digest hashes one frame after the other.
func (d *Description) digest() (string, error) {
	h := sha256.New()
	err := d.EachFrame(func(data []byte) error {
		if d.data.BigEndian() && d.element.Fragments == nil {
			data = swap(data, 0, int64(len(data)), d.SampleBytes())
		}
		h.Write(data)
		return nil
	})
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// EachFrame decodes one frame after the other and calls do with its samples, in the form of [Frame]. If the
// pixel data contain more whole frames than the number of frames says, these come last, as with other readers.
func (d *Description) EachFrame(do func(samples []byte) error) error {
	more := d.excess()
	if more > 0 {
		d.note("the pixel data holds %d frames more than the object says", more)
	}
	for i := range d.Frames + more {
		f, err := d.frame(i)
		if err != nil {
			return err
		}
		if err := do(f.Data); err != nil {
			return err
		}
	}
	return nil
}

// excess returns the number of whole frames in native pixel data beyond the number of frames.
func (d *Description) excess() int {
	if d.element.Fragments != nil || d.Photometric == YBRFull422 {
		return 0
	}
	bits := int64(d.Rows) * int64(d.Columns) * int64(d.Samples) * int64(d.Allocated)
	have := int64(len(d.element.Value))
	expected := (bits*int64(d.Frames) + 7) / 8
	if have <= expected+expected%2 {
		return 0
	}
	return int(min(max(have*8/bits-int64(d.Frames), 0), int64(d.limits.MaxFrames)))
}
