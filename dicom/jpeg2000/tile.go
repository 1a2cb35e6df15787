package jpeg2000

import (
	"errors"
	"math"
	"unsafe"

	"melo.example/melo/dicom/jpeg2000/internal/codestream"
	"melo.example/melo/dicom/jpeg2000/internal/ebcot"
	"melo.example/melo/dicom/jpeg2000/internal/wavelet"
)

// decoder decodes the tiles of a codestream into an image.
type decoder struct {
	cs     *codestream.Codestream
	img    *Image
	budget *codestream.Budget
	opt    Options

	coders []*coder
	planes []plane
	store  []buffers // by component, reused from tile to tile
	kept   int64     // bytes of store

	rev  wavelet.Reversible[int32]
	revW wavelet.Reversible[int64]
	irr  wavelet.Irreversible
}

// plane is a tile-component in one of three types: 32- or 64-bit integers, or floating point.
type plane struct {
	narrow pair[int32]
	wide   pair[int64]
	float  pair[float32]
	w, h   int
	out    []int32 // the tile's samples in the image
	outW   int     // stride of out
	deep   bool    // code-blocks have more bit-planes than fit 32 bits
}

// pair is the memory of a plane. The coarsest level starts in the last rows of samples, so that each level can
// be computed in place of the previous one. Other subbands are in coefs, in rows of the plane's width. For
// 32-bit integers, samples is the image's own memory.
type pair[T any] struct {
	coefs, samples []T
	stride         int // of samples
}

// buffers holds the memory of a component's planes.
type buffers struct {
	narrow          []int32
	wide, wideOut   []int64
	float, floatOut []float32
}

// tile decodes one tile.
func (d *decoder) tile(i int) error {
	parts := &d.cs.Tiles[i]
	if parts.Coding == nil { // only with Partial: fill with the middle of the range
		return d.grey(i)
	}
	before := d.budget.Left() + d.kept
	defer func() { d.budget.Give(before-d.budget.Left()-d.kept, 1) }() // all but the buffers that are kept
	t, err := d.cs.NewTile(i, d.budget)
	if err != nil {
		return err
	}
	cut, err := t.ReadPackets(parts, d.opt.Partial)
	if err != nil {
		return err
	}
	d.img.Truncated = d.img.Truncated || cut
	for c := range t.Comps {
		d.img.Lossless = d.img.Lossless && t.Comps[c].Coding.Reversible
	}
	d.img.Transformed = d.img.Transformed || t.Coding.Colour
	if err := d.layOut(t); err != nil {
		return err
	}
	if err := d.blocks(t); err != nil {
		return err
	}
	for c := range t.Comps {
		d.synthesise(&t.Comps[c], &d.planes[c])
	}
	d.finish(t)
	return nil
}

// layOut assigns a plane to each component of a tile.
func (d *decoder) layOut(t *codestream.Tile) error {
	n := len(t.Comps)
	if d.planes == nil {
		if err := d.budget.Take("planes", int64(n), 512); err != nil {
			return err
		}
		d.kept += int64(n) * 512
		d.planes, d.store = make([]plane, n), make([]buffers, n)
	}
	anyDeep := false
	for c := range t.Comps {
		tc := &t.Comps[c]
		p := &d.planes[c]
		bounds := d.cs.Size.Bounds(c)
		comp := &d.img.Components[c]
		*p = plane{outW: comp.Width, deep: deep(tc)}
		if !tc.Empty() { // a tile may contain no sample of a component
			p.w, p.h = int(tc.W()), int(tc.H())
			p.out = comp.Samples[(tc.Y0-bounds.Y0)*int64(comp.Width)+tc.X0-bounds.X0:]
		}
		anyDeep = anyDeep || (c < 3 && p.deep)
	}
	for c := range t.Comps {
		p := &d.planes[c]
		wide := p.deep || (c < 3 && t.Coding.Colour && anyDeep)
		if err := d.memory(c, p, wide, t.Comps[c].Coding.Reversible); err != nil {
			return err
		}
	}
	return nil
}

// memory allocates a plane.
func (d *decoder) memory(c int, p *plane, wide, reversible bool) (err error) {
	size, b := p.w*p.h, &d.store[c]
	switch {
	case !reversible:
		if b.float, err = zeros(d, b.float, size); err == nil {
			b.floatOut, err = zeros(d, b.floatOut, size)
		}
		p.float = pair[float32]{b.float, b.floatOut, p.w}
	case wide:
		if b.wide, err = zeros(d, b.wide, size); err == nil {
			b.wideOut, err = zeros(d, b.wideOut, size)
		}
		p.wide = pair[int64]{b.wide, b.wideOut, p.w}
	default:
		b.narrow, err = zeros(d, b.narrow, size)
		p.narrow = pair[int32]{b.narrow, p.out, p.outW}
	}
	return err
}

// deep reports whether a tile-component needs more than 32 bits per coefficient.
func deep(tc *codestream.TileComp) bool {
	for r := range tc.Resolutions {
		for b := range tc.Resolutions[r].Bands {
			if tc.Resolutions[r].Bands[b].Planes > ebcot.MaxPlanes[uint32]() {
				return true
			}
		}
	}
	return false
}

// zeros returns n zeros, reusing the memory of s if they fit.
func zeros[T int32 | int64 | float32](d *decoder, s []T, n int) ([]T, error) {
	if cap(s) >= n {
		s = s[:n]
		clear(s)
		return s, nil
	}
	size := int64(unsafe.Sizeof(T(0)))
	if err := d.budget.Take("coefficients", int64(n), size); err != nil {
		return s, err
	}
	d.kept += int64(n) * size
	return make([]T, n), nil
}

// synthesise applies the inverse wavelet transform to a component.
func (d *decoder) synthesise(tc *codestream.TileComp, p *plane) {
	switch {
	case p.w == 0 || p.h == 0:
	case p.float.coefs != nil:
		levels(tc, p, p.float, d.irr.Inverse)
	case p.wide.coefs != nil:
		levels(tc, p, p.wide, d.revW.Inverse)
	default:
		levels(tc, p, p.narrow, d.rev.Inverse)
	}
}

// levels computes one resolution after the other.
func levels[T any](tc *codestream.TileComp, p *plane, m pair[T], inverse func(*wavelet.Level[T])) {
	for i := 1; i < len(tc.Resolutions); i++ {
		r, low := &tc.Resolutions[i], &tc.Resolutions[i-1]
		if r.Empty() {
			continue
		}
		inverse(&wavelet.Level[T]{
			W: int(r.W()), H: int(r.H()), OddX: r.X0&1 != 0, OddY: r.Y0&1 != 0,
			Out: m.last(p, r.H()), OutStride: m.stride,
			Low: m.last(p, low.H()), LowStride: m.stride,
			High: m.coefs, HighStride: p.w,
		})
	}
}

// last returns the last rows of the samples.
func (m *pair[T]) last(p *plane, rows int64) []T {
	if rows == 0 {
		return nil
	}
	return m.samples[(p.h-int(rows))*m.stride:]
}

// stepSize returns the quantisation step of a subband, T.800 equation E-3.
func stepSize(precision int, b *codestream.Band) float64 {
	gain := [4]int{0, 1, 1, 2}[b.Orient]
	return math.Ldexp(1+float64(b.Step.Mant)/2048, precision+gain-b.Step.Exp)
}

// damaged wraps an error of code-block decoding as a format error.
func damaged(err error) error {
	if errors.Is(err, ErrFormat) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrUnsupported) || errors.Is(err, ErrLimit) {
		return err
	}
	return errors.Join(ErrFormat, err)
}
