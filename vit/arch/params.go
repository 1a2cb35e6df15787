package arch

import (
	"strconv"
	"strings"
)

// Param is the name and shape of one parameter of a network. The name is that of a module followed by "weight"
// or "bias", such as "blocks.0.q.weight". Tokens, position tables and LayerScale gains have a name without
// suffix.
type Param struct {
	Name  string
	Shape []int
}

// Len returns the number of values.
func (p Param) Len() int {
	n := 1
	for _, s := range p.Shape {
		n *= s
	}
	return n
}

// Params returns every parameter of the network, in the order in which a forward pass uses them. This list
// defines what a Config means: checkpoint readers look for exactly these parameters, and engines compute with
// them.
//
//	patch_embed  cls_token dist_token reg_token pos_embed rel_pos  norm_pre
//	blocks.N.  norm1 q k v rel_pos norm_attn proj ls1  norm2 fc1 norm_mlp fc2 ls2
//	norm fc_norm  pool. latent q k v proj norm fc1 fc2  project  head head_dist
func (c *Config) Params() []Param {
	var l list
	d := c.Width
	l.add("patch_embed.weight", d, c.Channels, c.Patch, c.Patch)
	l.addIf(c.PatchBias(), "patch_embed.bias", d)
	l.addIf(c.Class, "cls_token", d)
	l.addIf(c.Dist, "dist_token", d)
	l.addIf(c.Registers > 0, "reg_token", c.Registers, d)
	l.addIf(!c.NoPosEmbed, "pos_embed", c.PositionPrefix()+c.Grid()*c.Grid(), d)
	l.addIf(c.RelShared, "rel_pos", c.Distances(), c.Heads)
	l.normIf(c.PreNorm, "norm_pre", d)
	for i := range c.Depth {
		c.block(&l, BlockName(i, ""))
	}
	l.normIf(c.FinalNorm, "norm", d)
	l.normIf(c.PoolNorm, "fc_norm", d)
	if c.Pooling == PoolAttention {
		l.add("pool.latent", d)
		for _, name := range []string{"q", "k", "v", "proj"} {
			l.linear("pool."+name, d, d, true)
		}
		l.normIf(true, "pool.norm", d)
		l.linear("pool.fc1", c.MLP, d, true)
		l.linear("pool.fc2", d, c.MLP, true)
	}
	l.addIf(c.Projected > 0, "project.weight", c.Projected, d)
	if c.Classes > 0 {
		if c.TwoHeads() {
			l.linear("head", c.Classes, d, true)
			l.linear("head_dist", c.Classes, d, true)
		} else {
			l.linear("head", c.Classes, c.Features(), true)
		}
	}
	return l
}

// TwoHeads reports whether the base has two heads, for the class token and for the distillation token.
func (c *Config) TwoHeads() bool { return c.Classes > 0 && c.Pooling == PoolClassDist }

// block appends the parameters of one block.
func (c *Config) block(l *list, p string) {
	d := c.Width
	l.normIf(true, p+"norm1", d)
	l.linear(p+"q", d, d, c.QKVBias)
	l.linear(p+"k", d, d, c.QKVBias && !c.NoKeyBias)
	l.linear(p+"v", d, d, c.QKVBias)
	l.addIf(c.RelBlocks, p+"rel_pos", c.Distances(), c.Heads)
	l.normIf(c.AttnNorm, p+"norm_attn", d)
	l.linear(p+"proj", d, d, true)
	l.addIf(c.LayerScale, p+"ls1", d)
	l.normIf(true, p+"norm2", d)
	l.linear(p+"fc1", c.Up(), d, true)
	l.normIf(c.MLPNorm, p+"norm_mlp", c.MLP)
	l.linear(p+"fc2", d, c.MLP, true)
	l.addIf(c.LayerScale, p+"ls2", d)
}

// BlockName returns the name of a parameter of block i, such as "blocks.3.ls1".
func BlockName(i int, name string) string { return "blocks." + strconv.Itoa(i) + "." + name }

// list collects parameters.
type list []Param

func (l *list) add(name string, shape ...int) { *l = append(*l, Param{name, shape}) }

func (l *list) addIf(has bool, name string, shape ...int) {
	if has {
		l.add(name, shape...)
	}
}

func (l *list) normIf(has bool, name string, d int) {
	l.addIf(has, name+".weight", d)
	l.addIf(has, name+".bias", d)
}

func (l *list) linear(name string, out, in int, bias bool) {
	l.add(name+".weight", out, in)
	l.addIf(bias, name+".bias", out)
}

// SplitName splits the name of a parameter into block (if it belongs to one), module, and suffix: ".weight",
// ".bias" or "".
func SplitName(name string) (block int, module, last string, inBlock bool) {
	module = name
	if rest, ok := strings.CutPrefix(name, "blocks."); ok {
		number, inside, _ := strings.Cut(rest, ".")
		if n, err := strconv.Atoi(number); err == nil {
			block, module, inBlock = n, inside, true
		}
	}
	if dot := strings.LastIndexByte(module, '.'); dot >= 0 {
		module, last = module[:dot], module[dot:]
	}
	return block, module, last, inBlock
}
