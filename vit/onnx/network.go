package onnx

import (
	"fmt"
	"math"

	"melo.example/melo/vit/arch"
)

// network adds the parts of a description to a graph.
type network struct {
	graph
	c    *arch.Config
	read func(name string) ([]float32, error)
	has  map[string][]int // shapes of the parameters
}

// param adds a parameter as a constant with its own shape, or with dims, which must have the same size.
func (n *network) param(name string, dims ...int) string {
	if dims == nil {
		dims = n.has[name]
	}
	return n.floats(name, dims, func() ([]float32, error) { return n.read(name) })
}

// linear adds x Wᵀ + b on the last axis. W is stored transposed, as MatMul expects it.
func (n *network) linear(module, x string) string {
	weight := module + ".weight"
	shape := n.has[weight]
	out, in := shape[0], shape[1]
	w := n.floats(weight, []int{in, out}, func() ([]float32, error) {
		v, err := n.read(weight)
		if err != nil || len(v) != in*out {
			return v, err
		}
		t := make([]float32, len(v))
		for o := range out {
			for i := range in {
				t[i*out+o] = v[o*in+i]
			}
		}
		return t, nil
	})
	y := n.matMul(x, w)
	if n.has[module+".bias"] != nil {
		y = n.plus(y, n.param(module+".bias"))
	}
	return y
}

func (n *network) layerNorm(module, x string) string {
	return n.node("LayerNormalization", []string{x, n.param(module + ".weight"), n.param(module + ".bias")},
		attribute{"axis", -1}, attribute{"epsilon", n.c.Eps})
}

// features returns the pooled features [batch, Features] of images [batch, 3, side, side].
func (n *network) features(images string) string {
	c := n.c
	x := n.embed(images)
	if c.PreNorm {
		x = n.layerNorm("norm_pre", x)
	}
	for b := range c.Depth {
		x = n.block(b, x)
	}
	if c.FinalNorm {
		x = n.layerNorm("norm", x)
	}
	x = n.pool(x)
	if c.PoolNorm {
		x = n.layerNorm("fc_norm", x)
	}
	return x
}

// embed projects patches, adds position embeddings, and prepends class and register tokens.
func (n *network) embed(images string) string {
	c := n.c
	g, d := c.Grid(), c.Width
	inputs := []string{images, n.param("patch_embed.weight")}
	if c.PatchBias() {
		inputs = append(inputs, n.param("patch_embed.bias"))
	}
	x := n.node("Conv", inputs, attribute{"kernel_shape", []int{c.Patch, c.Patch}}, attribute{"strides", []int{c.Patch, c.Patch}})
	x = n.transpose(n.reshape(x, 0, d, g*g), 0, 2, 1)
	if !c.NoPosEmbed {
		x = n.plus(x, n.floats("pos_embed", []int{1, g * g, d}, func() ([]float32, error) {
			v, err := n.read("pos_embed")
			if err != nil {
				return nil, err
			}
			return v[c.PositionPrefix()*d:], nil
		}))
	}
	if c.Prefix() == 0 {
		return x
	}
	tokens := n.floats("prefix_tokens", []int{1, c.Prefix(), d}, n.prefixTokens)
	batch := n.node("Gather", []string{n.node("Shape", []string{x}), n.ints(0)}, attribute{"axis", 0})
	tokens = n.node("Expand", []string{tokens, n.concat(0, batch, n.ints(c.Prefix(), d))})
	return n.concat(1, tokens, x)
}

// prefixTokens returns class and distillation token with their positions, and registers.
func (n *network) prefixTokens() (all []float32, err error) {
	c := n.c
	for _, name := range []string{"cls_token", "dist_token", "reg_token"} {
		if n.has[name] == nil {
			continue
		}
		v, err := n.read(name)
		if err != nil {
			return nil, err
		}
		all = append(all, v...)
	}
	if k := c.PositionPrefix() * c.Width; k > 0 {
		pos, err := n.read("pos_embed")
		if err != nil {
			return nil, err
		}
		for i, v := range pos[:k] {
			all[i] += v
		}
	}
	return all, nil
}

// block is attention followed by an MLP, each with a norm before it and a residual connection around it.
func (n *network) block(b int, x string) string {
	c := n.c
	name := func(s string) string { return arch.BlockName(b, s) }
	h := n.layerNorm(name("norm1"), x)
	q, k := n.rotate(n.heads(n.linear(name("q"), h))), n.rotate(n.heads(n.linear(name("k"), h)))
	o := n.attention(b, q, k, n.heads(n.linear(name("v"), h)))
	if c.AttnNorm {
		o = n.layerNorm(name("norm_attn"), o)
	}
	x = n.plus(x, n.scaled(n.linear(name("proj"), o), name("ls1")))
	u := n.linear(name("fc1"), n.layerNorm(name("norm2"), x))
	if c.SwiGLU {
		gate, up := n.halves(u, -1)
		u = n.times(n.times(gate, n.node("Sigmoid", []string{gate})), up)
	} else {
		u = n.activate(u)
	}
	if c.MLPNorm {
		u = n.layerNorm(name("norm_mlp"), u)
	}
	return n.plus(x, n.scaled(n.linear(name("fc2"), u), name("ls2")))
}

// scaled returns y times LayerScale if the network has it, else y.
func (n *network) scaled(y, scale string) string {
	if n.has[scale] == nil {
		return y
	}
	return n.times(y, n.param(scale))
}

// heads reshapes [batch, T, d] to [batch, heads, T, d/heads].
func (n *network) heads(x string) string {
	return n.transpose(n.reshape(x, 0, -1, n.c.Heads, n.c.HeadDim()), 0, 2, 1, 3)
}

// attention returns softmax(q kᵀ / sqrt(dim) + bias) v for each head, [batch, queries, d].
func (n *network) attention(b int, q, k, v string) string {
	c := n.c
	s := n.times(n.matMul(q, n.transpose(k, 0, 1, 3, 2)), n.number(float32(1/math.Sqrt(float64(c.HeadDim())))))
	if b != arch.PoolBlock && (c.RelBlocks || c.RelShared) {
		s = n.plus(s, n.positionBias(b))
	}
	o := n.matMul(n.node("Softmax", []string{s}, attribute{"axis", -1}), v)
	return n.reshape(n.transpose(o, 0, 2, 1, 3), 0, -1, c.Width)
}

// positionBias returns the relative position bias of block b, [heads, T, T].
func (n *network) positionBias(b int) string {
	c := n.c
	t, tables, name := c.Tokens(), []string{}, "bias_of_positions"
	if c.RelShared {
		tables = append(tables, "rel_pos")
	}
	if c.RelBlocks {
		tables, name = append(tables, arch.BlockName(b, "rel_pos")), arch.BlockName(b, name)
	}
	return n.floats(name, []int{c.Heads, t, t}, func() ([]float32, error) {
		all := make([]float32, c.Heads*t*t)
		for _, table := range tables {
			v, err := n.read(table)
			if err != nil {
				return nil, err
			}
			for q := range t {
				for k := range t {
					for h := range c.Heads {
						all[(h*t+q)*t+k] += v[c.Distance(q, k)*c.Heads+h]
					}
				}
			}
		}
		return all, nil
	})
}

// rotate applies rotary position embedding to [batch, heads, T, dim]: x cos + (x R) sin, where R swaps the
// values of each pair and negates one.
func (n *network) rotate(x string) string {
	c := n.c
	if c.Rotary == arch.RotaryNone {
		return x
	}
	dim, t := c.HeadDim(), c.Tokens()
	table := func(of func(cos, sin []float64) []float64, before float32) func() ([]float32, error) {
		return func() ([]float32, error) {
			v, all := of(c.Rotations()), make([]float32, t*dim)
			for r := range t {
				for i := range dim / 2 {
					a, b := c.RotaryPair(i)
					angle := before // tokens before the patches are not rotated
					if r >= c.Prefix() {
						angle = float32(v[(r-c.Prefix())*dim/2+i])
					}
					all[r*dim+a], all[r*dim+b] = angle, angle
				}
			}
			return all, nil
		}
	}
	cos := n.floats("rotary_cos", []int{t, dim}, table(func(cos, _ []float64) []float64 { return cos }, 1))
	sin := n.floats("rotary_sin", []int{t, dim}, table(func(_, sin []float64) []float64 { return sin }, 0))
	turn := n.floats("rotary_turn", []int{dim, dim}, func() ([]float32, error) {
		r := make([]float32, dim*dim)
		for i := range dim / 2 {
			a, b := c.RotaryPair(i)
			r[b*dim+a], r[a*dim+b] = -1, 1
		}
		return r, nil
	})
	return n.plus(n.times(x, cos), n.times(n.matMul(x, turn), sin))
}

// activate applies the MLP's activation function.
func (n *network) activate(x string) string {
	sigmoid := func(y string) string { return n.node("Sigmoid", []string{y}) }
	switch n.c.Act {
	case arch.GELUErf:
		cdf := n.plus(n.node("Erf", []string{n.times(x, n.number(float32(1/math.Sqrt2)))}), n.number(1))
		return n.times(n.times(x, cdf), n.number(0.5))
	case arch.GELUTanh:
		cube := n.times(n.times(n.times(x, x), x), n.number(0.044715))
		t := n.node("Tanh", []string{n.times(n.plus(x, cube), n.number(float32(math.Sqrt(2/math.Pi))))})
		return n.times(n.times(x, n.plus(t, n.number(1))), n.number(0.5))
	case arch.GELUQuick:
		return n.times(x, sigmoid(n.times(x, n.number(1.702))))
	}
	return x
}

// pool reduces the tokens [batch, T, d] to one vector.
func (n *network) pool(x string) string {
	c := n.c
	token := func(i int) string {
		return n.reshape(n.slice(x, 1, i, i+1, 1), 0, c.Width)
	}
	mean := func() string {
		return n.node("ReduceMean", []string{n.slice(x, 1, c.Prefix(), c.Tokens(), 1)}, attribute{"axes", []int{1}}, attribute{"keepdims", 0})
	}
	switch c.Pooling {
	case arch.PoolClass:
		return token(0)
	case arch.PoolClassDist:
		return n.concat(1, token(0), token(1))
	case arch.PoolMean:
		return mean()
	case arch.PoolClassMean:
		return n.concat(1, token(0), mean())
	case arch.PoolAttention:
		return n.attentionPool(x)
	}
	n.err = fmt.Errorf("onnx: pooling %v is not written", c.Pooling)
	return x
}

// attentionPool adds attention of a learned query to all tokens, followed by an MLP.
func (n *network) attentionPool(x string) string {
	q := n.heads(n.linear("pool.q", n.param("pool.latent", 1, 1, n.c.Width)))
	o := n.attention(arch.PoolBlock, q, n.heads(n.linear("pool.k", x)), n.heads(n.linear("pool.v", x)))
	y := n.linear("pool.proj", o)
	u := n.activate(n.linear("pool.fc1", n.layerNorm("pool.norm", y)))
	return n.reshape(n.plus(y, n.linear("pool.fc2", u)), 0, n.c.Width)
}

// logits applies the heads to features.
func (n *network) logits(features string) string {
	if n.has["head_dist.weight"] == nil {
		return n.linear("head", features)
	}
	d := n.c.Width
	one, other := n.linear("head", n.slice(features, 1, 0, d, 1)), n.linear("head_dist", n.slice(features, 1, d, 2*d, 1))
	return n.times(n.plus(one, other), n.number(0.5))
}
