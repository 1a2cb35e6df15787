package jpeg2000

import (
	"sync"
	"sync/atomic"

	"melo.example/melo/dicom/jpeg2000/internal/codestream"
	"melo.example/melo/dicom/jpeg2000/internal/ebcot"
	"melo.example/melo/dicom/jpeg2000/internal/ht"
)

// job is a code-block and the destination of its coefficients.
type job struct {
	comp  *codestream.TileComp
	band  *codestream.Band
	block *codestream.Block
	plane *plane
	x, y  int // position in the plane of the block's first coefficient
	prec  int
}

// coder decodes code-blocks. Each worker has one.
type coder struct {
	part1  ebcot.Decoder[uint32]
	part1W ebcot.Decoder[uint64]
	part15 ht.Decoder[uint32]
	part5W ht.Decoder[uint64]
	buf    []byte
	sets   [2][]byte
}

// blocks decodes all code-blocks of a tile into their planes.
func (d *decoder) blocks(t *codestream.Tile) error {
	jobs, err := d.jobs(t)
	if err != nil {
		return err
	}
	workers := min(max(d.opt.Workers, 1), max(len(jobs), 1))
	for len(d.coders) < workers {
		d.coders = append(d.coders, &coder{})
	}
	var next atomic.Int64
	errs := make([]error, workers)
	work := func(w int) {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(jobs) {
				return
			}
			err := d.coders[w].decode(t, &jobs[i])
			if err != nil && !d.opt.Partial {
				errs[w] = err
				next.Store(int64(len(jobs)))
				return
			}
		}
	}
	var group sync.WaitGroup
	for w := 1; w < workers; w++ {
		group.Go(func() { work(w) })
	}
	work(0)
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return damaged(err)
		}
	}
	return nil
}

const jobBytes = 56

// jobs lists the code-blocks that have data.
func (d *decoder) jobs(t *codestream.Tile) ([]job, error) {
	n := int64(0)
	each := func(yield func(c, r, b int, blk *codestream.Block)) {
		for c := range t.Comps {
			for r := range t.Comps[c].Resolutions {
				res := &t.Comps[c].Resolutions[r]
				for b := range res.Bands {
					for i := range res.Bands[b].Blocks {
						if res.Bands[b].Blocks[i].Passes > 0 {
							yield(c, r, b, &res.Bands[b].Blocks[i])
						}
					}
				}
			}
		}
	}
	each(func(c, r, b int, blk *codestream.Block) { n++ })
	if err := d.budget.Take("code-blocks to decode", n, jobBytes); err != nil {
		return nil, err
	}
	jobs := make([]job, 0, n)
	each(func(c, r, b int, blk *codestream.Block) {
		tc, p := &t.Comps[c], &d.planes[c]
		band := &tc.Resolutions[r].Bands[b]
		x, y := int(blk.X), int(blk.Y)
		if band.Orient&1 != 0 {
			x += int(tc.Resolutions[r-1].W())
		}
		if band.Orient>>1 != 0 {
			y += int(tc.Resolutions[r-1].H())
		}
		if r == 0 { // the first level expects it there
			y += p.h - int(tc.Resolutions[0].H())
		}
		jobs = append(jobs, job{comp: tc, band: band, block: blk, plane: p, x: x, y: y,
			prec: d.cs.Size.Components[c].Precision})
	})
	return jobs, nil
}

// decode decodes one code-block.
func (c *coder) decode(t *codestream.Tile, j *job) error {
	switch {
	case j.block.HT && j.plane.deep:
		return decodeHT(c, &c.part5W, t, j)
	case j.block.HT:
		return decodeHT(c, &c.part15, t, j)
	case j.plane.deep:
		return decodePart1(c, &c.part1W, t, j)
	default:
		return decodePart1(c, &c.part1, t, j)
	}
}

func decodePart1[M ebcot.Magnitude](c *coder, d *ebcot.Decoder[M], t *codestream.Tile, j *job) (err error) {
	s := j.comp.Coding.Style
	style := ebcot.Style{
		Bypass: s&codestream.StyleBypass != 0, Reset: s&codestream.StyleReset != 0, TermAll: s&codestream.StyleTermAll != 0,
		Causal: s&codestream.StyleCausal != 0, Segmark: s&codestream.StyleSegmark != 0,
	}
	if t.CodedBytes(j.block) == 0 {
		return nil // passes without data carry no information
	}
	planes := j.band.Planes - int(j.block.ZeroPlanes)
	if err := d.Start(int(j.block.W), int(j.block.H), ebcot.Band(j.band.Orient), planes, style); err != nil {
		return err
	}
	c.buf, err = t.Segments(j.block, c.buf, func(s *codestream.Segment, data []byte) error {
		return d.Segment(data, int(s.Passes))
	})
	if err != nil {
		return err
	}
	store(d.Coefficients(), int(j.block.W), j)
	return nil
}

// decodeHT decodes a code-block of T.814. Of several sets of passes the last is the finest and supersedes the
// others.
func decodeHT[M ebcot.Magnitude](c *coder, d *ht.Decoder[M], t *codestream.Tile, j *job) (err error) {
	pass := int(j.block.Passes) - t.CodedPasses(j.block) // placeholders come first
	b := ht.Block{W: int(j.block.W), H: int(j.block.H), Causal: j.comp.Coding.Style&codestream.StyleCausal != 0}
	c.sets[0], c.sets[1] = c.sets[0][:0], c.sets[1][:0]
	c.buf, err = t.Segments(j.block, c.buf, func(s *codestream.Segment, data []byte) error {
		if pass%3 == 0 {
			b.Above = int(j.block.ZeroPlanes) + pass/3
			b.Plane = j.band.Planes - 1 - b.Above
			b.Refinements = 0
			c.sets[0], c.sets[1] = append(c.sets[0][:0], data...), c.sets[1][:0]
		} else {
			b.Refinements += int(s.Passes)
			c.sets[1] = append(c.sets[1][:0], data...)
		}
		pass += int(s.Passes)
		return nil
	})
	if err != nil {
		return err
	}
	if len(c.sets[0]) == 0 {
		return nil // only placeholders: nothing is known yet
	}
	b.Cleanup, b.Refinement = c.sets[0], c.sets[1]
	if err := d.Decode(&b); err != nil {
		return err
	}
	coefs, stride := d.Coefficients()
	store(coefs, stride, j)
	return nil
}

// store writes the coefficients of a code-block, in rows of stride, to its plane. It scales down coefficients
// of a region of interest, and multiplies quantised ones by their step size.
func store[M ebcot.Magnitude](coefs []M, stride int, j *job) {
	if s := j.comp.Coding.ROIShift; s > 0 {
		unshift(coefs, uint(s))
	}
	step := float32(stepSize(j.prec, j.band) / 2)
	switch p := j.plane; {
	case p.float.coefs != nil:
		place(coefs, stride, j, p.float, func(out []float32, in []M) { quantised(out, in, step) })
	case p.wide.coefs != nil:
		place(coefs, stride, j, p.wide, whole)
	default:
		place(coefs, stride, j, p.narrow, whole)
	}
}

// place writes the rows of a code-block to a plane.
func place[T any, M ebcot.Magnitude](coefs []M, stride int, j *job, m pair[T], row func(out []T, in []M)) {
	out, outStride := m.coefs, j.plane.w
	if j.band.Orient == codestream.LL {
		out, outStride = m.samples, m.stride
	}
	w := int(j.block.W)
	for y := range int(j.block.H) {
		row(out[(j.y+y)*outStride+j.x:][:w], coefs[y*stride:][:w])
	}
}

// whole converts coefficients to integers, dropping the half bit.
func whole[T int32 | int64, M ebcot.Magnitude](out []T, in []M) {
	top := ebcot.MaxPlanes[M]() + 1
	in = in[:len(out)]
	for x := range out {
		v := in[x]
		sign := -T(v >> top)
		out[x] = (T(v&^(1<<top)>>1) ^ sign) - sign
	}
}

// quantised multiplies coefficients by half their step.
func quantised[M ebcot.Magnitude](out []float32, in []M, step float32) {
	top := ebcot.MaxPlanes[M]() + 1
	in = in[:len(out)]
	for x := range out {
		v := in[x]
		f := float32(int64(v&^(1<<top))) * step
		if v>>top != 0 {
			f = -f
		}
		out[x] = f
	}
}

// unshift scales down the magnitudes of a region of interest, which are those above all other coefficients
// (T.800 H.1).
func unshift[M ebcot.Magnitude](coefs []M, shift uint) {
	top := M(1) << (ebcot.MaxPlanes[M]() + 1)
	for i, v := range coefs {
		if m := v &^ top; m>>1>>shift != 0 {
			coefs[i] = v&top | m>>shift
		}
	}
}
