package checkpoint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"melo.example/melo/imaging/processor"
	"melo.example/melo/vit/arch"
)

// timmConfig is the config.json that timm writes for the Hugging Face hub. It names an architecture. The
// network follows from that name, from model_args, and from the tensors' shapes.
type timmConfig struct {
	Architecture string    `json:"architecture"`
	NumClasses   *int      `json:"num_classes"`
	GlobalPool   *string   `json:"global_pool"`
	LabelNames   []string  `json:"label_names"`
	Args         timmArgs  `json:"model_args"`
	Pretrained   timmImage `json:"pretrained_cfg"`

	arch     timmArch
	recipe   imagingSource
	inferred bool // inferred from tensors, not read
}

// timmArgs holds the arguments of timm's VisionTransformer that change what it computes.
type timmArgs struct {
	ImgSize      side    `json:"img_size"`
	PatchSize    side    `json:"patch_size"`
	NumClasses   *int    `json:"num_classes"`
	GlobalPool   *string `json:"global_pool"`
	NumHeads     int     `json:"num_heads"`
	Depth        int     `json:"depth"`
	EmbedDim     int     `json:"embed_dim"`
	ClassToken   *bool   `json:"class_token"`
	RegTokens    *int    `json:"reg_tokens"`
	NoEmbedClass *bool   `json:"no_embed_class"`
	PreNorm      *bool   `json:"pre_norm"`
	QKVBias      *bool   `json:"qkv_bias"`
	ActLayer     string  `json:"act_layer"`
	Dynamic      bool    `json:"dynamic_img_size"`
}

// timmKnownArgs lists the arguments above, and those without effect here: shapes determine them, or they matter
// in training only.
var timmKnownArgs = []string{
	"img_size", "patch_size", "num_classes", "global_pool", "num_heads", "depth", "embed_dim", "class_token",
	"reg_tokens", "no_embed_class", "pre_norm", "qkv_bias", "act_layer",
	"in_chans", "mlp_ratio", "init_values", "fc_norm", "final_norm", "dynamic_img_size", "dynamic_img_pad",
	"strict_img_size", "weight_init", "fix_init", "drop_rate", "pos_drop_rate", "patch_drop_rate", "proj_drop_rate",
	"attn_drop_rate", "drop_path_rate", "distilled", "features_only", "device", "dtype",
}

func parseTimm(config []byte) (*timmConfig, error) {
	c, err := parseTimmRest(config)
	if err != nil {
		return nil, err
	}
	var given struct {
		Args map[string]json.RawMessage `json:"model_args"`
	}
	if err := json.Unmarshal(config, &given); err != nil {
		return nil, jsonError(err)
	}
	for name, value := range given.Args {
		if !slices.Contains(timmKnownArgs, name) && string(value) != "null" {
			return nil, fmt.Errorf("model_args: %.60q is not supported", name)
		}
	}
	c.arch, err = parseTimmArch(c.Architecture)
	return c, err
}

// parseTimmRest reads everything but the architecture's name and arguments.
func parseTimmRest(config []byte) (*timmConfig, error) {
	var c timmConfig
	if err := json.Unmarshal(config, &c.Pretrained); err != nil { // old files have it at the top level
		return nil, jsonError(err)
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, jsonError(err)
	}
	if err := checkKeys(config, timmInert, c, c.Pretrained); err != nil {
		return nil, err
	}
	var given struct {
		Pretrained json.RawMessage `json:"pretrained_cfg"`
	}
	if err := json.Unmarshal(config, &given); err != nil {
		return nil, jsonError(err)
	}
	if given.Pretrained != nil && string(given.Pretrained) != "null" {
		if err := checkKeys(given.Pretrained, timmInert, c.Pretrained); err != nil {
			return nil, fmt.Errorf("pretrained_cfg: %w", err)
		}
	}
	var err error
	if c.recipe, err = timmRecipe(c.fullName(), &c.Pretrained.TimmConfig); err != nil {
		return nil, fmt.Errorf("pretrained_cfg: %w", err)
	}
	return &c, nil
}

// timmArch is what the name of an architecture determines.
type timmArch struct {
	clip, distilled, gap bool
	attends              bool // attention pooling is the default
	heads                int  // 0: derived from the width
	registers            int
	act                  arch.Activation
	image                int // 0: not given
}

// timmWords lists the name parts of architectures that are plain pre-norm ViTs. Any other part may stand for
// another kind of block (relative positions, parallel branches, RMSNorm, post-norm), which tensor names do not
// always show.
var timmWords = strings.Fields("vit deit deit3 flexivit eva tiny xsmall wee little small medium mediumd " +
	"betwixt base large huge giant gigantic giantopt so150m so150m2 so400m distilled plus clip quickgelu " +
	"dinov2 dino mae sam miil gap siglip in21k 36x1")

func parseTimmArch(name string) (timmArch, error) {
	a := timmArch{act: arch.GELUErf}
	name, _, _ = strings.Cut(name, ".") // a pre-training tag may follow
	words := strings.Split(name, "_")
	has := func(w string) bool { return slices.Contains(words, w) }
	refuse := func(why string) error {
		return fmt.Errorf("timm architecture %.80q is not supported (%s); %s", name, why, supported)
	}
	if !slices.Contains([]string{"vit", "deit", "deit3", "flexivit", "eva"}, words[0]) {
		return a, refuse("it is not a plain ViT")
	}
	for _, w := range words {
		if n, ok := numbered(w, "reg"); ok {
			a.registers = n
		} else if n, ok := numbered(w, ""); ok {
			a.image = n
		} else if _, ok := numbered(w, "patch"); !ok && !slices.Contains(timmWords, w) {
			return a, refuse(fmt.Sprintf("%.40q is unknown", w))
		}
	}
	if words[0] == "eva" && !has("large") {
		return a, refuse("only eva_large is a plain ViT")
	}
	a.attends = has("siglip") && !has("gap")
	a.clip, a.distilled = has("clip"), has("distilled")
	a.gap = has("gap") || words[0] == "eva"
	switch {
	case has("quickgelu"):
		a.act = arch.GELUQuick
	case has("siglip") && (has("patch32") || has("giantopt") || has("large") && has("512") || has("so400m") && has("patch16")):
		a.act = arch.GELUTanh
	}
	if has("giantopt") || name == "vit_base_patch16_gap_224" {
		a.heads = 16
	}
	return a, nil
}

// numbered splits a word such as patch16 into its prefix and number.
func numbered(word, prefix string) (int, bool) {
	rest, ok := strings.CutPrefix(word, prefix)
	if !ok || len(rest) > 5 {
		return 0, false
	}
	n, err := strconv.ParseUint(rest, 10, 16)
	return int(n), err == nil
}

func (c *timmConfig) naming() *naming {
	if c.arch.attends || c.Args.GlobalPool != nil && *c.Args.GlobalPool == "map" {
		return &siglipTimmNames
	}
	return &timmNames
}

func (c *timmConfig) spec(w *weights, o Options) (*spec, error) {
	s := &spec{fusedQKV: true, antialias: true}
	s.fromShapes(w)
	s.Family, s.Source = c.family(), "timm"
	if err := c.shape(s, w); err != nil {
		return nil, err
	}
	c.tokens(s)
	pool, err := c.pooling(s, w)
	if err != nil {
		return nil, err
	}
	s.Pooling = pool
	c.norms(s, w)
	c.head(s, w)
	c.positions(s, w)
	if err := s.imageSide(c.image(s, w), c.recipe, c.Args.Dynamic, o); err != nil {
		return nil, err
	}
	if names := firstOf(c.LabelNames, c.Pretrained.LabelNames); len(names) == s.Classes {
		s.labels = names
	}
	return s, nil
}

func firstOf(lists ...[]string) []string {
	for _, l := range lists {
		if len(l) > 0 {
			return l
		}
	}
	return nil
}

func (c *timmConfig) family() string {
	switch name := c.Architecture; {
	case strings.Contains(name, "siglip"):
		return "siglip"
	case strings.Contains(name, "dinov2"):
		return "dinov2"
	case c.arch.clip:
		return "clip"
	case strings.HasPrefix(name, "deit"):
		return "deit"
	}
	return "vit"
}

// fullName returns the architecture with its tag, as in timm's list of default configurations.
func (c *timmConfig) fullName() string {
	if c.Pretrained.Tag != "" && !strings.Contains(c.Architecture, ".") {
		return c.Architecture + "." + c.Pretrained.Tag
	}
	return c.Architecture
}

// image returns the side of the model's input. It comes from the arguments, else the configuration, else the
// name, else the number of positions.
func (c *timmConfig) image(s *spec, w *weights) int {
	switch r := c.recipe.recipe; {
	case c.Args.ImgSize > 0:
		return int(c.Args.ImgSize)
	case r.Size > 0 && !c.recipe.loose:
		return r.Size
	case c.arch.image > 0:
		return c.arch.image
	}
	return gridOf(w.dim("pos_embed", -2)-s.PositionPrefix()) * s.Patch
}

// timmImage is the preprocessing in timm's pretrained_cfg.
type timmImage struct {
	processor.TimmConfig
	Tag        string   `json:"tag"`
	LabelNames []string `json:"label_names"`
}

// shape sets widths, heads, activation and epsilon.
func (c *timmConfig) shape(s *spec, w *weights) error {
	given := func(dst *int, arg int) {
		if arg != 0 {
			*dst = arg
		}
	}
	given(&s.Width, c.Args.EmbedDim)
	given(&s.Depth, c.Args.Depth)
	given(&s.Patch, int(c.Args.PatchSize))
	name, _, _ := strings.Cut(c.Architecture, ".")
	if s.Heads = processor.TimmHeads(name); s.Heads == 0 {
		s.Heads = c.arch.heads
	}
	given(&s.Heads, c.Args.NumHeads)
	if s.Heads == 0 && s.Width > 0 {
		var err error
		heads := headsFor
		if c.inferred {
			heads = publishedHeads
		}
		if s.Heads, err = heads(s.Width); err != nil {
			return err
		}
	}
	s.QKVBias = true
	if c.Args.QKVBias != nil {
		s.QKVBias = *c.Args.QKVBias
	} else if !w.inBlocksHas("qkv.bias") {
		s.QKVBias = false // vit_base_patch16_224_miil and some others have no bias at all
	}
	if c.arch.clip {
		s.PreNorm = true
	}
	if c.Args.PreNorm != nil {
		s.PreNorm = *c.Args.PreNorm
	}
	s.Act, s.Eps = c.arch.act, 1e-6
	if c.arch.clip { // these architectures have another epsilon; the argument pre_norm alone does not change it
		s.Eps = 1e-5
	}
	switch c.Args.ActLayer {
	case "":
	case "gelu":
		s.Act = arch.GELUErf
	case "gelu_tanh":
		s.Act = arch.GELUTanh
	case "quick_gelu":
		s.Act = arch.GELUQuick
	default:
		return fmt.Errorf("model_args: act_layer %.40q is not supported", c.Args.ActLayer)
	}
	return nil
}

// tokens sets which tokens come before the patch tokens.
func (c *timmConfig) tokens(s *spec) {
	if c.Architecture != "" {
		s.Class = !strings.Contains(c.Architecture, "gap") && !strings.Contains(c.Architecture, "siglip")
	}
	if c.Args.ClassToken != nil {
		s.Class = *c.Args.ClassToken
	}
	s.Dist = s.Dist || c.arch.distilled || s.headDist
	if s.Registers == 0 {
		s.Registers = c.arch.registers
	}
	if c.Args.RegTokens != nil {
		s.Registers = *c.Args.RegTokens
	}
}

func (c *timmConfig) pooling(s *spec, w *weights) (arch.Pooling, error) {
	pool := "token"
	if c.arch.gap || c.Architecture == "" && (!s.Class || w.hasModule("fc_norm")) {
		pool = "avg"
	}
	if c.arch.attends {
		pool = "map"
	}
	for _, given := range []*string{c.GlobalPool, c.Args.GlobalPool} {
		if given != nil && *given != "" {
			pool = *given
		}
	}
	switch {
	case pool == "map":
		return arch.PoolAttention, nil
	case pool == "avg":
		return arch.PoolMean, nil
	case pool == "token" && s.Dist:
		return arch.PoolClassDist, nil
	case pool == "token":
		return arch.PoolClass, nil
	}
	return 0, fmt.Errorf("global_pool %.40q is not supported, expected token, avg or map", pool)
}

// norms chooses between a norm over all tokens and one after pooling.
func (c *timmConfig) norms(s *spec, w *weights) {
	s.PoolNorm = w.hasModule("fc_norm")
	s.FinalNorm = w.hasModule("norm") || !s.PoolNorm
}

func (c *timmConfig) head(s *spec, w *weights) {
	classes := c.NumClasses
	if c.Args.NumClasses != nil {
		classes = c.Args.NumClasses
	}
	if classes != nil {
		s.Classes = *classes
	}
	s.headDist = s.Classes > 0 && s.Pooling == arch.PoolClassDist
}

// positions determines whether the position embedding has rows for the tokens before the patches. With
// no_embed_class it has none.
func (c *timmConfig) positions(s *spec, w *weights) {
	rows := w.dim("pos_embed", -2)
	s.PosPrefix = gridOf(rows) == 0 || gridOf(rows-s.Prefix()) > 0 && s.Prefix() > 0
	if c.Args.NoEmbedClass != nil {
		s.PosPrefix = !*c.Args.NoEmbedClass
	}
	if s.Prefix() == 0 {
		s.PosPrefix = false
	}
}

// inBlocksHas reports whether any block has exactly this parameter.
func (w *weights) inBlocksHas(name string) bool {
	for i := range w.depth() {
		if w.has(arch.BlockName(i, name)) {
			return true
		}
	}
	return false
}
