package jpeg

import "fmt"

// lossyScan decodes a scan of sequential coding: blocks of 64 coefficients, in turns of the components' sampling.
func (d *decoder) lossyScan(r *bits, list []*component) error {
	wide, high := ceil(d.img.Width, 8*d.hmax), ceil(d.img.Height, 8*d.vmax)
	single := len(list) == 1
	if single { // without turns a scan has the blocks that hold samples, and no others
		wide, high = ceil(list[0].width, 8), ceil(list[0].height, 8)
	}
	for m := range wide * high {
		if d.restart > 0 && m > 0 && m%d.restart == 0 {
			if err := d.next(r, m/d.restart-1); err != nil {
				return err
			}
			for _, c := range list {
				c.last = 0
			}
		}
		x, y := m%wide, m/wide
		for _, c := range list {
			if single {
				if err := d.block(r, c, x, y); err != nil {
					return err
				}
				continue
			}
			for i := range c.h * c.v {
				if err := d.block(r, c, x*c.h+i%c.h, y*c.v+i/c.h); err != nil {
					return err
				}
			}
		}
		if r.missing() {
			return fmt.Errorf("%w: in block %d of %d", ErrTruncated, m+1, wide*high)
		}
	}
	return nil
}

// block decodes, dequantises and transforms one block into its component's plane.
func (d *decoder) block(r *bits, c *component, bx, by int) error {
	var coefficients [64]int32
	q := d.quant[c.quant]
	r.fill()
	n := r.symbol(c.dc)
	if n < 0 || n > 16 {
		return errCode
	}
	c.last += r.receive(n)
	coefficients[0] = c.last * int32(q[0])
	flat := true
	for k := 1; k < 64; k++ {
		r.fill()
		s := r.symbol(c.ac)
		if s < 0 {
			return errCode
		}
		run, size := s>>4, s&15
		if size == 0 {
			if run != 15 {
				break // the rest is zero
			}
			k += 15
			continue
		}
		if k += run; k > 63 {
			return errCode
		}
		z := zigzag[k]
		coefficients[z] = r.receive(size) * int32(q[z])
		flat = false
	}
	out := c.plane[by*8*c.stride+bx*8:]
	if flat {
		flatBlock(coefficients[0], out, c.stride, d.img.Precision)
		return nil
	}
	inverse(&coefficients, out, c.stride, d.img.Precision)
	return nil
}

// assemble widens subsampled components and interleaves all.
func (d *decoder) assemble() {
	img := d.img
	n := img.Components
	img.Samples = make([]uint16, img.Width*img.Height*n)
	for i := range d.comps {
		c := &d.comps[i]
		d.widen(c, img.Samples[i:], n)
		c.plane = nil
	}
}

// widen writes a component's samples, step apart. Where only width, or width and height are halved, neighbours weigh in as
// 3 to 1; other factors repeat samples.
func (d *decoder) widen(c *component, out []uint16, step int) {
	w, h := d.img.Width, d.img.Height
	fx, fy := d.hmax/c.h, d.vmax/c.v
	row := func(y int) []uint16 { return c.plane[y*c.stride : y*c.stride+c.width] }
	// The library interpolates only rows of at least three samples.
	smooth := c.width > 2 && fx == 2 && (fy == 1 || fy == 2)
	sums := make([]int32, c.width)
	for y := range h {
		o := out[y*w*step:]
		switch near := row(y / fy); {
		case smooth && fy == 1:
			for x := range sums {
				sums[x] = int32(near[x])
			}
			spread(sums, o, step, w, 2, 1, 2)
		case smooth:
			other := y/2 - 1 + y%2*2
			if other < 0 || other >= c.height {
				other = y / 2
			}
			far := row(other)
			for x := range sums {
				sums[x] = 3*int32(near[x]) + int32(far[x])
			}
			spread(sums, o, step, w, 4, 8, 7)
		default:
			for x := range w {
				o[x*step] = near[x/fx]
			}
		}
	}
}

// spread doubles the width of a row of sums: each output is 3 of the nearest and 1 of the next, shifted down. round is added
// left of a sample, and its counterpart right of it, so that errors do not add up.
func spread(sums []int32, out []uint16, step, w int, shift uint, left, right int32) {
	last := len(sums) - 1
	scale := int32(1) << shift
	for x := range w {
		s := x / 2
		v := sums[s]
		var y int32
		switch {
		case x == 0 || s == last && x&1 == 1:
			round := left
			if x&1 == 1 {
				round = right
			}
			if shift == 2 {
				y = v
			} else {
				y = (4*v + round) / scale
			}
		case x&1 == 0:
			y = (3*v + sums[s-1] + left) >> shift
		default:
			y = (3*v + sums[s+1] + right) >> shift
		}
		out[x*step] = uint16(y)
	}
}
