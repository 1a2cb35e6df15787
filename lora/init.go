package lora

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"

	"melo.example/melo/vit"
)

// Config selects the deltas of a new adapter. A zero field means the default.
type Config struct {
	Kinds   []vit.Kind       // sites; default q and v (MeLo)
	Blocks  []int            // blocks, arch.PoolBlock for attention pooling; default all blocks
	Rank    int              // r, default 4
	Alpha   float32          // default Scale times the rank of a site
	Scale   float32          // default 1; ignored if Alpha is set
	RSLoRA  bool             // scale alpha/sqrt(r) instead of alpha/r
	Dropout float32          // rate on the input of A during training, default 0
	PerKind map[vit.Kind]int // rank of kinds for which it differs from Rank
}

// New returns an adapter initialised as in LoRA: A from kaiming-uniform(a = sqrt 5), that is U(±1/sqrt(in)),
// and B zero. With classes > 0 it has a head from U(±1/sqrt(features)), as torch.nn.Linear.
func New(c *vit.Config, cfg Config, classes int, seed uint64) (*Adapter, error) {
	if cfg.Rank == 0 {
		cfg.Rank = 4
	}
	if len(cfg.Kinds) == 0 {
		cfg.Kinds = []vit.Kind{vit.Q, vit.V}
	}
	if cfg.Blocks == nil {
		for b := range c.Depth {
			cfg.Blocks = append(cfg.Blocks, b)
		}
	}
	rng := rand.New(rand.NewPCG(seed, 0x6d656c6f))
	a := &Adapter{}
	for _, b := range cfg.Blocks {
		for _, k := range cfg.Kinds {
			d, err := newDelta(c, cfg, vit.Site{Block: b, Kind: k}, rng)
			if err != nil {
				return nil, err
			}
			a.Deltas = append(a.Deltas, d)
		}
	}
	a.Sort()
	if classes > 0 {
		a.Head = newHead(classes, c.Features(), rng)
	}
	return a, a.Check(c)
}

func newDelta(c *vit.Config, cfg Config, site vit.Site, rng *rand.Rand) (Delta, error) {
	in, out := c.SiteDims(site)
	r := cfg.Rank
	if n, ok := cfg.PerKind[site.Kind]; ok {
		r = n
	}
	if r < 1 || r > min(in, out) {
		return Delta{}, fmt.Errorf("lora: %v: rank %d, expected 1 to %d", site, r, min(in, out))
	}
	alpha := cfg.Alpha
	if alpha == 0 {
		alpha = cmp.Or(cfg.Scale, 1) * float32(r)
	}
	d := Delta{Site: site, Rank: r, Alpha: alpha, Scale: ScaleFor(alpha, r, cfg.RSLoRA),
		A: make([]float32, r*in), B: make([]float32, out*r)}
	uniform(d.A, in, rng)
	return d, nil
}

func newHead(classes, features int, rng *rand.Rand) *vit.Head {
	h := &vit.Head{Classes: classes, Features: features,
		W: make([]float32, classes*features), Bias: make([]float32, classes)}
	uniform(h.W, features, rng)
	uniform(h.Bias, features, rng)
	return h
}

// uniform fills w with U(±1/sqrt(fanIn)).
func uniform(w []float32, fanIn int, rng *rand.Rand) {
	bound := 1 / math.Sqrt(float64(fanIn))
	for i := range w {
		w[i] = float32((2*rng.Float64() - 1) * bound)
	}
}
