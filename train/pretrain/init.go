package pretrain

import (
	"math"
	"math/rand/v2"
	"slices"

	"melo.example/melo/compute"
	"melo.example/melo/imaging"
	"melo.example/melo/internal/formula"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
	"melo.example/melo/vit/checkpoint"
)

// Small is the shape of the embedded base: half the depth of ViT-Tiny/16, for images of 112 x 112.
func Small() vit.Config {
	return vit.Config{Family: "vit", Source: "hf", Width: 192, Depth: 6, Heads: 3, MLP: 768, Image: 112, Patch: 16, Channels: 3,
		Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, Act: arch.GELUErf, Eps: 1e-6, Pooling: vit.PoolClass}
}

// Recipe is how an image becomes the input of a base of shape c.
func Recipe(c *vit.Config) imaging.Recipe {
	half := [3]float32{0.5, 0.5, 0.5}
	return imaging.Recipe{Size: c.Image, Interpolation: imaging.Bilinear, Mean: half, Std: half}
}

// Init returns first weights of shape c, in float32, that make something of an image before any training:
//
//   - patches are projected on the lowest frequencies of a cosine transform, each scaled to about the same spread, in
//     two thirds of the width; the rest is left to what blocks add;
//   - positions are sines and cosines of row and column (as in arXiv 2104.02057), in the rest of the width;
//   - values and projection of attention are near a multiple of the identity (as in arXiv 2305.09828), so that tokens
//     gather means of what others hold, at first in the lowest two blocks;
//   - units of an MLP come in pairs with opposite weights, gelu(x) + gelu(-x), which is about |x|: the strength of what
//     they look at. In the lowest block some look at one frequency each and add it, by bands, to the rest of the width.
//
// Everything else is small.
func Init(w compute.Workers, c vit.Config, seed uint64) (*vit.Model, error) {
	r := initializer{rng: rand.New(rand.NewPCG(seed, 0x696e6974))} // "init"
	d := c.Width
	rows := seen(&c)
	p := map[string][]float32{} // biases are zero
	p["patch_embed.weight"] = cosines(&c, rows, seed)
	p["cls_token"] = r.normal(d, 0.02)
	p["pos_embed"] = make([]float32, c.Tokens()*d)
	positions(p["pos_embed"][d:], c.Grid(), d, len(rows))
	for b := range c.Depth {
		r.block(p, &c, b, rows)
	}
	p["norm.weight"] = ones(d)
	for _, x := range c.Params() {
		if p[x.Name] == nil {
			p[x.Name] = make([]float32, x.Len())
		}
	}
	describe := checkpoint.Description{Config: c, Recipe: Recipe(&c)}
	return vit.New(&describe, func(name string) []float32 { return p[name] }, vit.Options{Workers: w})
}

// block adds the parameters of block b to p.
func (r *initializer) block(p map[string][]float32, c *vit.Config, b int, rows []wave) {
	d := c.Width
	gather := 0.8
	if b > 1 {
		gather = 0.1
	}
	kv := r.normal(2*d*d, 0.5*glorot(d))
	copy(kv[d*d:], r.near(d, 1))
	fc1, fc2 := r.strengths(c, b, rows)
	for name, v := range map[string][]float32{"norm1": ones(d), "norm2": ones(d), "k": kv[:d*d], "v": kv[d*d:], "fc1": fc1, "fc2": fc2} {
		p[arch.BlockName(b, name+".weight")] = v
	}
	p[arch.BlockName(b, "q.weight")] = r.normal(d*d, 0.5*glorot(d))
	p[arch.BlockName(b, "proj.weight")] = r.near(d, gather)
}

// strengths returns the two matrices of an MLP, [MLP, d] and [d, MLP].
func (r *initializer) strengths(c *vit.Config, b int, rows []wave) (fc1, fc2 []float32) {
	d, n := c.Width, c.MLP
	fc1, fc2 = r.normal(n*d, glorot(d)), r.normal(n*d, 0.05/math.Sqrt(float64(n)))
	for pair := range n / 2 {
		plus, minus := fc1[2*pair*d:][:d], fc1[(2*pair+1)*d:][:d]
		if b == 0 && pair < len(rows) {
			for k := range plus {
				plus[k] *= 0.1
			}
			plus[pair] = 1.5
			at := len(rows) + rows[pair].band()%(d-len(rows))
			fc2[at*n+2*pair] = 0.3
			fc2[at*n+2*pair+1] = 0.3
		}
		for k, v := range plus {
			minus[k] = -v
		}
	}
	return fc1, fc2
}

// glorot is the spread of a square matrix's numbers after Glorot and Bengio.
func glorot(d int) float64 { return 1 / math.Sqrt(float64(d)) }

func ones(n int) []float32 { return slices.Repeat([]float32{1}, n) }

// initializer draws first weights.
type initializer struct{ rng *rand.Rand }

func (r *initializer) normal(n int, std float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(std * r.rng.NormFloat64())
	}
	return v
}

// near returns a matrix [d, d] near gain times the identity.
func (r *initializer) near(d int, gain float64) []float32 {
	w := r.normal(d*d, 0.1*glorot(d))
	for k := range d {
		w[k*d+k] += float32(gain)
	}
	return w
}

// wave is a function of the cosine transform of a patch, of brightness (colour 0) or of a difference of colours.
type wave struct{ colour, u, v int }

// band numbers what belongs together: about the same frequency and direction.
func (w wave) band() int {
	octave := int(2 * math.Log2(max(math.Hypot(float64(w.u), float64(w.v)), 1)))
	direction := min(int(math.Atan2(float64(w.v), float64(w.u))/(math.Pi/2)*4), 3)
	if w.colour == 0 {
		return min(octave, 7)*4 + direction
	}
	return 32 + (w.colour-1)*16 + min(octave, 3)*4 + direction
}

// mixes are brightness and two differences of colours.
var mixes = [3][3]float64{{1. / 3, 1. / 3, 1. / 3}, {0.5, -0.5, 0}, {0.25, 0.25, -0.5}}

// seen lists the waves that patches are projected on: five of six are of brightness.
func seen(c *vit.Config) []wave {
	n := c.Width * 2 / 3
	all := frequencies(c.Patch)
	var rows []wave
	for colour, share := range [3]int{n - 2*(n/12), n / 12, n / 12} {
		for _, f := range all[:min(share, len(all))] {
			rows = append(rows, wave{colour, f[0], f[1]})
		}
	}
	return rows
}

// cosines returns the projection of patches [d, 3*patch*patch].
func cosines(c *vit.Config, rows []wave, seed uint64) []float32 {
	p := c.Patch
	in := 3 * p * p
	w := make([]float32, c.Width*in)
	for row, f := range rows {
		basis := cosine(p, f.u, f.v)
		for ch := range 3 {
			for i, v := range basis {
				w[row*in+ch*p*p+i] = float32(mixes[f.colour][ch] * v)
			}
		}
	}
	even(w[:len(rows)*in], c, seed)
	return w
}

// even scales the rows of a projection [rows, 3*patch*patch] so that their results have a spread of 0.7 on drawn images.
func even(w []float32, c *vit.Config, seed uint64) {
	const images = 96
	p, s := c.Patch, c.Image
	in := 3 * p * p
	sums := make([]float64, len(w)/in)
	pix, facts, patch := make([]float32, 3*s*s), make([]float32, formula.Facts), make([]float32, in)
	drawer := formula.New(s)
	for k := range images {
		drawer.Draw(pix, facts, seed, math.MaxUint64-uint64(k))
		for q := range c.Grid() * c.Grid() {
			for i := range patch {
				ch, y, x := i/(p*p), q/c.Grid()*p+i/p%p, q%c.Grid()*p+i%p
				patch[i] = 2*pix[(ch*s+y)*s+x] - 1
			}
			for r := range sums {
				var v float32
				for i, a := range w[r*in:][:in] {
					v += a * patch[i]
				}
				sums[r] += float64(v) * float64(v)
			}
		}
	}
	for r, v := range sums {
		gain := float32(0.7 / math.Sqrt(max(v/float64(images*c.Grid()*c.Grid()), 1e-6)))
		for i := range in {
			w[r*in+i] *= gain
		}
	}
}

// frequencies lists those of a p x p cosine transform, the lowest first.
func frequencies(p int) [][2]int {
	var all [][2]int
	for u := range p {
		for v := range p {
			all = append(all, [2]int{u, v})
		}
	}
	slices.SortStableFunc(all, func(a, b [2]int) int { return a[0]*a[0] + a[1]*a[1] - b[0]*b[0] - b[1]*b[1] })
	return all
}

// cosine returns one function of the orthonormal transform.
func cosine(p, u, v int) []float64 {
	b := make([]float64, p*p)
	side := func(k, x int) float64 {
		s := math.Sqrt(2 / float64(p))
		if k == 0 {
			s = math.Sqrt(1 / float64(p))
		}
		return s * math.Cos(math.Pi*float64(k)*(float64(x)+0.5)/float64(p))
	}
	for y := range p {
		for x := range p {
			b[y*p+x] = side(u, y) * side(v, x)
		}
	}
	return b
}

// positions writes sines and cosines of the row and column of each patch into the columns from one on, [grid*grid, d].
func positions(pos []float32, grid, d, from int) {
	quarter := (d - from) / 4
	for y := range grid {
		for x := range grid {
			row := pos[(y*grid+x)*d:]
			for i := range quarter {
				w := math.Pow(100, -float64(i)/float64(quarter))
				sx, cx := math.Sincos(w * float64(x))
				sy, cy := math.Sincos(w * float64(y))
				for j, v := range [4]float64{sx, cx, sy, cy} {
					row[from+j*quarter+i] = float32(0.3 * v)
				}
			}
		}
	}
}
