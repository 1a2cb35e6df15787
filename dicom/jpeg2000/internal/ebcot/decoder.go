package ebcot

import (
	"errors"
	"fmt"
)

// ErrDamaged is returned for code-blocks with inconsistent data.
var ErrDamaged = errors.New("damaged code-block")

// Style holds the code-block styles that affect decoding.
type Style struct {
	Bypass, Reset, TermAll, Causal, Segmark bool
}

// Magnitude is the type of a coefficient: 32 bits for up to 30 bit-planes, 64 bits for up to 62.
type Magnitude interface{ uint32 | uint64 }

// MaxPlanes returns the number of bit-planes that fit M.
func MaxPlanes[M Magnitude]() int {
	if M(0)-1 > 1<<32-1 {
		return 62
	}
	return 30
}

// Decoder decodes code-blocks one after the other. The zero value is ready to use. It reuses its buffers.
type Decoder[M Magnitude] struct {
	mq     mq
	raw    raw
	cx     [32]context
	flags  []uint32
	data   []M
	w, h   int
	stride int // of flags
	zero   *[512]uint8
	style  Style

	plane int // of the next pass
	pass  int // 0 significance, 1 refinement, 2 cleanup
	count int // passes so far
}

// Start begins a code-block of w x h samples in a subband, with the given number of non-empty bit-planes.
func (d *Decoder[M]) Start(w, h int, band Band, planes int, style Style) error {
	if planes > MaxPlanes[M]() {
		return fmt.Errorf("%w: %d bit-planes, at most %d fit", ErrDamaged, planes, MaxPlanes[M]())
	}
	d.w, d.h, d.stride = w, h, w+2
	n := (h+3)/4 + 2
	d.flags = zeroed(d.flags, n*d.stride)
	d.data = zeroed(d.data, w*h)
	d.zero = &zeroContexts[band]
	d.style = style
	d.plane, d.pass, d.count = planes-1, 2, 0
	d.reset()
	return nil
}

// zeroed returns a slice of n zeros in the memory of s, if it is large enough.
func zeroed[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

func (d *Decoder[M]) reset() {
	for i := range d.cx {
		d.cx[i] = newContext(0)
	}
	d.cx[ctxZero] = newContext(4)
	d.cx[ctxRun] = newContext(3)
	d.cx[ctxUniform] = newContext(46)
}

// Segment decodes the passes of one codeword segment.
func (d *Decoder[M]) Segment(data []byte, passes int) error {
	isRaw := d.style.Bypass && d.count >= 10 && d.pass != 2
	var reg int32
	if isRaw {
		d.raw.start(data)
	} else {
		reg = d.mq.start(data)
	}
	for range passes {
		if d.plane < 0 {
			return fmt.Errorf("%w: coding passes below the lowest bit-plane", ErrDamaged)
		}
		switch {
		case d.pass == 0 && isRaw:
			d.significanceRaw(uint(d.plane))
		case d.pass == 0:
			reg = d.significance(uint(d.plane), reg)
		case d.pass == 1 && isRaw:
			d.refineRaw(uint(d.plane))
		case d.pass == 1:
			reg = d.refine(uint(d.plane), reg)
		default:
			reg = d.cleanup(uint(d.plane), reg)
			if d.style.Segmark {
				var ok bool
				if ok, reg = d.segmark(reg); !ok {
					return fmt.Errorf("%w: a segmentation symbol is missing", ErrDamaged)
				}
			}
		}
		d.count++
		if d.pass++; d.pass == 3 {
			d.pass = 0
			d.plane--
		}
		if d.style.Reset {
			d.reset()
		}
	}
	return nil
}

// segmark reads the segmentation symbol 1010. If the segment's bytes are exhausted it counts as read, because
// encoders that truncate code-blocks to a rate (OpenJPEG) leave too few bytes for the symbol.
func (d *Decoder[M]) segmark(reg int32) (bool, int32) {
	v := uint32(0)
	for range 4 {
		var b uint32
		b, reg = d.mq.symbol(&d.cx[ctxUniform], reg)
		v = v<<1 | b
	}
	return v == 0b1010 || d.mq.at >= len(d.mq.data), reg
}

// Coefficients returns the code-block's coefficients, row by row. They are valid until the next Start.
func (d *Decoder[M]) Coefficients() []M { return d.data }

// signBit is the highest bit of M.
func signBit[M Magnitude]() M {
	one := M(1)
	return one << (MaxPlanes[M]() + 1)
}
