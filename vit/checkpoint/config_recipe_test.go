package checkpoint

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/imaging"
	"melo.example/melo/imaging/processor"
	"melo.example/melo/internal/golden"
	"melo.example/melo/safetensors"
)

// Where no file says how images are prepared, the family's usual recipe holds, with a note; or timm's for the name.
func TestRecipes(t *testing.T) {
	tv, floor := imaging.ResampleTorchvision, imaging.CutFloor
	for kind, want := range map[string]imaging.Recipe{
		"hf_vit":      {Size: 16, Interpolation: imaging.Bilinear, Resampling: tv, Mean: half, Std: half},
		"deit":        {Size: 16, Resize: 18, Fit: imaging.FitSquash, Cut: floor, Interpolation: imaging.Bicubic, Resampling: tv, Mean: meanImageNet, Std: stdImageNet},
		"dinov2":      {Size: 28, Resize: 32, Cut: floor, Interpolation: imaging.Bicubic, Resampling: tv, Mean: meanImageNet, Std: stdImageNet},
		"clip_vision": {Size: 32, Resize: 32, Cut: floor, Interpolation: imaging.Bicubic, Resampling: tv, Mean: meanCLIP, Std: stdCLIP},
		"timm_vit":    {Size: 16, Resize: 17, Interpolation: imaging.Bicubic, Mean: half, Std: half},
		"timm_clip":   {Size: 16, Resize: 16, Interpolation: imaging.Bicubic, Mean: meanCLIP, Std: stdCLIP},
	} {
		m, err := readBase(t, kind).load(t, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if m.Recipe != want || (m.RecipeNote == "") != strings.HasPrefix(kind, "timm") {
			t.Errorf("%s: %+v (%s), expected %+v", kind, m.Recipe, m.RecipeNote, want)
		}
	}
}

// A name without a configuration means what timm means by it, or nothing.
func TestTimmNames(t *testing.T) {
	b := timmBase(5, "cls_token")
	b.config = map[string]any{"architecture": "vit_tiny_patch16_224", "num_classes": 0, "model_args": map[string]any{"img_size": 8, "num_heads": 1}}
	m := mustLoad(t, b, Options{})
	if !strings.Contains(m.RecipeNote, "vit_tiny_patch16_224") || m.Recipe.Size != 8 || m.Recipe.Mean != half {
		t.Errorf("%+v, %q", m.Recipe, m.RecipeNote)
	}
	b.config["architecture"] = "vit_wee_patch4" // of no model of timm
	m = mustLoad(t, b, Options{})
	if m.RecipeNote != ErrNoRecipe.Error() || m.Recipe != (imaging.Recipe{Size: 8}) {
		t.Errorf("%+v, %q", m.Recipe, m.RecipeNote)
	}
	all := processor.Override{Mean: "half", Std: "imagenet", Crop: "0.5", Interpolation: "bilinear"}
	m = mustLoad(t, b, Options{Prepare: all})
	want := imaging.Recipe{Size: 8, Resize: 16, Interpolation: imaging.Bilinear, Mean: half, Std: stdImageNet}
	if m.RecipeNote != "" || m.Recipe != want {
		t.Errorf("%+v, %q", m.Recipe, m.RecipeNote)
	}
	if _, err := b.load(t, Options{Prepare: processor.Override{Mean: "half"}}); !errors.Is(err, ErrNoRecipe) {
		t.Errorf("a part of what is needed: %v", err)
	}
}

func TestConfigKeys(t *testing.T) {
	for _, c := range []struct{ kind, where, key string }{
		{"hf_vit", "", "use_rotary"}, {"clip_vision", "", "norm_style"}, {"timm_vit", "", "rope"}, {"timm_vit", "pretrained_cfg", "gamma"},
	} {
		b := readBase(t, c.kind)
		config := b.config
		if c.where != "" {
			config = config[c.where].(map[string]any)
		}
		config[c.key] = "x"
		if _, err := b.load(t, Options{}); err == nil || !strings.Contains(err.Error(), c.key) {
			t.Errorf("%+v: %v", c, err)
		}
		config[c.key] = nil
		mustLoad(t, b, Options{})
	}
}

// DINOv2 interpolates in every forward pass, so its input is what its processor makes; a ViT's is not.
func TestProcessorSize(t *testing.T) {
	processor := []byte(`{"size":{"shortest_edge":32},"crop_size":24}`)
	for kind, want := range map[string]int{"dinov2_head": 24, "hf_vit": 0} {
		b := readBase(t, kind)
		text, _ := json.Marshal(b.config)
		cfg, err := parseConfig(Files{Config: text, Preprocessor: processor})
		if err != nil {
			t.Fatal(err)
		}
		f, err := safetensors.Open(filepath.Join(golden.Root(t), kind, weightsName))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		w, err := newWeights(f, cfg.naming())
		if err != nil {
			t.Fatal(err)
		}
		s, err := cfg.spec(w, Options{})
		if want == 0 {
			if err == nil || !strings.Contains(err.Error(), "32 pixels") {
				t.Errorf("%s: %v", kind, err)
			}
			continue
		}
		if err != nil || s.Image != want || s.recipe.Size != want {
			t.Errorf("%s: image %d, recipe %+v, %v", kind, s.Image, s.recipe, err)
		}
	}
}
