// Package ht decodes the code-blocks of High-Throughput JPEG 2000 (ITU-T T.814): one cleanup pass in three
// interleaved streams, and up to two refinement passes of raw bits.
//
// Coefficients have the form of package ebcot: the highest bit is the sign, the others are the magnitude in
// units of one half, at the middle of its interval.
package ht

import (
	"errors"
	"fmt"

	"melo.example/melo/dicom/jpeg2000/internal/ebcot"
)

// ErrDamaged is returned for code-blocks with inconsistent data.
var ErrDamaged = errors.New("damaged code-block")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// Block is the coded data of a code-block: one set of passes.
type Block struct {
	W, H        int
	Cleanup     []byte
	Refinement  []byte // of one or two passes
	Refinements int    // how many: significance propagation, then magnitude refinement
	Plane       int    // bit-plane of the cleanup pass
	Above       int    // bit-planes above it that may hold something
	Causal      bool   // refinement does not look into the next stripe
}

// Decoder decodes code-blocks one after the other. The zero value is ready to use. It reuses its buffers.
type Decoder[M ebcot.Magnitude] struct {
	data   []M // rows of stride coefficients, padded to whole quads
	stride int

	mel mel
	vlc backward
	mag forward

	quads []quad  // of the current row
	sig   []uint8 // significance of the quads of the row above, with one more on either side
	exp   []uint8 // greatest exponent of the lower samples on either side of each quad's left edge, of the row above
	flags []uint8 // of the refinement passes
}

// quad is what the variable-length codes encode for a quad. Bit n of the first three fields belongs to sample
// n: first the left column from the top, then the right.
type quad struct {
	sig, known, one uint8 // significant; its highest bit is implied; that bit
	u               uint8 // excess of the exponent
}

// Coefficients returns the code-block's coefficients and the row stride. They are valid until the next Decode.
func (d *Decoder[M]) Coefficients() ([]M, int) { return d.data, d.stride }

// Decode decodes a code-block.
func (d *Decoder[M]) Decode(b *Block) error {
	if b.Plane < 0 || b.Above < 0 || b.Plane+b.Above+1 > ebcot.MaxPlanes[M]() {
		return damaged("cleanup at bit-plane %d below %d others", b.Plane, b.Above)
	}
	if b.Refinements > 0 && b.Plane == 0 {
		return damaged("refinement below the lowest bit-plane")
	}
	across, down := (b.W+1)/2, (b.H+1)/2
	d.stride = 2 * across
	d.data = zeroed(d.data, d.stride*2*down)
	d.quads = zeroed(d.quads, across+1)
	d.sig = zeroed(d.sig, across+3)
	d.exp = zeroed(d.exp, across+2)
	if err := d.open(b.Cleanup); err != nil {
		return err
	}
	for row := range down {
		if row == 0 {
			d.firstRow(across)
		} else {
			d.nextRow(across)
		}
		for q := range across {
			d.sig[q+1] = d.quads[q].sig
		}
		if err := d.magnitudes(row, across, b); err != nil {
			return err
		}
	}
	if b.Refinements > 0 {
		d.refine(b)
	}
	return nil
}

// open finds the three streams of a cleanup segment: magnitudes and signs from its beginning, and in its last bytes, whose
// number the last twelve bits give, run lengths forwards and codewords backwards.
func (d *Decoder[M]) open(data []byte) error {
	n := len(data)
	if n < 2 {
		return damaged("a cleanup segment of %d bytes", n)
	}
	suffix := int(data[n-1])<<4 | int(data[n-2]&15)
	if suffix < 2 || suffix > n || suffix > 4079 {
		return damaged("a cleanup segment of %d bytes with a suffix of %d", n, suffix)
	}
	d.mag = forward{data: data[:n-suffix], fill: 0xFF}
	d.mel = mel{data: data[n-suffix:]}
	d.vlc = backward{data: data[n-suffix : n-2], last: data[n-2]}
	d.vlc.acc, d.vlc.n = uint64(data[n-2]>>4), 4
	if d.vlc.acc&7 == 7 {
		d.vlc.acc, d.vlc.n = 7, 3
	}
	return nil
}

func zeroed[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// signBit is the highest bit of M.
func signBit[M ebcot.Magnitude]() M {
	one := M(1)
	return one << (ebcot.MaxPlanes[M]() + 1)
}
