package imaging

import "math"

// Scratch holds the buffers for resizing and normalising, so that a loop over images does not allocate once it
// has seen all sizes. A Scratch must not be used by two goroutines at once. The zero value is ready to use.
type Scratch struct {
	cols, rows axis // weights of the horizontal and the vertical pass
	ring8      []uint8
	ring16     []uint16
	taps8      [][]uint8
	taps16     [][]uint16
	acc        []int32
	fit        Image
	part, wide Image // the cropped part of an image smaller than the input; an image widened to 16 bits
}

// resampling selects how an image is resized.
type resampling struct {
	interpolation   string
	horizontalFirst bool // for all sizes
	narrow          bool // weights of 15 bits for 8-bit samples
}

// window is the requested part of a resized image: the image is resized to fullW x fullH, and the w x h pixels
// from (x, y) on are kept.
type window struct {
	fullW, fullH, x, y, w, h int
}

// resample resizes src into dst like Pillow's Image.resize, computing only the window, in two passes with
// samples rounded in between.
func (s *Scratch) resample(dst, src *Image, win window, how resampling) {
	dst.reshape(win.w, win.h, src.C, src.Bits)
	s.cols.set(how, src.W, win.fullW, win.x, win.w)
	s.rows.set(how, src.H, win.fullH, win.y, win.h)
	s.acc = resized(s.acc, max(win.w, src.W)*src.C)
	if src.Bits == 16 {
		p := passes[uint16]{s, src.Pix16, dst.Pix16, src.W, src.C, win, &s.ring16, &s.taps16, horizontal16, vertical16}
		p.run(how.horizontalFirst)
		return
	}
	p := passes[uint8]{s, src.Pix8, dst.Pix8, src.W, src.C, win, &s.ring8, &s.taps8, horizontal8x1, vertical8}
	if src.C == 3 {
		p.horizontal = horizontal8x3
	}
	p.run(how.horizontalFirst)
}

// verticalFirst reports whether the vertical pass comes first. Pillow resized in width first until version 12.
// Since version 13 it starts with the height where that saves work. The rounding in between differs, so some
// samples differ by one level. (The rule is undocumented; it was found by comparing thousands of sizes.)
func verticalFirst(w, h, toW, toH int) bool {
	return h > toH && h-toH > 2*max(0, w-toW)
}

// passes holds the samples, buffers and row functions of one resampling.
type passes[T uint8 | uint16] struct {
	s          *Scratch
	src, dst   []T
	w, c       int // width and channels of src
	win        window
	ring       *[]T
	taps       *[][]T
	horizontal func(dst, src []T, a *axis, c int)
	vertical   func(dst []T, taps [][]T, a *axis, i int, acc []int32)
}

func (p *passes[T]) run(horizontalFirst bool) {
	switch {
	case p.s.rows.identity:
		n := p.win.w * p.c
		for y := range p.win.h {
			out := p.dst[y*n : (y+1)*n]
			copy(out, p.across(out, p.win.y+y)) // copies onto itself after a resize
		}
	case !p.s.cols.identity && !horizontalFirst && verticalFirst(p.w, p.s.rows.in, p.win.fullW, p.win.fullH):
		p.runVerticalFirst()
	default:
		p.runHorizontalFirst()
	}
}

// across returns the window of input row y resized in width: in dst, or as a part of src if widths are equal.
func (p *passes[T]) across(dst []T, y int) []T {
	row := p.src[y*p.w*p.c : (y+1)*p.w*p.c]
	if p.s.cols.identity {
		return row[p.win.x*p.c:][:p.win.w*p.c]
	}
	p.horizontal(dst, row, &p.s.cols, p.c)
	return dst
}

// runHorizontalFirst keeps the rows of the first pass in a ring just large enough for the second. Its memory is
// bounded by the size of src.
func (p *passes[T]) runHorizontalFirst() {
	rows, n := &p.s.rows, p.win.w*p.c
	depth := rows.ksize
	*p.taps = resized(*p.taps, 2*depth)
	taps, slots := (*p.taps)[:depth], (*p.taps)[depth:]
	if !p.s.cols.identity {
		*p.ring = resized(*p.ring, depth*n)
	}
	next := 0 // first input row not yet in the ring
	for y := range p.win.h {
		lo, k := rows.first[y], rows.taps[y]
		for next = max(next, lo); next < lo+k; next++ {
			slot := next % depth
			var buf []T
			if !p.s.cols.identity {
				buf = (*p.ring)[slot*n : (slot+1)*n]
			}
			slots[slot] = p.across(buf, next)
		}
		for t := range k {
			taps[t] = slots[(lo+t)%depth]
		}
		p.vertical(p.dst[y*n:(y+1)*n], taps[:k], rows, y, p.s.acc)
	}
}

// runVerticalFirst needs one row between the passes.
func (p *passes[T]) runVerticalFirst() {
	rows, n, stride := &p.s.rows, p.win.w*p.c, p.w*p.c
	*p.taps = resized(*p.taps, rows.ksize)
	*p.ring = resized(*p.ring, stride)
	for y := range p.win.h {
		taps := (*p.taps)[:rows.taps[y]]
		for t := range taps {
			taps[t] = p.src[(rows.first[y]+t)*stride:][:stride]
		}
		p.vertical(*p.ring, taps, rows, y, p.s.acc)
		p.horizontal(p.dst[y*n:(y+1)*n], *p.ring, &p.s.cols, p.c)
	}
}

// horizontal8x3 resizes a row of RGB pixels.
func horizontal8x3(dst, src []uint8, a *axis, _ int) {
	bits, half := a.bits, a.half()
	for i := range a.n {
		k := a.fixed[i*a.ksize:][:a.taps[i]]
		px := src[3*a.first[i]:][:3*len(k)]
		r, g, b := half, half, half
		for t, o := 0, 0; t < len(k) && o+2 < len(px); t, o = t+1, o+3 {
			w := k[t]
			r += int32(px[o]) * w
			g += int32(px[o+1]) * w
			b += int32(px[o+2]) * w
		}
		out := dst[3*i : 3*i+3 : 3*i+3]
		out[0], out[1], out[2] = clip8(r>>bits), clip8(g>>bits), clip8(b>>bits)
	}
}

// horizontal8x1 resizes a row of grey pixels.
func horizontal8x1(dst, src []uint8, a *axis, _ int) {
	bits, half := a.bits, a.half()
	for i := range a.n {
		k := a.fixed[i*a.ksize:][:a.taps[i]]
		px := src[a.first[i]:][:len(k)]
		sum := half
		for t, w := range k {
			sum += int32(px[t]) * w
		}
		dst[i] = clip8(sum >> bits)
	}
}

// vertical8 combines rows into one, four rows at a time.
func vertical8(dst []uint8, taps [][]uint8, a *axis, i int, acc []int32) {
	k := a.fixed[i*a.ksize:][:len(taps)]
	bits, half := a.bits, a.half()
	acc = acc[:len(dst)]
	for x := range acc {
		acc[x] = half
	}
	t := 0
	for ; t+4 <= len(taps); t += 4 {
		r0, r1, r2, r3 := taps[t][:len(acc)], taps[t+1][:len(acc)], taps[t+2][:len(acc)], taps[t+3][:len(acc)]
		k0, k1, k2, k3 := k[t], k[t+1], k[t+2], k[t+3]
		for x := range acc {
			acc[x] += int32(r0[x])*k0 + int32(r1[x])*k1 + int32(r2[x])*k2 + int32(r3[x])*k3
		}
	}
	for ; t < len(taps); t++ {
		r, w := taps[t][:len(acc)], k[t]
		for x := range acc {
			acc[x] += int32(r[x]) * w
		}
	}
	for x, v := range acc {
		dst[x] = clip8(v >> bits)
	}
}

// horizontal16 resizes a row of 16-bit samples in double precision, as Pillow does for its mode I;16.
func horizontal16(dst, src []uint16, a *axis, c int) {
	for i := range a.n {
		k := a.weights[i*a.ksize:][:a.taps[i]]
		for ch := range c {
			sum := 0.0
			o := a.first[i]*c + ch
			for _, w := range k {
				sum += float64(float64(src[o]) * w)
				o += c
			}
			dst[i*c+ch] = round16(sum)
		}
	}
}

func vertical16(dst []uint16, taps [][]uint16, a *axis, i int, _ []int32) {
	k := a.weights[i*a.ksize:][:len(taps)]
	for x := range dst {
		sum := 0.0
		for t, w := range k {
			sum += float64(float64(taps[t][x]) * w)
		}
		dst[x] = round16(sum)
	}
}

// round16 rounds to the nearest sample and clips overshoot.
func round16(v float64) uint16 {
	return uint16(min(max(math.Floor(v+0.5), 0), math.MaxUint16))
}
