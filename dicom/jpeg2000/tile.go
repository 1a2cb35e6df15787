package jpeg2000

import (
	"errors"
	"math"

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
	floats [][]float32 // buffers of planes, kept from tile to tile
	wides  [][]int64
	kept   int64 // bytes of them
	rev    wavelet.Reversible[int32]
	revW   wavelet.Reversible[int64]
	irr    wavelet.Irreversible
}

// plane holds the coefficients and then the samples of a tile-component, in one of three types. Integers of 32 bits stand in
// the image itself.
type plane struct {
	narrow []int32
	wide   []int64
	float  []float32
	w, h   int
	stride int
	out    []int32 // the tile's samples in the image
	outW   int     // their stride
	deep   bool    // code-blocks have more bit-planes than 32 bits hold
}

// tile decodes one tile.
func (d *decoder) tile(i int) error {
	parts := &d.cs.Tiles[i]
	if parts.Coding == nil { // only with Partial: the middle of the range
		return d.grey(i)
	}
	before := d.budget.Left() + d.kept
	defer func() { d.budget.Give(before-d.budget.Left()-d.kept, 1) }() // but for the buffers that are kept
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

// layOut gives each component of a tile its plane.
func (d *decoder) layOut(t *codestream.Tile) error {
	n := len(t.Comps)
	if d.planes == nil {
		if err := d.budget.Take("planes", int64(n), 256); err != nil {
			return err
		}
		d.planes, d.floats, d.wides = make([]plane, n), make([][]float32, n), make([][]int64, n)
	}
	anyDeep := false
	for c := range t.Comps {
		tc := &t.Comps[c]
		p := &d.planes[c]
		bounds := d.cs.Size.Bounds(c)
		comp := &d.img.Components[c]
		*p = plane{w: int(tc.W()), h: int(tc.H()), outW: comp.Width, deep: deep(tc)}
		if !tc.Empty() {
			p.out = comp.Samples[(tc.Y0-bounds.Y0)*int64(comp.Width)+tc.X0-bounds.X0:]
		}
		anyDeep = anyDeep || (c < 3 && p.deep)
	}
	for c := range t.Comps {
		p := &d.planes[c]
		wide := p.deep || (c < 3 && t.Coding.Colour && anyDeep)
		size := p.w * p.h
		var err error
		switch {
		case !t.Comps[c].Coding.Reversible:
			d.floats[c], err = zeros(d, d.floats[c], size)
			p.float, p.stride = d.floats[c], p.w
		case wide:
			d.wides[c], err = zeros(d, d.wides[c], size)
			p.wide, p.stride = d.wides[c], p.w
		default:
			p.narrow, p.stride = p.out, p.outW
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deep reports whether a tile-component needs more than 32 bits for a coefficient.
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

// zeros returns n zeros, in the memory of s if they fit.
func zeros[T float32 | int64](d *decoder, s []T, n int) ([]T, error) {
	if cap(s) >= n {
		s = s[:n]
		clear(s)
		return s, nil
	}
	if err := d.budget.Take("coefficients", int64(n), 8); err != nil {
		return s, err
	}
	d.kept += int64(n) * 8
	return make([]T, n), nil
}

// synthesise does the inverse wavelet transform of a component.
func (d *decoder) synthesise(tc *codestream.TileComp, p *plane) {
	for i := 1; i < len(tc.Resolutions); i++ {
		r := &tc.Resolutions[i]
		if r.Empty() {
			continue
		}
		l := wavelet.Level{W: int(r.W()), H: int(r.H()), OddX: r.X0&1 != 0, OddY: r.Y0&1 != 0, Stride: p.stride}
		switch {
		case p.float != nil:
			d.irr.Inverse(p.float, l)
		case p.wide != nil:
			d.revW.Inverse(p.wide, l)
		case p.narrow != nil:
			d.rev.Inverse(p.narrow, l)
		}
	}
}

// stepSize returns the quantisation step of a subband, T.800 equation E-3.
func stepSize(precision int, b *codestream.Band) float64 {
	gain := [4]int{0, 1, 1, 2}[b.Orient]
	return math.Ldexp(1+float64(b.Step.Mant)/2048, precision+gain-b.Step.Exp)
}

// damaged marks an error of code-block decoding as one of the format.
func damaged(err error) error {
	if errors.Is(err, ErrFormat) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrUnsupported) || errors.Is(err, ErrLimit) {
		return err
	}
	return errors.Join(ErrFormat, err)
}
