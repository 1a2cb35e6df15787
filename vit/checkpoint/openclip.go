package checkpoint

import (
	"encoding/json"
	"fmt"
	"strings"

	"melo.example/melo/imaging/processor"
	"melo.example/melo/vit/arch"
)

// openCLIPConfigName is the configuration in open_clip's layout of a folder on a hub.
const openCLIPConfigName = "open_clip_config.json"

// openCLIPVision is vision_cfg, the description of an image tower: open_clip's own, or one of timm's.
type openCLIPVision struct {
	Layers    int      `json:"layers"`
	Width     int      `json:"width"`
	HeadWidth int      `json:"head_width"`
	MLPRatio  float64  `json:"mlp_ratio"`
	Patch     side     `json:"patch_size"`
	Image     side     `json:"image_size"`
	LSInit    *float64 `json:"ls_init_value"`
	NoLNPre   bool     `json:"no_ln_pre"`
	Pool      string   `json:"pool_type"`
	FinalLN   bool     `json:"final_ln_after_pool"`
	TimmName  string   `json:"timm_model_name"`
	TimmPool  *string  `json:"timm_pool"`
	TimmProj  *string  `json:"timm_proj"`
}

// openCLIPInert lists keys that do not affect features.
var openCLIPInert = strings.Fields("patch_dropout timm_model_pretrained timm_drop timm_drop_path output_tokens attn_pooler_queries attn_pooler_heads")

// openCLIP reads open_clip_config.json.
func (in *naturalTensors) openCLIP(src *source) (*timmConfig, error) {
	named := func(err error) error { return fmt.Errorf("%s: %w", openCLIPConfigName, err) }
	var doc struct {
		Model struct {
			Quick  bool            `json:"quick_gelu"`
			Vision json.RawMessage `json:"vision_cfg"`
		} `json:"model_cfg"`
		Prepare json.RawMessage `json:"preprocess_cfg"`
	}
	v := openCLIPVision{Layers: 12, Width: 768, HeadWidth: 64, MLPRatio: 4, Patch: 16, Image: 224, Pool: "tok"}
	if err := json.Unmarshal(src.files.OpenCLIP, &doc); err != nil {
		return nil, named(jsonError(err))
	}
	if doc.Model.Vision == nil {
		return nil, named(fmt.Errorf("has no model_cfg.vision_cfg"))
	}
	if err := checkKeys(doc.Model.Vision, openCLIPInert, v); err != nil {
		return nil, named(fmt.Errorf("vision_cfg: %w", err))
	}
	if err := json.Unmarshal(doc.Model.Vision, &v); err != nil {
		return nil, named(jsonError(err))
	}
	recipe, err := processor.OpenCLIP(doc.Prepare, int(v.Image))
	if err != nil {
		return nil, named(fmt.Errorf("preprocess_cfg: %w", err))
	}
	c := &timmConfig{recipe: imagingSource{recipe: recipe, given: true}, inferred: true}
	c.Args.ImgSize = v.Image
	if v.TimmName != "" {
		return c, c.openCLIPTimm(&v)
	}
	if v.Pool != "tok" || v.HeadWidth < 1 {
		return nil, named(fmt.Errorf("pool_type %.40q with head_width %d is not supported, expected tok", v.Pool, v.HeadWidth))
	}
	c.arch = timmArch{act: arch.GELUErf, clip: true}
	if doc.Model.Quick {
		c.arch.act = arch.GELUQuick
	}
	preNorm := !v.NoLNPre
	c.Args.PreNorm, c.Args.PatchSize, c.Args.NumHeads = &preNorm, v.Patch, v.Width/v.HeadWidth
	return c, nil
}

// openCLIPTimm describes a tower of timm.
func (c *timmConfig) openCLIPTimm(v *openCLIPVision) (err error) {
	if v.TimmProj != nil && *v.TimmProj != "linear" && *v.TimmProj != "" && *v.TimmProj != "none" {
		return fmt.Errorf("%s: timm_proj %.40q is not supported, expected linear", openCLIPConfigName, *v.TimmProj)
	}
	pool := "avg"
	if v.TimmPool != nil {
		pool = *v.TimmPool
	}
	c.Architecture = v.TimmName
	if c.arch, err = parseTimmArch(v.TimmName); err != nil {
		return err
	}
	if pool != "" {
		c.GlobalPool = &pool
	}
	return nil
}
