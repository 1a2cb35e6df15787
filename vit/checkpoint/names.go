package checkpoint

import (
	"strconv"
	"strings"

	"melo.example/melo/vit/arch"
)

// Tensors are looked up under one set of canonical names, whatever library wrote the file:
//
//	cls_token dist_token reg_token pos_embed  patch_embed.{weight,bias}
//	norm_pre norm fc_norm .{weight,bias}      head head_dist .{weight,bias}   project.weight
//	blocks.N. norm1 norm2 qkv q k v proj fc1 gate up fc2 .{weight,bias}       blocks.N. ls1 ls2
//
// A naming maps the names of a family to these. Loading fails on a name that it neither maps nor ignores.
type naming struct {
	source   string            // "hf" or "timm", as in Config.Source
	prefixes []string          // prefixes of the backbone inside a larger model; any one is removed
	blocks   []string          // what precedes a block's number
	top      map[string]string // outside blocks: parameters, or modules with weight and bias
	block    map[string]string // inside a block, likewise
	ignored  []ignoreRule
	unplaced bool // a file may lack a position embedding
}

// ignoreRule matches tensors that a file may hold but the forward pass does not need. reason says why.
type ignoreRule struct{ prefix, reason string }

// canonical returns the canonical name of a file's tensor. If the tensor is ignored it returns "" and the
// reason. If the naming does not know it, both results are empty.
func (s *naming) canonical(name string) (canon, ignored string) {
	short := name
	for _, p := range s.prefixes {
		if rest, ok := strings.CutPrefix(name, p); ok {
			short = rest
			break
		}
	}
	for _, p := range s.blocks {
		rest, ok := strings.CutPrefix(short, p)
		if !ok {
			continue
		}
		number, inside, ok := strings.Cut(rest, ".")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 0 || n >= arch.MaxDepth || strconv.Itoa(n) != number {
			continue
		}
		if c := lookUp(s.block, inside); c != "" {
			return "blocks." + number + "." + c, ""
		}
	}
	if c := lookUp(s.top, short); c != "" {
		return c, ""
	}
	for _, rule := range s.ignored {
		if strings.HasPrefix(name, rule.prefix) || strings.HasPrefix(short, rule.prefix) {
			return "", rule.reason
		}
	}
	if strings.HasSuffix(name, ".position_ids") || strings.HasSuffix(name, ".num_batches_tracked") {
		return "", "a counter, not a weight"
	}
	return "", ""
}

// lookUp finds a parameter by its full name, or by its module's name plus ".weight" or ".bias".
func lookUp(names map[string]string, name string) string {
	if c, ok := names[name]; ok {
		return c
	}
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return ""
	}
	module, last := name[:dot], name[dot:]
	if c, ok := names[module]; ok && (last == ".weight" || last == ".bias") {
		return c + last
	}
	return ""
}

// timmNames maps the names of timm's VisionTransformer and VisionTransformerDistilled.
var timmNames = naming{
	source:   "timm",
	prefixes: []string{"timm_model.", "module.", "model."},
	blocks:   []string{"blocks."},
	top: map[string]string{
		"cls_token": "cls_token", "dist_token": "dist_token", "reg_token": "reg_token", "pos_embed": "pos_embed",
		"patch_embed.proj": "patch_embed", "norm_pre": "norm_pre", "norm": "norm", "fc_norm": "fc_norm",
		"head": "head", "head_dist": "head_dist", "visual_projection": "project",
	},
	block: map[string]string{
		"norm1": "norm1", "attn.qkv": "qkv", "attn.proj": "proj", "ls1.gamma": "ls1", "gamma_1": "ls1",
		"norm2": "norm2", "mlp.fc1": "fc1", "mlp.fc2": "fc2", "ls2.gamma": "ls2", "gamma_2": "ls2",
	},
	ignored: []ignoreRule{
		{"pre_logits.", "a pre-training layer that timm drops, too"},
	},
}

// hfNames maps the names of Hugging Face's ViT, DeiT, ViT-MAE, DINOv2 and DINOv2 with registers, in both forms:
// those in files ("encoder.layer.N.attention.attention.query"), and those of modules in transformers 5
// ("layers.N.attention.q_proj").
var hfNames = naming{
	source:   "hf",
	prefixes: []string{"vit.", "deit.", "dinov2.", "dinov2_with_registers.", "ijepa."},
	blocks:   []string{"encoder.layer.", "encoder.layers.", "layers.", "layer."},
	top: map[string]string{
		"embeddings.cls_token": "cls_token", "embeddings.distillation_token": "dist_token",
		"embeddings.register_tokens": "reg_token", "embeddings.position_embeddings": "pos_embed",
		"embeddings.patch_embeddings.projection": "patch_embed", "layernorm": "norm",
		"classifier": "head", "cls_classifier": "head", "distillation_classifier": "head_dist",
	},
	block: map[string]string{
		"layernorm_before": "norm1", "norm1": "norm1", "layernorm_after": "norm2", "norm2": "norm2",
		"attention.attention.query": "q", "attention.attention.key": "k", "attention.attention.value": "v",
		"attention.q_proj": "q", "attention.k_proj": "k", "attention.v_proj": "v",
		"attention.output.dense": "proj", "attention.o_proj": "proj",
		"intermediate.dense": "fc1", "output.dense": "fc2", "mlp.fc1": "fc1", "mlp.fc2": "fc2",
		"mlp.weights_in": "fc1", "mlp.weights_out": "fc2",
		"mlp.gate_proj": "gate", "mlp.up_proj": "up", "mlp.down_proj": "fc2",
		"layer_scale1.lambda1": "ls1", "layer_scale2.lambda1": "ls2",
	},
	ignored: []ignoreRule{
		{"pooler.", "the pooler is not part of the features that classifiers use"},
		{"embeddings.mask_token", "masking is for pre-training"},
		{"decoder.", "the decoder is for pre-training"},
	},
}

// clipNames maps the names of Hugging Face's CLIP: a vision tower alone, or inside the whole model.
var clipNames = naming{
	source:   "hf",
	prefixes: []string{"vision_model."},
	blocks:   []string{"encoder.layers."},
	top: map[string]string{
		"embeddings.class_embedding": "cls_token", "embeddings.position_embedding.weight": "pos_embed",
		"embeddings.patch_embedding": "patch_embed", "pre_layrnorm": "norm_pre", "pre_layernorm": "norm_pre",
		"post_layernorm": "fc_norm", "visual_projection": "project", "classifier": "head",
	},
	block: map[string]string{
		"layer_norm1": "norm1", "layer_norm2": "norm2", "mlp.fc1": "fc1", "mlp.fc2": "fc2",
		"self_attn.q_proj": "q", "self_attn.k_proj": "k", "self_attn.v_proj": "v", "self_attn.out_proj": "proj",
	},
	ignored: []ignoreRule{
		{"text_model.", "the text tower is not needed for images"},
		{"text_projection.", "the text tower is not needed for images"},
		{"logit_scale", "the text tower is not needed for images"},
	},
}
