package adapterfile

import (
	"slices"
	"strconv"
	"strings"

	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// Names selects the naming scheme with which a PEFT folder is written.
type Names string

// The naming schemes of PEFT folders. Hugging Face's module names changed with transformers 5.
const (
	NamesHF5  Names = "hf5"  // vit.layers.N.attention.q_proj
	NamesHF4  Names = "hf4"  // vit.encoder.layer.N.attention.attention.query
	NamesTimm Names = "timm" // blocks.N.attn.qkv
)

// part is a linear map as a library divides them: one of a block's maps, a piece of one, or a union of several.
type part uint8

const (
	partQ    = part(vit.Q)
	partK    = part(vit.K)
	partV    = part(vit.V)
	partProj = part(vit.Proj)
	partFC1  = part(vit.FC1) // with SwiGLU the fused [gate; up]
	partFC2  = part(vit.FC2)
	partQKV  = part(16) // timm's fused q, k, v
	partGate = part(17)
	partUp   = part(18)
	partKV   = part(19) // timm's fused k, v of attention pooling
)

// module is the name of a part within a block.
type module struct {
	tail string
	part part
}

// layout describes how a class of models names its modules.
type layout struct {
	names   Names
	family  string // vit.Config.Family; empty if names do not determine it
	regs    bool   // has register tokens
	prefix  string // prefix of blocks; empty for a bare backbone
	blocks  string
	modules []module // in blocks with a plain MLP, and those that both kinds have
	swiglu  []module // in blocks with SwiGLU, instead of fc1 and fc2
	heads   []string // names of a single head
	two     []string // names of class and distillation head
	morePart

	bypassed bool // timm does not call qkv, see peftReader.bypassed
}

// morePart holds properties that few layouts have.
type morePart struct {
	gated     bool     // only for bases with SwiGLU whose gate and up are separate modules
	apart     bool     // timm's, for bases whose q, k and v are separate modules, too
	pool      []module // maps of attention pooling
	unused    []string // maps of attention pooling, unused where the patches are averaged
	classless bool     // a backbone without a class token
}

var (
	attention5 = []module{{"attention.q_proj", partQ}, {"attention.k_proj", partK}, {"attention.v_proj", partV}, {"attention.o_proj", partProj}}
	attention4 = []module{{"attention.attention.query", partQ}, {"attention.attention.key", partK},
		{"attention.attention.value", partV}, {"attention.output.dense", partProj}}
	mlpFC    = []module{{"mlp.fc1", partFC1}, {"mlp.fc2", partFC2}}
	mlpDense = []module{{"intermediate.dense", partFC1}, {"output.dense", partFC2}}
	swiglu5  = []module{{"mlp.gate_proj", partGate}, {"mlp.up_proj", partUp}, {"mlp.down_proj", partFC2}}
	swiglu4  = []module{{"mlp.weights_in", partFC1}, {"mlp.weights_out", partFC2}}
	clipMaps = []module{{"self_attn.q_proj", partQ}, {"self_attn.k_proj", partK}, {"self_attn.v_proj", partV}, {"self_attn.out_proj", partProj}}
	timmMaps = []module{{"attn.qkv", partQKV}, {"attn.proj", partProj}}
	evaMaps  = []module{{"attn.q_proj", partQ}, {"attn.k_proj", partK}, {"attn.v_proj", partV}, {"attn.proj", partProj}}
	evaGated = []module{{"mlp.fc1_g", partGate}, {"mlp.fc1_x", partUp}, {"mlp.fc2", partFC2}}
	upDown   = []module{{"mlp.up_proj", partFC1}, {"mlp.down_proj", partFC2}}
	timmPool = []module{{"attn_pool.q", partQ}, {"attn_pool.kv", partKV}, {"attn_pool.proj", partProj}, {"attn_pool.mlp.fc1", partFC1}, {"attn_pool.mlp.fc2", partFC2}}

	hfHeads   = []string{"classifier"}
	hfTwo     = []string{"cls_classifier", "distillation_classifier"}
	timmHeads = []string{"head"}
	timmTwo   = []string{"head", "head_dist"}
)

func join(lists ...[]module) (all []module) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// layouts returns the supported layouts in the order in which they are tried. A family's first one is used for
// writing. Checked against the modules of transformers 4.57 and 5.23 and timm 1.0.
func layouts() []layout {
	vit5, vit4 := join(attention5, mlpFC), join(attention4, mlpDense)
	dino4 := join(attention4, mlpFC)
	clip, timm := join(clipMaps, mlpFC), join(timmMaps, mlpFC)
	dinov3 := join(attention5, upDown)
	ungated := func(prefix, blocks string, names Names) layout {
		return layout{names, "dinov3", true, prefix, blocks, dinov3, nil, nil, nil, morePart{}, false}
	}
	gated := func(prefix, blocks string, names Names) layout {
		return layout{names, "dinov3", true, prefix, blocks, attention5, swiglu5, nil, nil, morePart{gated: true}, false}
	}
	siglip := morePart{unused: []string{"head.attention.out_proj", "head.mlp.fc1", "head.mlp.fc2"}}
	return []layout{
		{NamesHF5, "vit", false, "vit.", "layers.", vit5, nil, hfHeads, nil, morePart{}, false},
		{NamesHF4, "vit", false, "vit.", "encoder.layer.", vit4, nil, hfHeads, nil, morePart{}, false},
		{NamesHF5, "vit", false, "ijepa.", "layers.", vit5, nil, hfHeads, nil, morePart{classless: true}, false},
		{NamesHF4, "vit", false, "ijepa.", "encoder.layer.", vit4, nil, hfHeads, nil, morePart{classless: true}, false},
		{NamesHF5, "deit", false, "deit.", "layers.", vit5, nil, hfHeads, hfTwo, morePart{}, false},
		{NamesHF4, "deit", false, "deit.", "encoder.layer.", vit4, nil, hfHeads, hfTwo, morePart{}, false},
		{NamesHF5, "dinov2", false, "dinov2.", "encoder.layer.", vit5, swiglu5, hfHeads, nil, morePart{}, false},
		{NamesHF4, "dinov2", false, "dinov2.", "encoder.layer.", dino4, swiglu4, hfHeads, nil, morePart{}, false},
		{NamesHF5, "dinov2", true, "dinov2_with_registers.", "encoder.layer.", vit5, swiglu5, hfHeads, nil, morePart{}, false},
		{NamesHF4, "dinov2", true, "dinov2_with_registers.", "encoder.layer.", dino4, swiglu4, hfHeads, nil, morePart{}, false},
		// Both generations use the same names for the maps of CLIP and SigLIP. Only a bare tower loses its prefix in
		// transformers 5.
		{NamesHF5, "clip", false, "vision_model.", "encoder.layers.", clip, nil, hfHeads, nil, morePart{}, false},
		{NamesHF4, "clip", false, "vision_model.", "encoder.layers.", clip, nil, hfHeads, nil, morePart{}, false},
		{NamesHF5, "clip", false, "", "encoder.layers.", clip, nil, hfHeads, nil, morePart{}, false},
		{NamesHF5, "siglip", false, "vision_model.", "encoder.layers.", clip, nil, hfHeads, nil, siglip, false},
		{NamesHF4, "siglip", false, "vision_model.", "encoder.layers.", clip, nil, hfHeads, nil, siglip, false},
		{NamesHF5, "siglip", false, "", "encoder.layers.", clip, nil, nil, nil, siglip, false},
		{NamesHF5, "beit", false, "beit.", "layers.", vit5, nil, hfHeads, nil, morePart{}, false},
		{NamesHF4, "beit", false, "beit.", "encoder.layer.", vit4, nil, hfHeads, nil, morePart{}, false},
		{NamesHF5, "data2vec", false, "data2vec_vision.", "encoder.layer.", vit4, nil, hfHeads, nil, morePart{}, false},
		{NamesHF4, "data2vec", false, "data2vec_vision.", "encoder.layer.", vit4, nil, hfHeads, nil, morePart{}, false},
		ungated("", "model.layer.", NamesHF5), gated("", "model.layer.", NamesHF5),
		ungated("", "layer.", NamesHF4), gated("", "layer.", NamesHF4),
		{NamesTimm, "", false, "", "blocks.", timm, nil, timmHeads, timmTwo, morePart{pool: timmPool}, false},
		{NamesTimm, "", false, "timm_model.", "blocks.", timm, nil, timmHeads, timmTwo, morePart{pool: timmPool}, false},
		{NamesTimm, "", false, "", "blocks.", evaMaps, evaGated, timmHeads, nil, morePart{gated: true, apart: true}, false},
		{NamesTimm, "", false, "", "blocks.", timmMaps, evaGated, timmHeads, nil, morePart{gated: true}, false},
		// Bare backbones: ViT and DeiT first, then DINOv2, whose names are less specific.
		{NamesHF5, "", false, "", "layers.", vit5, nil, nil, nil, morePart{}, false},
		{NamesHF4, "", false, "", "encoder.layer.", vit4, nil, nil, nil, morePart{}, false},
		{NamesHF4, "", false, "", "encoder.layer.", dino4, swiglu4, nil, nil, morePart{}, false},
		{NamesHF5, "", false, "", "encoder.layer.", vit5, swiglu5, nil, nil, morePart{}, false},
	}
}

// find returns the block and the part that a module path refers to.
func (l *layout) find(path string) (block int, m module, ok bool) {
	for _, m := range l.pool {
		if path == l.prefix+m.tail {
			return arch.PoolBlock, m, true
		}
	}
	rest, ok := strings.CutPrefix(path, l.prefix+l.blocks)
	if !ok {
		return 0, module{}, false
	}
	number, tail, _ := strings.Cut(rest, ".")
	block, err := strconv.Atoi(number)
	if err != nil || strconv.Itoa(block) != number || block < 0 || block >= maxBlocks {
		return 0, module{}, false
	}
	for _, list := range [][]module{l.modules, l.swiglu} {
		for _, m := range list {
			if m.tail == tail {
				return block, m, true
			}
		}
	}
	return 0, module{}, false
}

// isHead reports whether path is the path of a head.
func (l *layout) isHead(path string) bool {
	return slices.ContainsFunc(append(slices.Clone(l.heads), l.two...), func(name string) bool { return path == l.headPath(name) })
}

// suits reports whether a base may have modules with these names.
func (l *layout) suits(c *vit.Config) bool {
	return c != nil && (l.names == NamesTimm) == (c.Source == "timm") && (l.family == "" || l.family == c.Family && l.regs == (c.Registers > 0)) && !l.isOther(c)
}

// isOther reports whether a base has a network of another kind than that of these names.
func (l *layout) isOther(c *vit.Config) bool {
	return l.gated != c.SwiGLU && (l.gated || l.family == "dinov3") || l.apart && !c.MLPNorm || l.classless && c.Class
}

// leaves reports whether the module at path is one that a base of shape c (nil: any) has no use for.
func (l *layout) leaves(path string, c *vit.Config) bool {
	tail, ok := strings.CutPrefix(path, l.prefix)
	return ok && slices.Contains(l.unused, tail) && (c == nil || c.Pooling != arch.PoolAttention)
}

// beside maps modules outside the blocks to their names in the network's description (arch.Config.Params). No
// two families use one name for different things.
var beside = map[string]string{
	"embeddings.patch_embeddings.projection": "patch_embed", "embeddings.patch_embedding": "patch_embed", "patch_embed.proj": "patch_embed",
	"embeddings.patch_embeddings": "patch_embed", "pooler.layernorm": "fc_norm", "layernorm": "norm", "post_layernorm": "norm", "norm": "norm", "fc_norm": "fc_norm", "pre_layrnorm": "norm_pre", "norm_pre": "norm_pre",
}

// within maps the modules of a block that are not linear maps.
var within = map[string]string{
	"layernorm_before": "norm1", "layernorm_after": "norm2", "norm1": "norm1", "norm2": "norm2", "attn.norm": "norm_attn", "mlp.norm": "norm_mlp", "layer_norm1": "norm1", "layer_norm2": "norm2",
}

// outside returns the name in the network's description of the module at path, if it is not one of the linear
// maps of a block.
func (l *layout) outside(path string) string {
	rest, ok := strings.CutPrefix(path, l.prefix)
	if !ok {
		return ""
	}
	if name := beside[rest]; name != "" {
		return name
	}
	if rest, ok = strings.CutPrefix(rest, l.blocks); !ok {
		return ""
	}
	number, tail, _ := strings.Cut(rest, ".")
	block, err := strconv.Atoi(number)
	if err != nil || strconv.Itoa(block) != number || block < 0 || block >= maxBlocks || within[tail] == "" {
		return ""
	}
	return arch.BlockName(block, within[tail])
}

// path is the inverse of find.
func (l *layout) path(block int, tail string) string {
	return l.prefix + l.blocks + strconv.Itoa(block) + "." + tail
}

// of returns the modules of a block, with one or the other kind of MLP.
func (l *layout) of(swiglu bool) []module {
	if !swiglu || l.swiglu == nil {
		return l.modules
	}
	var list []module
	for _, m := range l.modules {
		if m.part != partFC1 && m.part != partFC2 {
			list = append(list, m)
		}
	}
	return append(list, l.swiglu...)
}

// tail returns the name of a part in a block.
func (l *layout) tail(p part, swiglu bool) (string, bool) {
	for _, m := range l.of(swiglu) {
		if m.part == p {
			return m.tail, true
		}
	}
	return "", false
}

// poolTail is tail of attention pooling.
func (l *layout) poolTail(p part) (string, bool) {
	for _, m := range l.pool {
		if m.part == p {
			return m.tail, true
		}
	}
	return "", false
}

// headPath returns the path of a head.
func (l *layout) headPath(name string) string {
	if l.names == NamesTimm {
		return l.prefix + name
	}
	return name
}
