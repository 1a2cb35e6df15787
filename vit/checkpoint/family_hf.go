package checkpoint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"melo.example/melo/imaging/processor"
	"melo.example/melo/vit/arch"
)

// hfShape holds the fields that the configurations of transformers' vision models have in common.
type hfShape struct {
	Architectures []string          `json:"architectures"`
	Hidden        int               `json:"hidden_size"`
	Layers        int               `json:"num_hidden_layers"`
	Heads         int               `json:"num_attention_heads"`
	Intermediate  int               `json:"intermediate_size"`
	Act           string            `json:"hidden_act"`
	Eps           float64           `json:"layer_norm_eps"`
	Image         side              `json:"image_size"`
	Patch         side              `json:"patch_size"`
	Channels      int               `json:"num_channels"`
	ID2Label      map[string]string `json:"id2label"`

	modelType string
	recipe    imagingSource
}

// hfFamilies maps a model type to its parser, for families whose blocks have more parts than a plain ViT's.
var hfFamilies = map[string]func(modelType string, f Files) (fileSpec, error){
	"dinov3_vit": parseDINOv3, "siglip": parseSiglip, "siglip_vision_model": parseSiglip, "beit": parseBeit, "data2vec-vision": parseBeit,
}

// decodeHF decodes a configuration into dst. An unknown key is an error unless it is known to have no effect.
func decodeHF(text []byte, dst any, deref any, more ...string) error {
	if err := checkKeys(text, append(slices.Clone(hfInert), more...), deref); err != nil {
		return err
	}
	if err := json.Unmarshal(text, dst); err != nil {
		return jsonError(err)
	}
	return nil
}

// prepare determines the preprocessing of images.
func (c *hfShape) prepare(modelType string, f Files) error {
	c.modelType = modelType
	r, given, err := processor.Transformers(modelType, f.Preprocessor, f.Processor)
	if err != nil || given {
		c.recipe = imagingSource{recipe: r, given: given}
		return err
	}
	// the library's defaults if the file does not say
	r, _, err = processor.Transformers(modelType, []byte("{}"), nil)
	c.recipe = imagingSource{recipe: r, note: fmt.Sprintf("there is no %s: images are prepared as transformers does for %s",
		processor.PreprocessorName, modelType)}
	return err
}

// spec returns the part of the description that all families share.
func (c *hfShape) spec(family string) (*spec, error) {
	act, ok := hfActivations[c.Act]
	if !ok {
		return nil, fmt.Errorf("hidden_act %.60q is not supported, expected gelu, gelu_new, gelu_fast, gelu_pytorch_tanh or quick_gelu", c.Act)
	}
	return &spec{Config: arch.Config{
		Family: family, Source: "hf", Width: c.Hidden, Depth: c.Layers, Heads: c.Heads, MLP: c.Intermediate, Patch: int(c.Patch),
		Channels: c.Channels, QKVBias: true, FinalNorm: true, Act: act, Eps: float32(c.Eps),
	}}, nil
}

// finish determines the classifier and the side of the input, which completes a description.
func (c *hfShape) finish(s *spec, w *weights, flexible bool, o Options) (*spec, error) {
	classifies := slices.ContainsFunc(c.Architectures, func(a string) bool { return strings.Contains(a, "ForImageClassification") })
	if classifies || w.hasModule("head") {
		s.Classes = max(w.dim("head.weight", 0), w.dim("head.bias", 0), 1)
	}
	if err := s.imageSide(int(c.Image), c.recipe, flexible, o); err != nil {
		return nil, err
	}
	var err error
	s.labels, err = (&hfConfig{ID2Label: c.ID2Label}).labels(s.Classes)
	return s, err
}

// --- DINOv3 ---

type dinov3Config struct {
	hfShape
	QueryBias bool    `json:"query_bias"`
	KeyBias   bool    `json:"key_bias"`
	ValueBias bool    `json:"value_bias"`
	ProjBias  bool    `json:"proj_bias"`
	MLPBias   bool    `json:"mlp_bias"`
	Gated     bool    `json:"use_gated_mlp"`
	Theta     float64 `json:"rope_theta"`
	Registers int     `json:"num_register_tokens"`
}

func parseDINOv3(modelType string, f Files) (fileSpec, error) {
	c := dinov3Config{hfShape: hfShape{Hidden: 384, Layers: 12, Heads: 6, Intermediate: 1536, Act: "gelu", Eps: 1e-5, Image: 224, Patch: 16, Channels: 3},
		QueryBias: true, ValueBias: true, ProjBias: true, MLPBias: true, Theta: 100}
	if err := decodeHF(f.Config, &c, c, "pos_embed_shift", "pos_embed_jitter", "pos_embed_rescale", "rope_parameters"); err != nil {
		return nil, err
	}
	return &c, c.prepare(modelType, f)
}

func (c *dinov3Config) naming() *naming {
	if c.Gated {
		return &dinov3GatedNames
	}
	return &dinov3Names
}

func (c *dinov3Config) spec(w *weights, o Options) (*spec, error) {
	if c.Gated && c.Act != "silu" {
		return nil, fmt.Errorf("use_gated_mlp with hidden_act %.60q is not supported, expected silu", c.Act)
	}
	if c.Gated {
		c.Act = "gelu" // a gated MLP uses silu
	}
	if !c.ProjBias || !c.MLPBias || c.QueryBias != c.ValueBias {
		return nil, fmt.Errorf("proj_bias %v, mlp_bias %v, query_bias %v, value_bias %v are not supported", c.ProjBias, c.MLPBias, c.QueryBias, c.ValueBias)
	}
	s, err := c.hfShape.spec("dinov3")
	if err != nil {
		return nil, err
	}
	s.Class, s.Registers, s.NoPosEmbed, s.LayerScale, s.SwiGLU = true, c.Registers, true, true, c.Gated
	s.QKVBias, s.NoKeyBias = c.QueryBias, !c.KeyBias
	s.Rotary, s.RotaryHalf, s.RotaryTheta = arch.RotaryCentred, true, float32(c.Theta)
	return c.finish(s, w, true, o)
}

// dinov3Names maps the names of transformers' DINOv3, in both forms: those in files, and those of modules.
var dinov3Names = naming{
	source:   "hf",
	unplaced: true,
	prefixes: []string{"dinov3_vit.", "backbone."},
	blocks:   []string{"layer.", "model.layer."},
	top: map[string]string{
		"embeddings.cls_token": "cls_token", "embeddings.register_tokens": "reg_token", "embeddings.patch_embeddings": "patch_embed",
		"norm": "norm", "classifier": "head",
	},
	block: map[string]string{
		"norm1": "norm1", "norm2": "norm2", "attention.q_proj": "q", "attention.k_proj": "k", "attention.v_proj": "v", "attention.o_proj": "proj",
		"mlp.up_proj": "fc1", "mlp.down_proj": "fc2", "layer_scale1.lambda1": "ls1", "layer_scale2.lambda1": "ls2",
	},
	ignored: []ignoreRule{
		{"embeddings.mask_token", "masking is for pre-training"},
		{"rope_embeddings.", "frequencies follow from the configuration"},
	},
}

// dinov3GatedNames maps the names of DINOv3 with a gated MLP.
var dinov3GatedNames = naming{
	source: "hf", unplaced: true, prefixes: dinov3Names.prefixes, blocks: dinov3Names.blocks, top: dinov3Names.top, ignored: dinov3Names.ignored,
	block: with(dinov3Names.block, map[string]string{"mlp.gate_proj": "gate", "mlp.up_proj": "up"}),
}

// --- SigLIP ---

type siglipConfig struct {
	hfShape
	Head bool `json:"vision_use_head"`
}

func parseSiglip(modelType string, f Files) (fileSpec, error) {
	c := siglipConfig{hfShape: hfShape{Hidden: 768, Layers: 12, Heads: 12, Intermediate: 3072, Act: "gelu_pytorch_tanh", Eps: 1e-6, Image: 224, Patch: 16, Channels: 3}, Head: true}
	text := f.Config
	if modelType == "siglip" {
		var outer struct {
			Vision        json.RawMessage   `json:"vision_config"`
			Architectures []string          `json:"architectures"`
			ID2Label      map[string]string `json:"id2label"`
		}
		if err := decodeHF(f.Config, &outer, outer); err != nil {
			return nil, err
		}
		text, c.ID2Label = outer.Vision, outer.ID2Label
		if text == nil {
			text = []byte("{}")
		}
		if err := decodeHF(text, &c, c); err != nil {
			return nil, fmt.Errorf("vision_config: %w", err)
		}
		c.Architectures = outer.Architectures
		return &c, c.prepare(modelType, f)
	}
	if err := decodeHF(text, &c, c); err != nil {
		return nil, err
	}
	return &c, c.prepare(modelType, f)
}

func (c *siglipConfig) naming() *naming { return &siglipNames }

func (c *siglipConfig) spec(w *weights, o Options) (*spec, error) {
	s, err := c.hfShape.spec("siglip")
	if err != nil {
		return nil, err
	}
	s.Pooling = arch.PoolAttention
	if s, err = c.finish(s, w, false, o); err != nil {
		return nil, err
	}
	switch {
	// SiglipForImageClassification: the mean of the patches; the tower's pooling head is left out
	case s.Classes > 0:
		s.Pooling, s.unusedPool = arch.PoolMean, c.Head
	case !c.Head:
		s.Pooling = arch.PoolMean
	}
	return s, nil
}

// siglipNames maps the names of transformers' SigLIP, and of SigLIP 2 at a fixed size: a vision tower alone, or
// inside the whole model.
var siglipNames = naming{
	source:   "hf",
	prefixes: []string{"vision_model.vision_model.", "vision_model."},
	blocks:   []string{"encoder.layers."},
	top: map[string]string{
		"embeddings.position_embedding.weight": "pos_embed", "embeddings.patch_embedding": "patch_embed", "post_layernorm": "norm",
		"classifier": "head", "head.probe": "pool.latent", "head.attention.in_proj_weight": "pool.qkv.weight",
		"head.attention.in_proj_bias": "pool.qkv.bias", "head.attention.out_proj": "pool.proj", "head.layernorm": "pool.norm",
		"head.mlp.fc1": "pool.fc1", "head.mlp.fc2": "pool.fc2",
	},
	block: clipNames.block,
	ignored: []ignoreRule{
		{"text_model.", "the text tower is not needed for images"},
		{"logit_scale", "the text tower is not needed for images"},
		{"logit_bias", "the text tower is not needed for images"},
	},
}

// --- BEiT, data2vec ---

type beitConfig struct {
	hfShape
	Absolute   bool    `json:"use_absolute_position_embeddings"`
	Relative   bool    `json:"use_relative_position_bias"`
	Shared     bool    `json:"use_shared_relative_position_bias"`
	LayerScale float64 `json:"layer_scale_init_value"`
	Mean       bool    `json:"use_mean_pooling"`
}

func parseBeit(modelType string, f Files) (fileSpec, error) {
	c := beitConfig{hfShape: hfShape{Hidden: 768, Layers: 12, Heads: 12, Intermediate: 3072, Act: "gelu", Eps: 1e-12, Image: 224, Patch: 16, Channels: 3},
		LayerScale: 0.1, Mean: true}
	err := decodeHF(f.Config, &c, c, "add_fpn", "auxiliary_channels", "auxiliary_concat_input", "auxiliary_loss_weight", "auxiliary_num_convs",
		"use_auxiliary_head", "pool_scales", "semantic_loss_ignore_index", "segmentation_indices", "out_indices")
	if err != nil {
		return nil, err
	}
	return &c, c.prepare(modelType, f)
}

func (c *beitConfig) naming() *naming { return &beitNames }

func (c *beitConfig) spec(w *weights, o Options) (*spec, error) {
	family, _, _ := strings.Cut(c.modelType, "-") // "beit" or "data2vec"
	s, err := c.hfShape.spec(family)
	if err != nil {
		return nil, err
	}
	s.Class, s.NoKeyBias, s.NoPosEmbed, s.PosPrefix = true, true, !c.Absolute, c.Absolute
	s.RelBlocks, s.RelShared, s.LayerScale = c.Relative, c.Shared, c.LayerScale > 0
	if c.Mean {
		s.Pooling, s.FinalNorm, s.PoolNorm = arch.PoolMean, false, true
	}
	if s, err = c.finish(s, w, false, o); err != nil {
		return nil, err
	}
	return s, s.relativeSide()
}

// relativeSide returns an error if the image size differs from that of the relative positions.
func (s *spec) relativeSide() error {
	if (s.RelBlocks || s.RelShared) && s.Image != s.native {
		return fmt.Errorf("images of %d pixels, but the relative positions are those of %d: another size is not supported", s.Image, s.native)
	}
	return nil
}

// beitNames maps the names of transformers' BEiT and data2vec, in both forms: those in files, and those of
// modules in transformers 5.
var beitNames = naming{
	source:   "hf",
	unplaced: true,
	prefixes: []string{"beit.", "data2vec_vision."},
	blocks:   []string{"encoder.layer.", "layers."},
	top: map[string]string{
		"embeddings.cls_token": "cls_token", "embeddings.position_embeddings": "pos_embed", "embeddings.patch_embeddings.projection": "patch_embed",
		"layernorm": "norm", "pooler.layernorm": "fc_norm", "classifier": "head",
		"encoder.relative_position_bias.relative_position_bias_table": "rel_pos", "shared_position_bias.relative_position_bias_table": "rel_pos",
	},
	block: map[string]string{
		"layernorm_before": "norm1", "layernorm_after": "norm2", "attention.output.dense": "proj", "attention.o_proj": "proj",
		"attention.attention.query": "q", "attention.attention.key": "k", "attention.attention.value": "v",
		"attention.q_proj": "q", "attention.k_proj": "k", "attention.v_proj": "v",
		"attention.attention.relative_position_bias.relative_position_bias_table": "rel_pos",
		"relative_position_bias.relative_position_bias_table":                     "rel_pos",
		"intermediate.dense": "fc1", "output.dense": "fc2", "mlp.fc1": "fc1", "mlp.fc2": "fc2", "lambda_1": "ls1", "lambda_2": "ls2",
	},
	ignored: []ignoreRule{
		{"embeddings.mask_token", "masking is for pre-training"},
	},
}
