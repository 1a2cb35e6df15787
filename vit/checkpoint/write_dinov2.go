package checkpoint

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"melo.example/melo/safetensors"
	"melo.example/melo/vit/arch"
)

// dinov2Names maps modules of a DINOv2, with or without registers, to the names in transformers' files.
var dinov2Names = map[string]string{
	"patch_embed": "embeddings.patch_embeddings.projection", "cls_token": "embeddings.cls_token", "reg_token": "embeddings.register_tokens",
	"pos_embed": "embeddings.position_embeddings", "norm": "layernorm", "head": "classifier",
	"norm1": "norm1", "q": "attention.attention.query", "k": "attention.attention.key", "v": "attention.attention.value", "proj": "attention.output.dense",
	"ls1": "layer_scale1.lambda1", "norm2": "norm2", "fc1": "mlp.fc1", "fc2": "mlp.fc2", "ls2": "layer_scale2.lambda1",
}

// dinov2Folder returns the content of a folder with a DINOv2 under transformers' names. Its head reads the
// class token and the mean of the patches.
func dinov2Folder(m *Description, read func(name string) []float32, dtype safetensors.DType) (*Exported, error) {
	doc, err := dinov2Config(m)
	if err != nil {
		return nil, err
	}
	model := doc["model_type"].(string)
	x := &Exported{From: m.Source, Source: "hf", Files: map[string][]byte{}}
	prefix := ""
	if m.Classes > 0 {
		prefix = model + "."
	}
	add := func(name string, shape []int, values []float32) error {
		t, err := safetensors.FromFloat32s(name, dtype, shape, values)
		x.Tensors = append(x.Tensors, t)
		return err
	}
	for _, p := range m.Params() {
		shape := p.Shape
		switch p.Name {
		case "cls_token":
			shape = []int{1, 1, m.Width}
		case "reg_token", "pos_embed":
			shape = append([]int{1}, shape...)
		}
		if err := add(dinov2Name(p.Name, prefix, m.SwiGLU), shape, read(p.Name)); err != nil {
			return nil, fmt.Errorf("vit: write: %w", err)
		}
	}
	// used in pre-training only
	if err := add(prefix+"embeddings.mask_token", []int{1, m.Width}, make([]float32, m.Width)); err != nil {
		return nil, fmt.Errorf("vit: write: %w", err)
	}
	if err := x.add(configName, doc); err != nil {
		return nil, err
	}
	return x, x.addProcessor(m)
}

func dinov2Name(canon, prefix string, swiglu bool) string {
	block, module, last, inBlock := arch.SplitName(canon)
	name := dinov2Names[module]
	switch {
	case module == "head":
		return name + last
	case inBlock:
		if swiglu {
			name = strings.NewReplacer("fc1", "weights_in", "fc2", "weights_out").Replace(name)
		}
		return prefix + "encoder.layer." + strconv.Itoa(block) + "." + name + last
	}
	return prefix + name + last
}

// dinov2Config returns the configuration, or an error if it cannot express the whole network.
func dinov2Config(m *Description) (fields, error) {
	c := &m.Config
	said := arch.Config{Family: "dinov2", Source: c.Source, Width: c.Width, Depth: c.Depth, Heads: c.Heads, MLP: c.MLP, Image: c.Image, Patch: c.Patch, Channels: c.Channels,
		Class: true, Registers: c.Registers, PosPrefix: true, FinalNorm: true, QKVBias: c.QKVBias, SwiGLU: c.SwiGLU, LayerScale: true, Act: c.Act, Eps: c.Eps,
		Pooling: arch.PoolClass, Classes: c.Classes}
	if c.Classes > 0 {
		said.Pooling = arch.PoolClassMean
	}
	ratio := mlpRatio(c)
	if said != *c || c.Act != arch.GELUErf && !c.SwiGLU || ratio == 0 {
		return nil, fmt.Errorf("vit: write: a base of this kind (%s) cannot be said in the words of transformers' DINOv2", c.Family)
	}
	doc := fields{"architectures": []string{"Dinov2Model"}, "model_type": "dinov2", "hidden_size": c.Width, "num_hidden_layers": c.Depth, "num_attention_heads": c.Heads,
		"mlp_ratio": ratio, "use_swiglu_ffn": c.SwiGLU, "hidden_act": "gelu", "layer_norm_eps": c.Eps, "image_size": c.Image, "patch_size": c.Patch,
		"num_channels": c.Channels, "qkv_bias": c.QKVBias, "layerscale_value": json.RawMessage("1.0")}
	class := "Dinov2"
	if c.Registers > 0 {
		class, doc["model_type"], doc["num_register_tokens"] = "Dinov2WithRegisters", "dinov2_with_registers", c.Registers
	}
	doc["architectures"] = []string{class + "Model"}
	if c.Classes > 0 {
		doc["architectures"] = []string{class + "ForImageClassification"}
		maps.Copy(doc, hfLabels(m))
	}
	return doc, nil
}

// mlpRatio returns the integer from which transformers computes the width of the MLP, or 0 if there is none.
func mlpRatio(c *arch.Config) int {
	const most = 64
	for ratio := 1; ratio <= most; ratio++ {
		width := c.Width * ratio
		if c.SwiGLU {
			width = (width*2/3 + 7) / 8 * 8
		}
		if width == c.MLP {
			return ratio
		}
	}
	return 0
}
