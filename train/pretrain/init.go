package pretrain

import (
	"math"
	"math/rand/v2"
	"slices"

	"melo/imaging"
	"melo/internal/kernel"
	"melo/vit"
)

// Small is the shape of the embedded base: half the depth of ViT-Tiny/16, for images of 112 x 112.
func Small() vit.Config {
	return vit.Config{Family: "vit", Source: "hf", Width: 192, Depth: 6, Heads: 3, MLP: 768, Image: 112, Patch: 16, Channels: 3,
		Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, Act: kernel.GELUErf, Eps: 1e-6, Pooling: vit.PoolClass}
}

// Recipe is how an image becomes the input of a base of shape c.
func Recipe(c *vit.Config) imaging.Recipe {
	half := [3]float32{0.5, 0.5, 0.5}
	return imaging.Recipe{Size: c.Image, Interpolation: imaging.Bilinear, Mean: half, Std: half}
}

// Init returns first weights of shape c, in float32. Patches are projected on the lowest frequencies of a cosine
// transform, scaled up with the frequency, since images have less of the higher ones; positions are sines and
// cosines of row and column (as in arXiv 2104.02057); matrices are normal, with the variance of Glorot and Bengio,
// and what is added to the residual stream is divided by the square root of the number of such terms.
func Init(ex *kernel.Exec, c vit.Config, seed uint64) *vit.Model {
	r := initializer{ex: ex, rng: rand.New(rand.NewPCG(seed, 0x696e6974))} // "init"
	d := c.Width
	m := &vit.Model{Config: c, Precision: vit.F32, Recipe: Recipe(&c)}
	in := c.Channels * c.Patch * c.Patch
	m.PatchEmbed = vit.Linear{In: in, Out: d, W: kernel.Pack(ex, r.cosines(&c), d, in), Bias: make([]float32, d)}
	m.ClassToken = r.normal(d, 0.02)
	m.Pos = make([]float32, c.Tokens()*d)
	positions(m.Pos[d:], c.Grid(), d)
	deep := 1 / math.Sqrt(2*float64(c.Depth))
	for range c.Depth {
		m.Blocks = append(m.Blocks, vit.Block{Norm1: ones(d), Norm2: ones(d), Q: r.linear(d, d, 1), KV: r.linear(d, 2*d, 1),
			Proj: r.linear(d, d, deep), FC1: r.linear(d, c.MLP, 1), FC2: r.linear(c.MLP, d, deep)})
	}
	m.Final = ones(d)
	return m
}

func ones(n int) vit.Norm {
	return vit.Norm{Gain: slices.Repeat([]float32{1}, n), Bias: make([]float32, n)}
}

// initializer draws first weights.
type initializer struct {
	ex  *kernel.Exec
	rng *rand.Rand
}

func (r *initializer) normal(n int, std float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(std * r.rng.NormFloat64())
	}
	return v
}

func (r *initializer) linear(in, out int, gain float64) vit.Linear {
	std := gain * math.Sqrt(2/float64(in+min(in, out)))
	return vit.Linear{In: in, Out: out, W: kernel.Pack(r.ex, r.normal(in*out, std), out, in), Bias: make([]float32, out)}
}

// cosines returns the projection of patches [d, 3*patch*patch]: five of six rows look at brightness, the others
// at two differences of colours.
func (r *initializer) cosines(c *vit.Config) []float32 {
	p, d := c.Patch, c.Width
	pixels := p * p
	w := make([]float32, d*3*pixels)
	colour := d / 12
	planes := []struct {
		mix  [3]float64
		rows int
	}{{[3]float64{1. / 3, 1. / 3, 1. / 3}, d - 2*colour}, {[3]float64{0.5, -0.5, 0}, colour}, {[3]float64{0.25, 0.25, -0.5}, colour}}
	row := 0
	for _, plane := range planes {
		for _, f := range frequencies(p)[:min(plane.rows, pixels)] {
			basis := cosine(p, f, 0.6*(1+math.Hypot(float64(f[0]), float64(f[1])))/float64(p))
			for ch := range 3 {
				for i, v := range basis {
					w[(row*3+ch)*pixels+i] = float32(plane.mix[ch] * v)
				}
			}
			row++
		}
	}
	copy(w[row*3*pixels:], r.normal((d-row)*3*pixels, 1/math.Sqrt(float64(3*pixels)))) // more rows than frequencies
	return w
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

// cosine returns one function of the orthonormal transform, times gain.
func cosine(p int, f [2]int, gain float64) []float64 {
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
			b[y*p+x] = gain * side(f[0], y) * side(f[1], x)
		}
	}
	return b
}

// positions writes sines and cosines of the row and column of each patch, [grid*grid, d].
func positions(pos []float32, grid, d int) {
	quarter := d / 4
	for y := range grid {
		for x := range grid {
			row := pos[(y*grid+x)*d:]
			for i := range quarter {
				w := 1 / math.Pow(1e4, float64(i)/float64(quarter))
				sx, cx := math.Sincos(w * float64(x))
				sy, cy := math.Sincos(w * float64(y))
				for j, v := range [4]float64{sx, cx, sy, cy} {
					row[j*quarter+i] = float32(0.5 * v)
				}
			}
		}
	}
}
