package checkpoint

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"melo.example/melo/imaging"
)

// fields is a JSON object that is written with sorted keys.
type fields = map[string]any

func (x *Exported) add(name string, doc fields) error {
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	x.Files[name] = append(text, '\n')
	return nil
}

// hfFiles writes the configuration of transformers' ViT.
func (x *Exported) hfFiles(m *Description) error {
	doc := fields{
		"architectures": []string{"ViTModel"}, "model_type": "vit",
		"hidden_size": m.Width, "num_hidden_layers": m.Depth, "num_attention_heads": m.Heads, "intermediate_size": m.MLP,
		"hidden_act": "gelu", "layer_norm_eps": m.Eps, "image_size": m.Image, "patch_size": m.Patch, "num_channels": m.Channels,
		"qkv_bias": m.QKVBias, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.02,
	}
	if m.Classes > 0 {
		names, numbers := map[string]string{}, map[string]int{}
		for i := range m.Classes {
			name := "LABEL_" + strconv.Itoa(i)
			if m.Labels != nil {
				name = m.Labels[i]
			}
			names[strconv.Itoa(i)], numbers[name] = name, i
		}
		doc["architectures"], doc["id2label"], doc["label2id"] = []string{"ViTForImageClassification"}, names, numbers
	}
	if err := x.add(configName, doc); err != nil {
		return err
	}
	r := &m.Recipe
	processor := fields{
		"image_processor_type": "ViTImageProcessor", "do_resize": true, "size": fields{"height": r.Size, "width": r.Size},
		"do_rescale": true, "rescale_factor": 1.0 / 255, "do_normalize": true, "image_mean": r.Mean, "image_std": r.Std,
	}
	for number, name := range pillowFilters {
		if name == r.Interpolation {
			processor["resample"] = number
		}
	}
	if r.Resize > 0 { // ViT's own processor squashes; this one keeps the aspect and crops
		processor["image_processor_type"], processor["size"] = "BitImageProcessor", fields{"shortest_edge": r.Resize}
		processor["do_center_crop"], processor["crop_size"] = true, fields{"height": r.Size, "width": r.Size}
	}
	return x.add(processorName, processor)
}

// timmFiles writes timm's configuration: an architecture that has the right kind of blocks, and arguments for
// its shape.
func (x *Exported) timmFiles(m *Description) error {
	ratio := float64(m.MLP) / float64(m.Width)
	if int(float64(m.Width)*ratio) != m.MLP {
		return fmt.Errorf("MLP width %d is not a ratio of width %d that timm could compute it from", m.MLP, m.Width)
	}
	if m.Eps != 1e-6 {
		x.Notes = append(x.Notes, fmt.Sprintf("timm's LayerNorm has epsilon 1e-06, this base %g: outputs differ by rounding", m.Eps))
	}
	cfg := fields{
		"input_size": []int{m.Channels, m.Recipe.Size, m.Recipe.Size}, "interpolation": m.Recipe.Interpolation, "mean": m.Recipe.Mean, "std": m.Recipe.Std,
		"crop_pct": 1.0, "crop_mode": "squash", "fixed_input_size": true, "num_classes": m.Classes, "first_conv": "patch_embed.proj", "classifier": "head",
	}
	if m.Recipe.Resize > 0 {
		pct, err := cropShare(&m.Recipe)
		if err != nil {
			return err
		}
		cfg["crop_pct"], cfg["crop_mode"] = pct, "center"
	}
	doc := fields{
		"architecture": "vit_base_patch16_224", "num_classes": m.Classes, "num_features": m.Width, "global_pool": "token",
		"model_args": fields{
			"img_size": m.Image, "patch_size": m.Patch, "embed_dim": m.Width, "depth": m.Depth, "num_heads": m.Heads, "mlp_ratio": ratio,
			"qkv_bias": m.QKVBias, "num_classes": m.Classes, "global_pool": "token",
		},
		"pretrained_cfg": cfg,
	}
	if m.Labels != nil {
		doc["label_names"] = m.Labels
	}
	return x.add(configName, doc)
}

// cropShare is timm's crop_pct for a recipe: floor(size / crop_pct) is the shorter side before the crop.
func cropShare(r *imaging.Recipe) (float64, error) {
	pct := float64(r.Size) / float64(r.Resize)
	for _, p := range []float64{pct, math.Nextafter(pct, 0)} {
		if p <= 1 && int(float64(r.Size)/p) == r.Resize {
			return p, nil
		}
	}
	return 0, fmt.Errorf("recipe: side %d from %d cannot be said as timm's crop_pct", r.Size, r.Resize)
}
