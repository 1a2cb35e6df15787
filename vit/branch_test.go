package vit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/vit/arch"
)

// branchAdapter has deltas of a rank at all sites of the blocks.
func branchAdapter(c *Config, p Precision, seed uint64, rank int, blocks ...int) *compute.Adapter {
	rng := rand.New(rand.NewPCG(seed, 8))
	var deltas []compute.Delta
	for _, b := range blocks {
		for _, k := range []Kind{Q, K, V, Proj, FC1, FC2} {
			if rng.IntN(3) == 0 && k != Q {
				continue
			}
			in, out := c.Dims(k)
			d := compute.Delta{Site: siteAt(b, k), Rank: rank, Scale: 2, A: compute.Numbers{F32: make([]float32, rank*in)}, B: compute.Numbers{F32: make([]float32, out*rank)}}
			for i := range d.A.F32 {
				d.A.F32[i] = float32(rng.NormFloat64()) * 0.3
			}
			for i := range d.B.F32 {
				d.B.F32[i] = float32(rng.NormFloat64()) * 0.3
			}
			deltas = append(deltas, d)
		}
	}
	return compute.NewAdapter(deltas, nil, p)
}

// TestBranches: rows that share the blocks which their adapters leave bare are, bit for bit, the images alone: in every
// precision and family, whatever leaves where, however many images pass together; so are their summaries.
func TestBranches(t *testing.T) {
	for name, c := range families() {
		for _, p := range []Precision{F32, BF16, I8} {
			t.Run(fmt.Sprint(name, " ", p), func(t *testing.T) {
				if !Supports(p) {
					t.Skip("no instructions")
				}
				c := c
				c.Depth = 5
				pool := testPool(2, t.Cleanup)
				m := inside(Random(pool, c, p, 0.3, 1))
				images := randomImages(5, &c, 3)
				adapters := []*compute.Adapter{nil, branchAdapter(&c, p, 1, 2, 3, 4), branchAdapter(&c, p, 2, 1, 3), branchAdapter(&c, p, 3, 3, 0, 4),
					branchAdapter(&c, p, 4, 2, 4), branchAdapter(&c, p, 5, 8, 2), branchAdapter(&c, p, 6, 2)}
				if c.Pooling == arch.PoolAttention {
					adapters = append(adapters, branchAdapter(&c, p, 7, 2, arch.PoolBlock))
				}
				one := &features{engine: newEngine(m, pool, 1, c.Depth)}
				one.KeepEarly(compute.MiddleBlock(&c))
				rng := rand.New(rand.NewPCG(1, 2))
				for round := range 3 {
					var of []int
					var segments []compute.Segment
					var want, wantEarly []float32
					n := 1 + rng.IntN(5)
					for _, i := range rng.Perm(len(adapters)) {
						s := compute.Segment{Adapter: adapters[i]}
						for image := range n {
							if round == 0 || rng.IntN(3) > 0 {
								of, s.Images = append(of, image), s.Images+1
							}
						}
						segments = append(segments, s)
					}
					each := len(images) / 5
					row := 0
					for _, s := range segments {
						for range s.Images {
							want = append(want, one.Features(images[of[row]*each:][:each], 1, compute.Segment{Adapter: s.Adapter, Images: 1})...)
							wantEarly = append(wantEarly, one.EarlyRows()...)
							row++
						}
					}
					f := &features{engine: newEngine(m, pool, len(of), c.Depth)}
					f.KeepEarly(compute.MiddleBlock(&c))
					for _, pass := range []int{1, 3, len(of)} {
						f.LimitPass(pass)
						if got := f.Branches(images, n, of, segments...); !slices.Equal(got, want) {
							t.Fatalf("round %d, %d images, %d rows, in parts of %d: features differ", round, n, len(of), pass)
						}
						if got := f.EarlyRows(); !slices.Equal(got, wantEarly) {
							t.Fatalf("round %d, %d images, %d rows, in parts of %d: summaries differ", round, n, len(of), pass)
						}
					}
					if a := testing.AllocsPerRun(2, func() { f.Branches(images, n, of, segments...) }); a != 0 {
						t.Errorf("%v allocations a pass", a)
					}
				}
			})
		}
	}
}

// TestBranchesSaveWork: fourteen adapters on the last third of the blocks cost what they change, and the rest once.
func TestBranchesSaveWork(t *testing.T) {
	c := families()["vit"]
	c.Depth = 12
	pool := testPool(2, t.Cleanup)
	m := randomModel(pool, c, 1)
	const tasks = 14
	f := &features{engine: newEngine(m, pool, tasks, c.Depth)}
	f.LimitPass(1) // so that each block of each image is seen by itself
	blocks := 0
	f.SetMark(func(block int, p compute.Part) {
		if p == compute.PartAttention {
			blocks++
		}
	})
	var segments []compute.Segment
	for i := range tasks {
		segments = append(segments, compute.Segment{Adapter: branchAdapter(&c, F32, uint64(i), 2, 8, 9, 10, 11), Images: 1})
	}
	f.Branches(randomImages(1, &c, 1), 1, make([]int, tasks), segments...)
	if want := 8 + tasks*4; blocks != want {
		t.Errorf("%d blocks, expected %d instead of %d", blocks, want, tasks*c.Depth)
	}
}
