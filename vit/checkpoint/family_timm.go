package checkpoint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"melo.example/melo/vit/arch"
)

// evaConfig is timm's config.json of an architecture of class Eva (EVA-02, DINOv3) or Beit. As for other
// classes, the network follows from the architecture's name, model_args, and the tensors' shapes.
type evaConfig struct {
	timmConfig
	args evaArgs
	kind evaKind
}

// evaArgs holds the arguments of these classes that change what a network computes.
type evaArgs struct {
	timmArgs
	RegTokens   *int     `json:"num_reg_tokens"`
	RefGrid     *side    `json:"ref_feat_shape"`
	Temperature *float64 `json:"rope_temperature"`
	RotateHalf  *bool    `json:"rope_rotate_half"`
	RopeType    *string  `json:"rope_type"`
	Rotary      *bool    `json:"use_rot_pos_emb"`
	FCNorm      *bool    `json:"use_fc_norm"`
	AbsPos      *bool    `json:"use_abs_pos_emb"`
	RelBlocks   *bool    `json:"use_rel_pos_bias"`
	RelShared   *bool    `json:"use_shared_rel_pos_bias"`
}

// evaInertArgs lists arguments that matter in training only, or that shapes and names already determine.
var evaInertArgs = strings.Fields("qkv_fused swiglu_mlp scale_mlp scale_attn_inner " +
	"swiglu_align_to head_init_scale rope_jitter_coords rope_shift_coords rope_rescale_coords")

// evaKind is what the name of an architecture determines about its blocks.
type evaKind struct {
	family string
	class  bool // class token pooling is the default
	eps    float32
	rotary arch.Rotary
	half   bool
	theta  float32
	grid   int
	tokens int // number of registers
	heads  map[int]int
	abs    bool // has a position embedding
	rel    bool // each block has relative position biases
}

// evaKindOf recognises an architecture of these classes. It returns false for all others.
func evaKindOf(name string) (evaKind, bool) {
	name, _, _ = strings.Cut(name, ".")
	words := strings.Split(name, "_")
	has := func(w string) bool { return slices.Contains(words, w) }
	switch {
	case words[0] == "vit" && has("dinov3"):
		return evaKind{family: "dinov3", eps: 1e-5, rotary: arch.RotaryCentred, half: true, theta: 100, tokens: 4,
			heads: map[int]int{1280: 20, 4096: 32}}, true
	case words[0] == "eva02" && !has("enormous"):
		return evaKind{family: "eva02", class: has("clip"), eps: 1e-6, rotary: arch.RotaryIndex, theta: 10000, grid: 16, abs: true}, true
	case words[0] == "eva" && has("giant"):
		return evaKind{family: "eva", class: has("clip"), eps: 1e-6, abs: true}, true
	case words[0] == "beit" || words[0] == "beitv2":
		return evaKind{family: "beit", eps: 1e-6, rel: true}, true
	}
	return evaKind{}, false
}

func parseEva(f Files, kind evaKind) (fileSpec, error) {
	c := &evaConfig{kind: kind}
	var args struct {
		Args json.RawMessage `json:"model_args"`
	}
	if err := json.Unmarshal(f.Config, &args); err != nil {
		return nil, jsonError(err)
	}
	if args.Args != nil && string(args.Args) != "null" {
		if err := checkKeys(args.Args, append(slices.Clone(timmKnownArgs), evaInertArgs...), c.args); err != nil {
			return nil, fmt.Errorf("model_args: %w", err)
		}
		if err := json.Unmarshal(args.Args, &c.args); err != nil {
			return nil, jsonError(fmt.Errorf("model_args: %w", err))
		}
	}
	t, err := parseTimmRest(f.Config)
	if err != nil {
		return nil, err
	}
	c.timmConfig = *t
	c.timmConfig.Args = c.args.timmArgs
	return c, nil
}

func (c *evaConfig) naming() *naming { return &evaNames }

func (c *evaConfig) spec(w *weights, o Options) (*spec, error) {
	k := c.kind
	s := &spec{fusedQKV: w.inBlocks("qkv"), antialias: true}
	s.fromShapes(w)
	s.Family, s.Source = k.family, "timm"
	s.Class = c.args.ClassToken == nil || *c.args.ClassToken
	c.arch.heads = k.heads[s.Width]
	c.arch.act = arch.GELUErf
	if err := c.shape(s, w); err != nil {
		return nil, err
	}
	s.Eps = k.eps
	s.QKVBias, s.NoKeyBias = w.inBlocksHas("q.bias") || w.inBlocksHas("qkv.bias"), !w.inBlocksHas("qkv.bias") && !w.inBlocksHas("k.bias")
	s.AttnNorm, s.MLPNorm = w.inBlocks("norm_attn"), w.inBlocks("norm_mlp")
	said := func(arg *bool, usual bool) bool { return arg != nil && *arg || arg == nil && usual }
	s.RelBlocks, s.RelShared = said(c.args.RelBlocks, k.rel), said(c.args.RelShared, false)
	s.NoPosEmbed = !said(c.args.AbsPos, k.abs)
	if c.args.RegTokens != nil {
		s.Registers = *c.args.RegTokens
	} else if s.Registers == 0 {
		s.Registers = k.tokens
	}
	if !s.NoPosEmbed {
		c.positions(s, w)
	}
	if err := c.rotary(s); err != nil {
		return nil, err
	}
	if err := c.pool(s, w); err != nil {
		return nil, err
	}
	c.head(s, w)
	own := c.image(s, w)
	if err := s.imageSide(own, c.recipe, c.Args.Dynamic || k.family == "dinov3", o); err != nil {
		return nil, err
	}
	if err := s.relativeSide(); err != nil {
		return nil, err
	}
	if names := firstOf(c.LabelNames, c.Pretrained.LabelNames); len(names) == s.Classes {
		s.labels = names
	}
	return s, nil
}

// rotary sets the rotary position embedding.
func (c *evaConfig) rotary(s *spec) error {
	k, a := c.kind, c.args
	s.Rotary, s.RotaryHalf, s.RotaryTheta, s.RotaryGrid = k.rotary, k.half, k.theta, k.grid
	if a.Rotary != nil && !*a.Rotary {
		s.Rotary, s.RotaryHalf, s.RotaryTheta, s.RotaryGrid = arch.RotaryNone, false, 0, 0
		return nil
	}
	if a.RopeType != nil {
		switch *a.RopeType {
		case "dinov3":
			s.Rotary, s.RotaryGrid = arch.RotaryCentred, 0
		case "cat":
			s.Rotary = arch.RotaryIndex
		default:
			return fmt.Errorf("model_args: rope_type %.40q is not supported", *a.RopeType)
		}
	}
	if a.RotateHalf != nil {
		s.RotaryHalf = *a.RotateHalf
	}
	if a.Temperature != nil {
		s.RotaryTheta = float32(*a.Temperature)
	}
	if a.RefGrid != nil {
		s.RotaryGrid = int(*a.RefGrid)
	}
	if s.RotaryGrid < 0 || s.RotaryGrid > 1<<10 {
		return fmt.Errorf("model_args: ref_feat_shape %d", s.RotaryGrid)
	}
	return nil
}

// pool sets the pooling.
func (c *evaConfig) pool(s *spec, w *weights) error {
	pool := "avg"
	if c.kind.class {
		pool = "token"
	}
	for _, given := range []*string{c.GlobalPool, c.Args.GlobalPool} {
		if given != nil && *given != "" {
			pool = *given
		}
	}
	switch pool {
	case "avg":
		s.Pooling = arch.PoolMean
	case "token":
		s.Pooling = arch.PoolClass
	default:
		return fmt.Errorf("global_pool %.40q is not supported, expected token or avg", pool)
	}
	c.norms(s, w)
	return nil
}

// evaNames maps the names of timm's classes Eva and Beit.
var evaNames = naming{
	source:   "timm",
	unplaced: true,
	prefixes: timmNames.prefixes,
	blocks:   timmNames.blocks,
	top: with(timmNames.top, map[string]string{
		"rel_pos_bias.relative_position_bias_table": "rel_pos",
	}),
	block: with(timmNames.block, map[string]string{
		"attn.q_proj": "q", "attn.k_proj": "k", "attn.v_proj": "v", "attn.q_bias": "q.bias", "attn.v_bias": "v.bias", "attn.norm": "norm_attn",
		"mlp.fc1_g": "gate", "mlp.fc1_x": "up", "mlp.norm": "norm_mlp", "attn.relative_position_bias_table": "rel_pos",
	}),
	ignored: []ignoreRule{
		{"mask_token", "masking is for pre-training"},
	},
}

// siglipTimmNames maps the names of timm's VisionTransformer with attention pooling.
var siglipTimmNames = naming{
	source: "timm", prefixes: timmNames.prefixes, blocks: timmNames.blocks, block: timmNames.block, ignored: timmNames.ignored,
	top: with(timmNames.top, map[string]string{
		"attn_pool.latent": "pool.latent", "attn_pool.q": "pool.q", "attn_pool.kv": "pool.kv", "attn_pool.proj": "pool.proj",
		"attn_pool.norm": "pool.norm", "attn_pool.mlp.fc1": "pool.fc1", "attn_pool.mlp.fc2": "pool.fc2",
	}),
}

func with(names, more map[string]string) map[string]string {
	all := maps.Clone(names)
	maps.Copy(all, more)
	return all
}
