package pretrain

import (
	"math"
	"slices"

	"melo.example/melo/internal/formula"
	"melo.example/melo/vit"
	"melo.example/melo/vit/checkpoint"
)

// spread is how much each number of the class token varies over images drawn by formula: images of one kind vary less,
// and with 4 their numbers vary by about 2, as those of a ViT that was trained on photographs do.
const spread = 4

// spreadImages is how many images tell how the class token varies. They are none of those that are trained on.
const spreadImages = 256

// Standardised returns base with another gain and bias of the last norm, such that every number of the class token has
// mean 0 and the same spread over images drawn by formula; everything else is the same. A head can tell no more of an
// image by it, but gradient descent finds it in fewer steps: what varies little beside a large mean is learned slowly.
func (d *Data) Standardised(base *vit.Model) (*vit.Model, error) {
	norm := map[string][]float32{"norm.weight": base.Parameter("norm.weight"), "norm.bias": base.Parameter("norm.bias")}
	gain, bias := norm["norm.weight"], norm["norm.bias"]
	mean, std := d.classToken(base)
	sorted := slices.Sorted(slices.Values(std))
	least := 0.1 * sorted[len(sorted)/2] // what hardly varies is rounding, which must not be made large
	for k := range mean {
		by := spread / max(std[k], least, math.SmallestNonzeroFloat32)
		gain[k] = float32(float64(gain[k]) * by)
		bias[k] = float32((float64(bias[k]) - mean[k]) * by)
	}
	describe := checkpoint.Description{Config: base.Config, Recipe: base.Recipe, Labels: base.Labels}
	return vit.New(&describe, func(name string) []float32 {
		if v := norm[name]; v != nil {
			return v
		}
		return base.Parameter(name)
	}, vit.Options{Workers: base, Precision: base.Precision})
}

// classToken returns mean and standard deviation of each number of the class token over images drawn by formula.
func (d *Data) classToken(base *vit.Model) (mean, std []float64) {
	workers := make([]*artist, base.Workers()) // others than those of d, which may be drawing
	for i := range workers {
		workers[i] = newArtist(&d.config)
	}
	e := base.NewEngine(passSize)
	values := 3 * base.Image * base.Image
	mean, std = make([]float64, base.Features()), make([]float64, base.Features())
	images, facts := make([]float32, passSize*values), make([]float32, passSize*formula.Facts)
	for first := 0; first < spreadImages; first += passSize {
		each(workers, passSize, func(a *artist, i int) {
			a.drawer.Draw(a.pix, facts[i*formula.Facts:][:formula.Facts], d.seed, math.MaxUint64-uint64(first+i))
			for k, v := range a.pix {
				images[i*values+k] = 2 * (v - 0.5)
			}
		})
		f, n := e.Features(images, passSize), base.Features()
		for i := range passSize {
			for k, v := range f[i*n : (i+1)*n] {
				mean[k] += float64(v) / spreadImages
				std[k] += float64(v) * float64(v) / spreadImages
			}
		}
	}
	for k := range mean {
		std[k] = math.Sqrt(max(std[k]-mean[k]*mean[k], 0))
	}
	return mean, std
}
