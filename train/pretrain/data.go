package pretrain

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"

	"melo.example/melo/dataset"
	"melo.example/melo/internal/formula"
	"melo.example/melo/vit"
)

// Distract says how the backbone's input differs from the image that its targets were measured on.
type Distract struct {
	Mask     float64 `json:"mask"`     // greatest share of patches that are blanked
	Exposure float64 `json:"exposure"` // greatest change of brightness and contrast
	Noise    float64 `json:"noise"`    // greatest spread of noise
}

// Data draws batches; it is a train.Data. An image depends on seed, epoch and number alone.
type Data struct {
	config   vit.Config
	batch    int
	batches  int
	seed     uint64
	distract Distract
	workers  []*artist
	scale    *scale
}

// artist is one goroutine's drawer.
type artist struct {
	drawer    *formula.Drawer
	describer *describer
	pix       []float32
}

func newArtist(c *vit.Config) *artist {
	return &artist{formula.New(c.Image), newDescriber(c.Image, c.Patch), make([]float32, 3*c.Image*c.Image)}
}

// NewData returns data of batches of images of shape c for an epoch, drawn by several workers. It draws some images
// first, to find out how large targets are.
func NewData(c *vit.Config, batch, batches int, seed uint64, distract Distract, workers int) (*Data, error) {
	if c.Patch%(1<<levels) != 0 {
		return nil, fmt.Errorf("pretrain: patches of side %d, expected a multiple of %d", c.Patch, 1<<levels)
	}
	if batch < 1 || batches < 1 || workers < 1 {
		return nil, errors.New("pretrain: expected at least one image, batch and worker")
	}
	d := &Data{config: *c, batch: batch, batches: batches, seed: seed, distract: distract}
	for range workers {
		d.workers = append(d.workers, newArtist(c))
	}
	d.scale = d.calibrate()
	return d, nil
}

// Global and Local return how many numbers are told of an image and of a patch; Outputs of all of an image together.
func (d *Data) Global() int { return d.workers[0].describer.globalSize() }

// Local is the number of targets of a patch.
func (d *Data) Local() int { return localSize }

// Outputs is the number of targets of an image: global ones, then those of each patch.
func (d *Data) Outputs() int { return d.Global() + d.patches()*localSize }

func (d *Data) patches() int { return d.config.Grid() * d.config.Grid() }

// Batches returns the number of batches of an epoch.
func (d *Data) Batches() int { return d.batches }

// targets draws image number index and describes it, without scaling.
func (d *Data) targets(a *artist, dst []float32, index uint64) {
	g := d.Global()
	a.drawer.Draw(a.pix, dst[g-formula.Facts:g], d.seed, index)
	a.describer.describe(dst[:g], dst[g:], a.pix)
}

// each runs f for 0 to n-1 on all workers.
func each(workers []*artist, n int, f func(a *artist, i int)) {
	var wg sync.WaitGroup
	for w, a := range workers {
		wg.Go(func() {
			for i := w; i < n; i += len(workers) {
				f(a, i)
			}
		})
	}
	wg.Wait()
}

// EpochFrom draws the batches of an epoch, one ahead of what is in use.
func (d *Data) EpochFrom(ctx context.Context, epoch, from int) iter.Seq2[*dataset.Batch, error] {
	return func(yield func(*dataset.Batch, error) bool) {
		next := d.start(epoch, from, d.newBatch())
		spare := d.newBatch()
		for number := from; number < d.batches; number++ {
			b := <-next
			if number+1 < d.batches {
				next = d.start(epoch, number+1, spare)
			}
			spare = b
			if err := ctx.Err(); err != nil {
				if number+1 < d.batches {
					<-next
				}
				yield(nil, err)
				return
			}
			if !yield(b, nil) {
				if number+1 < d.batches {
					<-next
				}
				return
			}
		}
	}
}

func (d *Data) newBatch() *dataset.Batch {
	n := d.batch
	return &dataset.Batch{N: n, Indices: make([]int, n), Labels: make([]int, n),
		Images: make([]float32, n*3*d.config.Image*d.config.Image), Targets: make([]float32, n*d.Outputs())}
}

// start draws a batch in the background.
func (d *Data) start(epoch, number int, b *dataset.Batch) <-chan *dataset.Batch {
	done := make(chan *dataset.Batch, 1)
	go func() {
		d.draw(epoch, number, b)
		done <- b
	}()
	return done
}

func (d *Data) draw(epoch, number int, b *dataset.Batch) {
	b.Number = number
	values, n := len(b.Images)/b.N, d.Outputs()
	first := (uint64(epoch)*uint64(d.batches) + uint64(number)) * uint64(d.batch)
	each(d.workers, b.N, func(a *artist, i int) {
		b.Indices[i], b.Labels[i] = i, -1
		target := b.Targets[i*n : (i+1)*n]
		d.targets(a, target, first+uint64(i))
		d.scale.apply(target)
		d.input(b.Images[i*values:(i+1)*values], a.pix, first+uint64(i))
	})
}

// input makes the backbone's input of an image: other light, noise, and blank patches.
func (d *Data) input(dst, pix []float32, index uint64) {
	rng := rand.New(rand.NewPCG(d.seed^0x6e6f697365, index)) // "noise"
	either := func(most float64) float32 { return float32(most * (2*rng.Float64() - 1)) }
	gain, shift := 1+either(d.distract.Exposure), either(d.distract.Exposure)/2
	noise := float32(0)
	if rng.IntN(2) == 0 {
		noise = float32(2 * d.distract.Noise * rng.Float64())
	}
	for i, v := range pix {
		dst[i] = 2 * (gain*(v-0.5) + shift)
	}
	if noise > 0 {
		for i := range dst {
			bits := rng.Uint64() // the sum of four uniform numbers is about normal
			sum := float32(bits&0xffff) + float32(bits>>16&0xffff) + float32(bits>>32&0xffff) + float32(bits>>48)
			dst[i] += noise * (sum/(1<<16) - 2) * 1.73 // of variance 1
		}
	}
	d.blank(dst, rng)
}

// blank sets patches of half of the images to mean grey.
func (d *Data) blank(dst []float32, rng *rand.Rand) {
	if d.distract.Mask == 0 || rng.IntN(2) == 0 {
		return
	}
	share := d.distract.Mask * rng.Float64()
	grid, p, s := d.config.Grid(), d.config.Patch, d.config.Image
	for k := range grid * grid {
		if rng.Float64() >= share {
			continue
		}
		for c := range 3 {
			for y := range p {
				clear(dst[(c*s+k/grid*p+y)*s+k%grid*p:][:p])
			}
		}
	}
}
