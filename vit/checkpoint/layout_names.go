package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"melo.example/melo/imaging/processor"
	"melo.example/melo/safetensors"
)

// timmLayout is the layout of timm and of programs with nearly the same names: Meta's DINO, DINOv2, MAE (and
// RETFound), MSN and I-JEPA, including their parts outside the encoder.
var timmLayout = layout{name: "timm's names", marker: "patch_embed.proj.weight", from: timmTensors}

// beside lists parts in these programs' files that pre-training needs and features do not.
var beside = []string{"mask_token", "masked_embed", "decoder_", "decoder.", "head.mlp.", "head.last_layer", "dino_head.", "ibot_head.", "fc.", "predictor.", "prototypes", "rope_"}

func timmTensors(in *naturalTensors) error {
	decoder := false
	for _, name := range in.names() {
		t := in.get(name)
		switch {
		case hasAnyPrefix(name, beside) && !strings.HasPrefix(name, "fc_norm"):
			in.leave(name)
			decoder = decoder || strings.HasPrefix(name, "decoder_")
		case name == "register_tokens":
			in.put("reg_token", t)
		default:
			in.put(metaName(name), t)
		}
	}
	if decoder {
		in.prepare = &timmHint{processor.TimmConfig{Interpolation: "bicubic", CropPct: share(224.0 / 256)},
			"the file has MAE's decoder: images are prepared as MAE's own evaluation does"}
	}
	if in.has("register_tokens") {
		return in.foldPosition()
	}
	return nil
}

func share(v float64) *float64 { return &v }

func hasAnyPrefix(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// metaName translates a name of Meta's to timm's: blocks in chunks, and the packed SwiGLU.
func metaName(name string) string {
	name = strings.Replace(strings.Replace(name, ".mlp.w12.", ".mlp.fc1.", 1), ".mlp.w3.", ".mlp.fc2.", 1)
	parts := strings.SplitN(name, ".", 4)
	if len(parts) == 4 && parts[0] == "blocks" && isNumber(parts[1]) && isNumber(parts[2]) { // blocks.CHUNK.N
		return "blocks." + parts[2] + "." + parts[3]
	}
	return name
}

func isNumber(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != "" && len(s) < 6
}

// foldPosition adds the class token's position embedding to the token, as timm does for models with registers:
// Meta's position embedding has one row more than there are patches, and none for registers.
func (in *naturalTensors) foldPosition() error {
	pos, token := in.out["pos_embed"], in.out["cls_token"]
	rows := 0
	if n := len(pos.Shape); n >= 2 {
		rows = pos.Shape[n-2]
	}
	if gridOf(rows) > 0 || gridOf(rows-1) == 0 {
		return nil
	}
	p, err := pos.Float32s(nil)
	if err != nil {
		return err
	}
	c, err := token.Float32s(nil)
	if err != nil {
		return err
	}
	d := len(c)
	if rows*d != len(p) {
		return fmt.Errorf("pos_embed has shape %d beside a class token of %d numbers", pos.Shape, d)
	}
	for i := range c {
		c[i] += p[i]
	}
	in.out["cls_token"] = float32Tensor("cls_token", []int{1, 1, d}, c)
	in.out["pos_embed"] = float32Tensor("pos_embed", []int{1, rows - 1, d}, p[d:])
	in.doc["no_embed_class"] = true
	return nil
}

func float32Tensor(name string, shape []int, values []float32) safetensors.Tensor {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return safetensors.Tensor{Name: name, DType: safetensors.F32, Shape: shape, Data: data}
}

// clipLayout is the layout of OpenAI's CLIP, and of open_clip for its own towers.
var clipLayout = layout{name: "OpenAI's CLIP", marker: "transformer.resblocks.0.attn.in_proj_weight", needs: "conv1.weight", from: clipTensors}

func clipTensors(in *naturalTensors) error {
	top := map[string]string{"class_embedding": "cls_token", "positional_embedding": "pos_embed", "conv1.weight": "patch_embed.proj.weight",
		"ln_pre.weight": "norm_pre.weight", "ln_pre.bias": "norm_pre.bias", "ln_post.weight": "norm.weight", "ln_post.bias": "norm.bias"}
	for _, name := range in.names() {
		t := in.get(name)
		rest, inBlock := strings.CutPrefix(name, "transformer.resblocks.")
		switch number, inside, _ := strings.Cut(rest, "."); {
		case top[name] != "":
			in.put(top[name], t)
		case name == "proj" && len(t.Shape) == 2:
			in.putPermuted("visual_projection.weight", t, 1, 0)
		case inBlock:
			in.put("blocks."+number+"."+resblockName(inside), t)
		default:
			in.put(name, t) // unknown; reported as such later
		}
	}
	in.arch = "vit_base_patch16_clip_224"
	in.doc["pre_norm"] = true
	return nil
}

// resblockName translates the name of a part of open_clip's block to timm's.
func resblockName(inside string) string {
	stem, last := inside, ""
	if dot := strings.LastIndexByte(inside, '.'); dot >= 0 {
		stem, last = inside[:dot], inside[dot:]
	}
	if to, ok := map[string]string{"ln_1": "norm1", "ln_2": "norm2", "attn.out_proj": "attn.proj", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}[stem]; ok {
		return to + last
	}
	switch inside {
	case "attn.in_proj_weight":
		return "attn.qkv.weight"
	case "attn.in_proj_bias":
		return "attn.qkv.bias"
	}
	return inside
}

// torchvisionLayout is the layout of torchvision.models.VisionTransformer.
var torchvisionLayout = layout{name: "torchvision's ViT", marker: "conv_proj.weight", from: torchvisionTensors}

func torchvisionTensors(in *naturalTensors) error {
	top := map[string]string{"class_token": "cls_token", "encoder.pos_embedding": "pos_embed", "conv_proj.weight": "patch_embed.proj.weight",
		"conv_proj.bias": "patch_embed.proj.bias", "encoder.ln.weight": "norm.weight", "encoder.ln.bias": "norm.bias",
		"heads.head.weight": "head.weight", "heads.head.bias": "head.bias"}
	block := map[string]string{"ln_1": "norm1", "ln_2": "norm2", "self_attention.out_proj": "attn.proj", "mlp.0": "mlp.fc1", "mlp.3": "mlp.fc2",
		"mlp.linear_1": "mlp.fc1", "mlp.linear_2": "mlp.fc2"}
	for _, name := range in.names() {
		t := in.get(name)
		rest, inBlock := strings.CutPrefix(name, "encoder.layers.encoder_layer_")
		number, inside, _ := strings.Cut(rest, ".")
		stem, last := inside, ""
		if dot := strings.LastIndexByte(inside, '.'); dot >= 0 {
			stem, last = inside[:dot], inside[dot:]
		}
		switch {
		case top[name] != "":
			in.put(top[name], t)
		case inBlock && strings.HasPrefix(inside, "self_attention.in_proj_"):
			in.put("blocks."+number+".attn.qkv."+strings.TrimPrefix(inside, "self_attention.in_proj_"), t)
		case inBlock && block[stem] != "":
			in.put("blocks."+number+"."+block[stem]+last, t)
		default:
			in.put(name, t)
		}
	}
	return nil
}

// monaiLayout is the layout of MONAI's two-dimensional ViT.
var monaiLayout = layout{name: "MONAI's ViT", marker: "patch_embedding.position_embeddings", from: monaiTensors}

func monaiTensors(in *naturalTensors) error {
	top := map[string]string{"patch_embedding.position_embeddings": "pos_embed", "patch_embedding.patch_embeddings.weight": "patch_embed.proj.weight",
		"patch_embedding.patch_embeddings.bias": "patch_embed.proj.bias", "patch_embedding.cls_token": "cls_token",
		"classification_head.weight": "head.weight", "classification_head.bias": "head.bias"}
	for _, name := range in.names() {
		t := in.get(name)
		switch {
		case top[name] != "" && name == "patch_embedding.patch_embeddings.weight" && len(t.Shape) != 4:
			return fmt.Errorf("%s has shape %d: only models of images in two dimensions are supported", name, t.Shape)
		case top[name] != "":
			in.put(top[name], t)
		case strings.HasPrefix(name, "patch_embedding.patch_embeddings.1."):
			if err := monaiPerceptron(in, name, t); err != nil {
				return err
			}
		case strings.HasPrefix(name, "classification_head.0."):
			in.leave(name) // its logits go through tanh
			in.note = "the classifier is left out: its logits go through tanh"
		case strings.Contains(name, ".norm_cross_attn.") || strings.Contains(name, ".cross_attn."):
			in.leave(name)
		default:
			name = strings.NewReplacer(".attn.out_proj.", ".attn.proj.", ".mlp.linear1.", ".mlp.fc1.", ".mlp.linear2.", ".mlp.fc2.").Replace(name)
			in.put(name, t)
		}
	}
	in.arch = "vit_base_patch16_clip_224" // it has the same epsilon
	in.doc["pre_norm"], in.doc["no_embed_class"] = false, true
	if !in.has("cls_token") {
		in.doc["class_token"], in.doc["global_pool"] = false, "avg"
		in.note = "there is no class token: features are the mean of the patches"
	}
	return nil
}

// monaiPerceptron reads a patch embedding that is a linear map of pixels in the order row, column, channel.
func monaiPerceptron(in *naturalTensors, name string, t safetensors.Tensor) error {
	if strings.HasSuffix(name, ".bias") {
		in.put("patch_embed.proj.bias", t)
		return nil
	}
	const channels = 3
	if len(t.Shape) != 2 || gridOf(t.Shape[1]/channels) == 0 || t.Shape[1]%channels != 0 {
		return fmt.Errorf("%s has shape %d, expected [d, 3 x patch x patch]", name, t.Shape)
	}
	p := gridOf(t.Shape[1] / channels)
	t.Shape = []int{t.Shape[0], p, p, channels}
	in.putPermuted("patch_embed.proj.weight", t, 0, 3, 1, 2)
	return nil
}

// clipPrepare returns the preprocessing of OpenAI's CLIP.
func clipPrepare() processor.TimmConfig {
	return processor.TimmConfig{Interpolation: "bicubic", CropPct: share(1), Mean: []float64{0.48145466, 0.4578275, 0.40821073},
		Std: []float64{0.26862954, 0.26130258, 0.27577711}}
}
