package pixel

import (
	"crypto/sha256"
	"encoding/hex"
)

// digest hashes frame after frame.
func (d *Description) digest() (string, error) {
	h := sha256.New()
	for i := range d.Frames {
		f, err := d.Frame(i)
		if err != nil {
			return "", err
		}
		data := f.Data
		if d.data.BigEndian() && d.element.Fragments == nil {
			data = swap(data, 0, int64(len(data)), d.SampleBytes())
		}
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}
