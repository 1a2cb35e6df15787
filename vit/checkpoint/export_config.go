package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	"melo.example/melo/imaging/processor"
	"melo.example/melo/vit/arch"
)

// fields is a JSON object. Its keys are written in sorted order.
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
		doc["architectures"] = []string{"ViTForImageClassification"}
		maps.Copy(doc, hfLabels(m))
	}
	if err := x.add(configName, doc); err != nil {
		return err
	}
	return x.addProcessor(m)
}

// hfLabels returns the label names of a head for config.json.
func hfLabels(m *Description) fields {
	names, numbers := map[string]string{}, map[string]int{}
	for i := range m.Classes {
		name := "LABEL_" + strconv.Itoa(i)
		if m.Labels != nil {
			name = m.Labels[i]
		}
		names[strconv.Itoa(i)], numbers[name] = name, i
	}
	doc := fields{"id2label": names, "label2id": numbers}
	if m.Problem != "" {
		doc["problem_type"] = m.Problem
	}
	return doc
}

// addProcessor writes the preprocessing.
func (x *Exported) addProcessor(m *Description) error {
	doc, err := processor.Describe(m.Recipe)
	if err != nil {
		return err
	}
	return x.add(processorName, doc)
}

// describeImages keeps the source's own preprocessing files if they are complete, and completes them otherwise.
func (x *Exported) describeImages(src *source, m *Description, prepared bool) error {
	if m.RecipeNote == "" && !prepared {
		for name, text := range map[string][]byte{processorName: src.files.Preprocessor, processor.ProcessorName: src.files.Processor} {
			if text != nil {
				x.Files[name] = text
			}
		}
		return nil
	}
	if m.Source == "hf" {
		return x.addProcessor(m)
	}
	cfg, note, err := processor.DescribeTimm(m.Recipe)
	if err != nil {
		return err
	}
	if note != "" {
		x.Notes = append(x.Notes, note)
	}
	var doc fields
	in := json.NewDecoder(bytes.NewReader(x.Files[configName]))
	in.UseNumber()
	if err := in.Decode(&doc); err != nil {
		return jsonError(err)
	}
	merged, _ := doc["pretrained_cfg"].(fields)
	if merged == nil {
		merged = fields{}
	}
	maps.Copy(merged, cfg)
	doc["pretrained_cfg"] = merged
	return x.add(configName, doc)
}

// timmFiles writes timm's configuration: an architecture with the right kind of blocks, and arguments for its
// shape.
func (x *Exported) timmFiles(m *Description) error {
	cfg, note, err := processor.DescribeTimm(m.Recipe)
	if err != nil {
		return err
	}
	if note != "" {
		x.Notes = append(x.Notes, note)
	}
	maps.Copy(cfg, fields{"fixed_input_size": true, "num_classes": m.Classes, "first_conv": "patch_embed.proj", "classifier": "head"})
	architecture, args, err := x.timmArgs(m)
	if err != nil {
		return err
	}
	doc := fields{
		"architecture": architecture, "num_classes": m.Classes, "num_features": m.Width, "global_pool": args["global_pool"],
		"model_args": args, "pretrained_cfg": cfg,
	}
	if m.Labels != nil {
		doc["label_names"] = m.Labels
	}
	return x.add(configName, doc)
}

// timmArgs returns the arguments of timm's VisionTransformer, and the architecture to which they are applied.
func (x *Exported) timmArgs(m *Description) (architecture string, args fields, err error) {
	architecture, up := "vit_base_patch16_224", m.MLP
	if m.SwiGLU {
		architecture, up = "vit_giant_patch14_dinov2", 2*m.MLP
	}
	switch {
	case m.Eps == 1e-6:
	case m.Eps == 1e-5 && !m.SwiGLU:
		architecture = "vit_base_patch16_clip_224" // its norms have this epsilon
	default:
		x.Notes = append(x.Notes, fmt.Sprintf("timm's LayerNorm has epsilon 1e-06, this base %g: outputs differ by rounding", m.Eps))
	}
	ratio := float64(up) / float64(m.Width)
	if int(float64(m.Width)*ratio) != up {
		return "", nil, fmt.Errorf("MLP width %d is not a ratio of width %d that timm could compute it from", up, m.Width)
	}
	args = fields{
		"img_size": m.Image, "patch_size": m.Patch, "embed_dim": m.Width, "depth": m.Depth, "num_heads": m.Heads, "mlp_ratio": ratio,
		"qkv_bias": m.QKVBias, "num_classes": m.Classes, "global_pool": "token",
	}
	if err := sayable(&m.Config); err != nil {
		return "", nil, err
	}
	switch {
	case m.Dist || m.Projected > 0 && m.Source != "timm":
		return "", nil, fmt.Errorf("a base of this kind cannot be expressed as a VisionTransformer of timm")
	case m.Pooling == arch.PoolMean:
		args["global_pool"] = "avg"
	case m.Pooling != arch.PoolClass:
		return "", nil, fmt.Errorf("the pooling of this base cannot be expressed as a VisionTransformer of timm")
	}
	for name, value := range map[string]struct {
		value any
		says  bool
	}{
		"class_token": {m.Class, !m.Class}, "reg_tokens": {m.Registers, m.Registers > 0}, "no_embed_class": {true, m.Class && !m.PosPrefix},
		"final_norm": {false, !m.FinalNorm && !m.PoolNorm},
		"pre_norm":   {m.PreNorm, m.PreNorm != (architecture == "vit_base_patch16_clip_224")}, "init_values": {1e-5, m.LayerScale},
		"fc_norm": {m.PoolNorm, m.PoolNorm != (m.Pooling == arch.PoolMean)},
		"act_layer": {map[arch.Activation]string{arch.GELUErf: "gelu", arch.GELUTanh: "gelu_tanh", arch.GELUQuick: "quick_gelu"}[m.Act],
			m.Act != arch.GELUErf && !m.SwiGLU},
	} {
		if value.says {
			args[name] = value.value
		}
	}
	return architecture, args, nil
}
