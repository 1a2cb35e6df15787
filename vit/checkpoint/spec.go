package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"melo.example/melo/imaging"
	"melo.example/melo/vit/arch"
)

// spec describes a base for loading: the network, and what its files are expected to hold.
type spec struct {
	arch.Config
	fusedQKV   bool // q, k and v are stored in one matrix, as by timm
	headDist   bool // the distillation token has its own head
	unusedPool bool // attention pooling is present but not used for logits (SiglipForImageClassification)
	unusedNorm bool // a final norm is present but not used for logits (CLIPForImageClassification)
	antialias  bool // position embeddings are resized with antialiasing
	native     int  // image side in the configuration
	labels     []string
	recipe     imaging.Recipe
	recipeNote string
}

// fileSpec is a parsed config.json. It selects the naming, and becomes a spec once tensor shapes are known.
type fileSpec interface {
	naming() *naming
	spec(w *weights, o Options) (*spec, error)
}

// maxConfig limits the size in bytes of the JSON files beside a model. The largest are label tables of some
// hundred KB.
const maxConfig = 16 << 20

// Files holds the contents of the description files beside the weights of a base. A missing file is nil.
type Files struct {
	Config       []byte // config.json
	Preprocessor []byte // preprocessor_config.json
	Processor    []byte // processor_config.json
	OpenCLIP     []byte // open_clip_config.json
}

// parseConfig selects the parser for a configuration and calls it.
func parseConfig(f Files) (fileSpec, error) {
	var probe struct {
		Architecture string `json:"architecture"`
		ModelType    string `json:"model_type"`
	}
	if err := json.Unmarshal(f.Config, &probe); err != nil {
		return nil, jsonError(err)
	}
	switch {
	case probe.Architecture != "":
		if kind, ok := evaKindOf(probe.Architecture); ok {
			return parseEva(f, kind)
		}
		return parseTimm(f.Config)
	case hfFamilies[probe.ModelType] != nil:
		return hfFamilies[probe.ModelType](probe.ModelType, f)
	case probe.ModelType != "":
		return parseHF(probe.ModelType, f)
	}
	return nil, fmt.Errorf("neither model_type (Hugging Face) nor architecture (timm) is given; %s", supported)
}

// supported is the end of every message that refuses a model.
const supported = "supported are model_type vit, deit, vit_mae, vit_msn, ijepa, dinov2, dinov2_with_registers, dinov3_vit, clip, " +
	"clip_vision_model, siglip, siglip_vision_model, beit, data2vec-vision and timm's plain vit_*, deit_*, deit3_*, flexivit_*, " +
	"eva_*, eva02_*, beit_* and beitv2_*"

func jsonError(err error) error { return fmt.Errorf("JSON: %w", err) }

// side is an edge length, given as a number or as a pair of equal numbers.
type side int

// UnmarshalJSON accepts n or [n, n].
func (s *side) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	var pair []int
	if json.Unmarshal(text, &pair) == nil {
		if len(pair) != 2 || pair[0] != pair[1] {
			return fmt.Errorf("side %d, expected a square", pair)
		}
		*s = side(pair[0])
		return nil
	}
	var n int
	if err := json.Unmarshal(text, &n); err != nil {
		return fmt.Errorf("side %.20s, expected a number or a pair of equal numbers", text)
	}
	*s = side(n)
	return nil
}

// headsFor returns the number of heads of the published ViT of a width: width/64, except where the family chose
// 16 (SO400M, H, g and G: Zhai et al., arXiv 2106.04560, table 2).
func headsFor(width int) (int, error) {
	switch width {
	case 1152, 1280, 1408, 1664:
		return 16, nil
	}
	if width < 64 || width%64 != 0 {
		return 0, fmt.Errorf("the number of heads is not given and cannot be told from width %d", width)
	}
	return width / 64, nil
}

// publishedHeads is headsFor for a file without a configuration. It accepts the widths of published models
// only.
func publishedHeads(width int) (int, error) {
	switch width {
	case 192, 384, 512, 768, 1024, 1152, 1280, 1408, 1536, 1664:
		return headsFor(width)
	}
	return 0, fmt.Errorf("%w from width %d", ErrNoHeads, width)
}

// ErrNoHeads reports that a file does not give the number of attention heads.
var ErrNoHeads = errors.New("the number of attention heads cannot be told")

// decode decodes JSON whose keys have been checked.
func decode(text []byte, dst any) error {
	if err := json.Unmarshal(text, dst); err != nil {
		return jsonError(err)
	}
	return nil
}

func jsonText(doc fields) ([]byte, error) { return json.Marshal(doc) }

// fromShapes sets what the tensors' shapes determine.
func (s *spec) fromShapes(w *weights) {
	s.Width = w.dim("patch_embed.weight", 0)
	s.Channels = w.dim("patch_embed.weight", 1)
	s.Patch = w.dim("patch_embed.weight", 3)
	s.Depth = w.depth()
	s.MLP = w.blockDim("fc2.weight", -1)
	s.SwiGLU = w.inBlocks("gate") || w.inBlocks("up") || s.MLP > 0 && w.blockDim("fc1.weight", 0) == 2*s.MLP
	s.LayerScale = w.inBlocks("ls1") || w.inBlocks("ls2")
	s.PreNorm = w.hasModule("norm_pre")
	s.Class, s.Dist = w.has("cls_token"), w.has("dist_token")
	s.Registers = w.dim("reg_token", -2)
	if w.hasModule("head") {
		s.Classes = max(w.dim("head.weight", 0), w.dim("head.bias", 0))
	}
	s.headDist = w.hasModule("head_dist")
	s.Projected = w.dim("project.weight", 0)
}

// gridOf returns the side of a square of n cells, or 0.
func gridOf(n int) int {
	if n <= 0 {
		return 0
	}
	if g := int(math.Sqrt(float64(n))); g*g == n {
		return g
	}
	return 0
}
