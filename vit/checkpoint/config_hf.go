package checkpoint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"melo.example/melo/imaging"
	"melo.example/melo/imaging/processor"
	"melo.example/melo/vit/arch"
)

// hfConfig is the part of a Hugging Face config.json that the forward pass depends on. Missing fields have the
// defaults of transformers' configuration classes.
type hfConfig struct {
	ModelType     string            `json:"-"`
	Architectures []string          `json:"architectures"`
	Hidden        int               `json:"hidden_size"`
	Layers        int               `json:"num_hidden_layers"`
	Heads         int               `json:"num_attention_heads"`
	HeadDim       int               `json:"head_dim"`
	Intermediate  int               `json:"intermediate_size"`
	MLPRatio      float64           `json:"mlp_ratio"` // DINOv2
	SwiGLU        bool              `json:"use_swiglu_ffn"`
	Act           string            `json:"hidden_act"`
	Eps           float64           `json:"layer_norm_eps"`
	Image         side              `json:"image_size"`
	Patch         side              `json:"patch_size"`
	Channels      int               `json:"num_channels"`
	QKVBias       bool              `json:"qkv_bias"`
	Registers     int               `json:"num_register_tokens"`
	Projection    int               `json:"projection_dim"` // CLIP
	ID2Label      map[string]string `json:"id2label"`

	recipe   imagingSource
	inferred bool // inferred from shapes; then Intermediate is the MLP width even for DINOv2
}

// hfDefaults returns the default configuration of a model type.
func hfDefaults(modelType string) (hfConfig, error) {
	c := hfConfig{
		ModelType: modelType, Hidden: 768, Layers: 12, Heads: 12, Intermediate: 3072,
		Act: "gelu", Eps: 1e-12, Image: 224, Patch: 16, Channels: 3, QKVBias: true,
	}
	switch modelType {
	case "vit", "deit", "vit_mae", "ijepa":
	case "vit_msn":
		c.Eps = 1e-6
	case "dinov2", "dinov2_with_registers":
		c.MLPRatio, c.Eps = 4, 1e-6
		if modelType == "dinov2_with_registers" {
			c.Registers = 4
		}
	case "clip", "clip_vision_model":
		c.Patch, c.Projection, c.Act, c.Eps = 32, 512, "quick_gelu", 1e-5
	default:
		return c, fmt.Errorf("model_type %.60q is not supported; %s", modelType, supported)
	}
	return c, nil
}

// parseHF reads config.json and the preprocessor files.
func parseHF(modelType string, f Files) (*hfConfig, error) {
	config := f.Config
	c, err := hfDefaults(modelType)
	if err != nil {
		return nil, err
	}
	if err := checkKeys(config, hfInert, c); err != nil {
		return nil, err
	}
	if modelType == "clip" {
		var outer struct {
			Vision     json.RawMessage `json:"vision_config"`
			Projection *int            `json:"projection_dim"`
		}
		if err := json.Unmarshal(config, &outer); err != nil {
			return nil, jsonError(err)
		}
		if outer.Vision != nil {
			if err := checkKeys(outer.Vision, hfInert, c); err != nil {
				return nil, fmt.Errorf("vision_config: %w", err)
			}
			if err := json.Unmarshal(outer.Vision, &c); err != nil {
				return nil, jsonError(fmt.Errorf("vision_config: %w", err))
			}
		}
		var top struct {
			Architectures []string          `json:"architectures"`
			ID2Label      map[string]string `json:"id2label"`
		}
		if err := json.Unmarshal(config, &top); err != nil {
			return nil, jsonError(err)
		}
		c.Architectures, c.ID2Label = top.Architectures, top.ID2Label
		if outer.Projection != nil {
			c.Projection = *outer.Projection
		}
	} else if err := json.Unmarshal(config, &c); err != nil {
		return nil, jsonError(err)
	}
	c.recipe, err = hfRecipe(modelType, c.family(), f)
	return &c, err
}

// family returns Config.Family.
func (c *hfConfig) family() string {
	switch c.ModelType {
	case "vit_mae":
		return "mae"
	case "vit_msn", "ijepa":
		return "vit"
	case "dinov2_with_registers":
		return "dinov2"
	case "clip_vision_model":
		return "clip"
	}
	return c.ModelType
}

func (c *hfConfig) naming() *naming {
	if c.family() == "clip" {
		return &clipNames
	}
	return &hfNames
}

// is reports whether the file was saved from a class whose name contains part.
func (c *hfConfig) is(part string) bool {
	return slices.ContainsFunc(c.Architectures, func(a string) bool { return strings.Contains(a, part) })
}

var hfActivations = map[string]arch.Activation{
	"gelu": arch.GELUErf, "gelu_new": arch.GELUTanh, "gelu_fast": arch.GELUTanh,
	"gelu_pytorch_tanh": arch.GELUTanh, "quick_gelu": arch.GELUQuick,
}

func (c *hfConfig) spec(w *weights, o Options) (*spec, error) {
	family := c.family()
	s := &spec{
		Config: arch.Config{
			Family: family, Source: "hf", Width: c.Hidden, Depth: c.Layers, Heads: c.Heads, MLP: c.Intermediate,
			Patch: int(c.Patch), Channels: c.Channels, Class: true, PosPrefix: true,
			FinalNorm: true, QKVBias: c.QKVBias, Eps: float32(c.Eps), Pooling: arch.PoolClass,
		},
	}
	var ok bool
	if s.Act, ok = hfActivations[c.Act]; !ok {
		return nil, fmt.Errorf("hidden_act %.60q is not supported, expected gelu, gelu_new, gelu_fast, gelu_pytorch_tanh or quick_gelu", c.Act)
	}
	if c.HeadDim != 0 && c.Heads > 0 && c.HeadDim != c.Hidden/c.Heads {
		return nil, fmt.Errorf("head_dim %d with hidden_size %d and %d heads is not supported", c.HeadDim, c.Hidden, c.Heads)
	}
	switch family {
	case "deit":
		s.Dist = true
	case "dinov2":
		if err := c.dinov2(s); err != nil {
			return nil, err
		}
	case "clip":
		c.clip(s, w)
	}
	if c.ModelType == "ijepa" {
		s.Class, s.PosPrefix, s.Pooling = false, false, arch.PoolMean
	}
	c.head(s, w)
	if err := s.imageSide(int(c.Image), c.recipe, family == "dinov2", o); err != nil {
		return nil, err
	}
	var err error
	s.labels, err = c.labels(s.Classes)
	return s, err
}

func (c *hfConfig) dinov2(s *spec) error {
	s.LayerScale = true
	s.Registers = c.Registers
	s.antialias = c.ModelType == "dinov2_with_registers"
	if c.inferred {
		s.SwiGLU = c.SwiGLU
		return nil
	}
	if !(c.MLPRatio > 0 && c.MLPRatio <= 64) || c.Hidden > arch.MaxWidth {
		return fmt.Errorf("mlp_ratio %g, expected a ratio above 0 and at most 64", c.MLPRatio)
	}
	s.MLP = int(float64(c.Hidden) * c.MLPRatio)
	if c.SwiGLU { // two thirds, rounded up to a multiple of 8 (transformers, Dinov2SwiGLUFFN)
		s.SwiGLU = true
		s.MLP = (int(float64(s.MLP)*2/3) + 7) / 8 * 8
	}
	return nil
}

func (c *hfConfig) clip(s *spec, w *weights) {
	s.PreNorm, s.FinalNorm, s.PoolNorm, s.QKVBias = true, false, true, true
	if c.is("ForImageClassification") { // logits come from the mean of the patch tokens, without a norm
		s.Pooling, s.PoolNorm, s.unusedNorm = arch.PoolMean, false, true
		return
	}
	if s.Projected = w.dim("project.weight", 0); s.Projected == 0 && (c.ModelType == "clip" || c.is("WithProjection")) {
		s.Projected = c.Projection
	}
}

// head determines which classifier the file has.
func (c *hfConfig) head(s *spec, w *weights) {
	expected := c.is("ForImageClassification")
	if !expected && !w.hasModule("head") && !w.hasModule("head_dist") {
		return
	}
	s.Classes = max(w.dim("head.weight", 0), w.dim("head.bias", 0), 1)
	switch {
	case c.is("WithTeacher") || w.hasModule("head_dist"):
		s.Pooling, s.headDist = arch.PoolClassDist, true
	case s.Family == "dinov2":
		s.Pooling = arch.PoolClassMean
	}
}

// labels returns the names in id2label in order, or nil if there are no classes or the names are the
// placeholders LABEL_n.
func (c *hfConfig) labels(classes int) ([]string, error) {
	if classes == 0 || len(c.ID2Label) == 0 {
		return nil, nil
	}
	labels := make([]string, len(c.ID2Label))
	named := false
	for i := range labels {
		name, ok := c.ID2Label[strconv.Itoa(i)]
		if !ok {
			return nil, fmt.Errorf("id2label has %d names but none for class %d", len(labels), i)
		}
		labels[i] = name
		named = named || name != "LABEL_"+strconv.Itoa(i)
	}
	if !named {
		return nil, nil
	}
	if len(labels) != classes {
		return nil, fmt.Errorf("id2label has %d names, expected %d as the classifier has", len(labels), classes)
	}
	return labels, nil
}

// imageSide chooses the side of the input and adapts the recipe to it. A model that interpolates its position
// embeddings in every forward pass (DINOv2) takes the image size of its preprocessor. For any other model, a
// preprocessor with another image size than the model's is an error, as it is in the model's own library,
// unless the user has chosen a size.
func (s *spec) imageSide(own int, source imagingSource, flexible bool, o Options) error {
	s.Image, s.native = own, own
	r := source.recipe
	switch {
	case o.Image != 0:
		s.Image = o.Image
	case o.Prepare.Size != 0:
		s.Image = o.Prepare.Size
	case !source.given || source.loose || r.Size == 0 || r.Size == own:
	case flexible && s.Patch > 0 && r.Size >= s.Patch:
		s.Image = r.Size / s.Patch * s.Patch // pixels that do not fill a patch are cut off
		if s.Image != r.Size {
			return fmt.Errorf("the processor makes images of %d pixels, which is no multiple of the patch side %d", r.Size, s.Patch)
		}
	default:
		return fmt.Errorf("the processor makes images of %d pixels, but the model takes %d: say which size it shall be", r.Size, own)
	}
	if r.Size == 0 {
		r.Size = s.Image
	}
	// the crop margin is a fraction of the size
	if source.timm != nil && (source.loose || !source.given) && r.Size != s.Image {
		cfg := *source.timm
		cfg.InputSize = []int{s.Channels, s.Image, s.Image}
		var err error
		if r, err = cfg.Recipe(); err != nil {
			return err
		}
	}
	s.recipe, s.recipeNote = processor.Scale(r, s.Image), source.note
	if err := o.Prepare.Apply(&s.recipe); err != nil {
		return err
	}
	if source.none {
		return s.undecided(o)
	}
	if !o.Prepare.Empty() {
		s.recipeNote = ""
	}
	return s.recipe.Validate()
}

// undecided is imageSide if neither a file nor a name gives the preprocessing: the user must then give all of
// it.
func (s *spec) undecided(o Options) error {
	if o.Prepare.Mean != "" && o.Prepare.Std != "" && o.Prepare.Crop != "" && o.Prepare.Interpolation != "" {
		return s.recipe.Validate()
	}
	if !o.Prepare.Empty() && o.Prepare != (processor.Override{Size: o.Prepare.Size}) {
		return fmt.Errorf("%w: all of it must be given", ErrNoRecipe)
	}
	s.recipe, s.recipeNote = imaging.Recipe{Size: s.Image}, ErrNoRecipe.Error()
	return nil
}
