package checkpoint

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/imaging"
	"melo.example/melo/internal/golden"
	"melo.example/melo/safetensors"
)

func TestRecipes(t *testing.T) {
	for kind, want := range map[string]imaging.Recipe{
		"hf_vit":      {Size: 16, Interpolation: imaging.Bilinear, Mean: half, Std: half},
		"deit":        {Size: 16, Resize: 18, Interpolation: imaging.Bicubic, Mean: meanImageNet, Std: stdImageNet},
		"dinov2":      {Size: 28, Resize: 32, Interpolation: imaging.Bicubic, Mean: meanImageNet, Std: stdImageNet},
		"clip_vision": {Size: 32, Resize: 32, Interpolation: imaging.Bicubic, Mean: meanCLIP, Std: stdCLIP},
		"timm_vit":    {Size: 16, Resize: 17, Interpolation: imaging.Bicubic, Mean: half, Std: half},
		"timm_clip":   {Size: 16, Resize: 16, Interpolation: imaging.Bicubic, Mean: meanCLIP, Std: stdCLIP},
	} {
		m, err := readBase(t, kind).load(t, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if m.Recipe != want {
			t.Errorf("%s: %+v, expected %+v", kind, m.Recipe, want)
		}
	}
}

func TestProcessor(t *testing.T) {
	imagenet := imaging.Recipe{Size: 224, Resize: 256, Interpolation: imaging.Bicubic, Mean: meanImageNet, Std: stdImageNet}
	plain := imaging.Recipe{Size: 384, Interpolation: imaging.Bilinear, Mean: half, Std: half}
	for _, c := range []struct {
		family, text string
		want         imaging.Recipe
		err          string
	}{
		{"vit", `{"size":384,"resample":2}`, plain, ""},
		{"vit", `{"size":{"height":384,"width":384},"rescale_factor":0.00392156862745098}`, plain, ""},
		{"dinov2", `{"size":{"shortest_edge":256},"crop_size":{"height":224,"width":224},"do_center_crop":true}`, imagenet, ""},
		{"deit", `{"size":{"height":256,"width":256},"crop_size":224,"do_center_crop":true}`, imagenet, ""},
		{"clip", `{"size":336,"crop_size":336,"resample":3}`,
			imaging.Recipe{Size: 336, Resize: 336, Interpolation: imaging.Bicubic, Mean: meanCLIP, Std: stdCLIP}, ""},
		{"vit", `{"size":384,"do_normalize":false,"image_mean":[1,1,1]}`,
			imaging.Recipe{Size: 384, Interpolation: imaging.Bilinear, Std: [3]float32{1, 1, 1}}, ""},
		{"vit", `{"size":{"height":384,"width":224}}`, plain, "size"},
		{"vit", `{"size":{"longest_edge":384}}`, plain, "size"},
		{"vit", `{"size":384,"crop_size":"x","do_center_crop":true}`, plain, "crop_size"},
		{"vit", `{"resample":0}`, plain, "resample 0"},
		{"vit", `{"do_rescale":false}`, plain, "rescale"},
		{"vit", `{"image_std":[1]}`, plain, "image_std"},
		{"vit", `[`, plain, "JSON"},
	} {
		got, err := hfRecipe(c.family, nil, []byte(c.text))
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: error %v should say %q", c.text, err, c.err)
		case c.err == "" && (err != nil || got.recipe != c.want || !got.given):
			t.Errorf("%s: %+v, %v", c.text, got, err)
		}
	}
}

// DINOv2 interpolates in every forward pass, so its input is what its processor makes; a ViT's is not.
func TestProcessorSize(t *testing.T) {
	processor := []byte(`{"size":{"shortest_edge":32},"crop_size":24}`)
	for kind, want := range map[string]int{"dinov2_head": 24, "hf_vit": 16} {
		b := readBase(t, kind)
		text, _ := json.Marshal(b.config)
		cfg, err := parseConfig(text, processor)
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
		if err != nil || s.Image != want || s.recipe.Size != want {
			t.Errorf("%s: image %d, recipe %+v, %v", kind, s.Image, s.recipe, err)
		}
	}
}
