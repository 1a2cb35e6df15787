package jpegls

import (
	"math"
	"testing"
)

// TestSpoiltContext: whatever a damaged stream has made of a context, a sample ends. A shifted count that overflowed never reached what
// had been added up, and decoding did not end.
func TestSpoiltContext(t *testing.T) {
	c, err := newCoder(preset{}, 8, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []int32{math.MaxInt32, 1<<30 + 1, -1} {
		c.a[1], c.runA[0], c.runA[1] = a, a, a
		for _, b := range []byte{0, 0x55, 0x7f} {
			data := make([]byte, 64)
			for i := range data {
				data[i] = b
			}
			r := &reader{data: data}
			c.regular(r, 1, 2, 3, 1)
			c.interruption(r, 1, 1, 0)
			c.interruption(r, 1, 2, 0)
			c.runEnd(r, 0, 1, 1, 0)
		}
	}
	// Shifted counts may overflow before they reach what was added up, in the pixels of several components, too.
	c.runA[0], c.runN[0] = math.MaxInt32, 30_000
	c.runEnd(&reader{data: make([]byte, 64)}, 0, 1, 1, 0)
	// And an error value beyond the range is none.
	if v, ok := c.golomb(&reader{data: []byte{0x40, 0, 0, 0, 0, 0, 0, 0}}, 20, c.limit); ok {
		t.Errorf("error value %d of samples of 8 bits", v)
	}
}
