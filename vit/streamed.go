package vit

import (
	"fmt"
	"io/fs"
	"slices"

	"melo.example/melo/compute"
	"melo.example/melo/vit/arch"
	"melo.example/melo/vit/checkpoint"
)

// Segment is a run of images that use one adapter. See compute.Segment.
type Segment = compute.Segment

// Streamed computes the features of n images with the maps of only one block in memory at a time. The result
// equals that of the engine of Open(path, o), bit for bit. It is meant for a single pass over a base that does
// not fit in memory. o.Known is ignored.
func Streamed(path string, o Options, images []float32, n int, segments ...Segment) ([]float32, error) {
	return streamed(o, func(c checkpoint.Options) (*checkpoint.Checkpoint, error) { return checkpoint.Open(path, c) }, images, n, segments)
}

// StreamedFS is Streamed for a base that OpenFS would read.
func StreamedFS(fsys fs.FS, name string, o Options, images []float32, n int, segments ...Segment) ([]float32, error) {
	return streamed(o, func(c checkpoint.Options) (*checkpoint.Checkpoint, error) { return checkpoint.OpenFS(fsys, name, c) }, images, n, segments)
}

func streamed(o Options, find finder, images []float32, n int, segments []Segment) (features []float32, err error) {
	err = read(o, find, func(c *checkpoint.Checkpoint) (err error) {
		features, err = streamFrom(c, o, images, n, segments)
		return err
	})
	return features, err
}

func streamFrom(c *checkpoint.Checkpoint, o Options, images []float32, n int, segments []Segment) ([]float32, error) {
	m, b := begin(c, o)
	later := make([][]piece[linear], m.Depth) // the maps of each block
	for _, p := range m.pieces() {
		if p.block && p.linear != nil {
			at, _, _, _ := arch.SplitName(p.name)
			later[at] = append(later[at], p)
			continue
		}
		if err := b.piece(p); err != nil {
			return nil, err
		}
	}
	m.self()
	if o.Pool != "" {
		pooled, err := Pooled(&m.Model, o.Pool)
		if err != nil {
			return nil, err
		}
		m = pooled.Backend.(*model) // shares the blocks
	}
	if each := m.Channels * m.Image * m.Image; n < 1 || len(images) < n*each {
		return nil, fmt.Errorf("vit: %d images in %d numbers, expected %d each", n, len(images), each)
	}
	return m.stream(images, n, segments, func(block int) error {
		for _, p := range later[block] {
			if err := b.piece(p); err != nil {
				return err
			}
		}
		return nil
	})
}

// stream passes images through a model whose blocks have no maps until fetch has loaded them. It drops the maps
// of each block after use.
func (m *model) stream(images []float32, n int, segments []Segment, fetch func(block int) error) ([]float32, error) {
	e := newEngine(m, m.workers, n, m.Depth)
	e.LimitPass(n)
	var a adapter
	if len(segments) > 0 {
		s := new(set)
		s.assign(segments...)
		a = s
	}
	e.take(0, n)
	e.embedTokens(images, e.input(0))
	for b := range m.Depth {
		if b > 0 { // the next block reuses its memory
			m.Blocks[b].takeMaps(&m.Blocks[b-1])
		}
		if err := fetch(b); err != nil {
			return nil, err
		}
		e.blocks(b, b+1, a)
	}
	e.pool(a)
	return slices.Clone(e.features(n).Data), nil
}

// takeMaps moves the maps of another block here.
func (b *blockOf[L]) takeMaps(from *blockOf[L]) {
	var none L
	b.Q, b.KV, b.Proj, b.FC1, b.FC2 = from.Q, from.KV, from.Proj, from.FC1, from.FC2
	from.Q, from.KV, from.Proj, from.FC1, from.FC2 = none, none, none, none, none
}
