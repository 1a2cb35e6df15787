package jpeg

import (
	"errors"
	"fmt"
)

// losslessScan decodes a scan of lossless coding (T.81, annex H): each sample is predicted from its neighbours and
// corrected by a difference modulo 65,536.
func (d *decoder) losslessScan(r *bits, list []*component, predictor, point int) error {
	if predictor < 1 || predictor > 7 {
		return fmt.Errorf("predictor %d, expected 1 to 7", predictor)
	}
	if point >= d.img.Precision {
		return fmt.Errorf("point transform by %d of %d bits", point, d.img.Precision)
	}
	w, h, step := d.img.Width, d.img.Height, d.img.Components
	rows := h
	if d.restart > 0 {
		if d.restart%w != 0 {
			return fmt.Errorf("restarts after %d samples, expected whole rows of %d: %w", d.restart, w, ErrUnsupported)
		}
		rows = d.restart / w
	}
	first := int32(1) << (d.img.Precision - point - 1)
	places := make([]int, len(list))
	for i, c := range list {
		for k := range d.comps {
			if &d.comps[k] == c {
				places[i] = k
			}
		}
	}
	for y := range h {
		if y > 0 && y%rows == 0 {
			if err := d.next(r, y/rows-1); err != nil {
				return err
			}
		}
		fresh := y%rows == 0
		row := d.img.Samples[y*w*step : (y+1)*w*step]
		var above []uint16
		if !fresh {
			above = d.img.Samples[(y-1)*w*step : y*w*step]
		}
		var err error
		if len(list) == 1 {
			err = losslessRow(r, list[0].dc, row[places[0]:], tail(above, places[0]), step, w, predictor, first)
		} else {
			err = losslessMixed(r, list, places, row, above, step, w, predictor, first)
		}
		if err != nil {
			return fmt.Errorf("row %d: %w", y+1, err)
		}
		if r.missing() {
			return fmt.Errorf("%w: in row %d of %d", ErrTruncated, y+1, h)
		}
	}
	if point > 0 {
		for _, at := range places {
			for i := at; i < len(d.img.Samples); i += step {
				d.img.Samples[i] <<= point
			}
		}
	}
	return nil
}

func tail(s []uint16, at int) []uint16 {
	if s == nil {
		return nil
	}
	return s[at:]
}

var errCode = errors.New("a code that no symbol has")

// difference takes one difference.
func difference(r *bits, t *table) (int32, bool) {
	r.fill()
	n := r.symbol(t)
	if n <= 0 {
		return 0, n == 0
	}
	if n >= 16 {
		return 1 << 15, n == 16 // no further bits
	}
	return r.receive(n), true
}

// losslessRow decodes a row of one component whose samples lie step apart.
func losslessRow(r *bits, t *table, row, above []uint16, step, w, predictor int, first int32) error {
	left := first
	if above != nil {
		left = int32(above[0])
	}
	diff, ok := difference(r, t)
	if !ok {
		return errCode
	}
	left = int32(uint16(left + diff))
	row[0] = uint16(left)
	if above == nil {
		predictor = 1
	}
	if predictor == 1 {
		for x := 1; x < w; x++ {
			diff, ok := difference(r, t)
			if !ok {
				return errCode
			}
			left = int32(uint16(left + diff))
			row[x*step] = uint16(left)
		}
		return nil
	}
	for x := 1; x < w; x++ {
		diff, ok := difference(r, t)
		if !ok {
			return errCode
		}
		p := predict(predictor, left, int32(above[x*step]), int32(above[(x-1)*step]))
		left = int32(uint16(p + diff))
		row[x*step] = uint16(left)
	}
	return nil
}

// losslessMixed decodes a row of several components, sample by sample in turns.
func losslessMixed(r *bits, list []*component, places []int, row, above []uint16, step, w, predictor int, first int32) error {
	for x := range w {
		for i, c := range list {
			at := x*step + places[i]
			diff, ok := difference(r, c.dc)
			if !ok {
				return errCode
			}
			var p int32
			switch {
			case x == 0 && above == nil:
				p = first
			case x == 0:
				p = int32(above[at])
			case above == nil:
				p = int32(row[at-step])
			default:
				p = predict(predictor, int32(row[at-step]), int32(above[at]), int32(above[at-step]))
			}
			row[at] = uint16(p + diff)
		}
	}
	return nil
}

// predict is table H.1: a is left, b above, c above left.
func predict(predictor int, a, b, c int32) int32 {
	switch predictor {
	case 1:
		return a
	case 2:
		return b
	case 3:
		return c
	case 4:
		return a + b - c
	case 5:
		return a + (b-c)>>1
	case 6:
		return b + (a-c)>>1
	}
	return (a + b) >> 1
}
