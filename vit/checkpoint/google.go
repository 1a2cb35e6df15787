package checkpoint

import (
	"fmt"
	"os"
	"strings"

	"melo.example/melo/internal/npz"
	"melo.example/melo/safetensors"
)

// openGoogle reads the .npz files in which Google published ViT: arrays named after Flax modules. It copies
// them, because their layout must be changed for any use.
func openGoogle(path string) (*safetensors.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	a, err := npz.Open(path, npz.Limits{Memory: 4*info.Size() + 64<<20, Disk: 1}) // weights hardly compress
	if err != nil {
		return nil, err
	}
	defer a.Close()
	var tensors []safetensors.Tensor
	for _, name := range a.Names() {
		x, err := a.Array(name)
		if err != nil && strings.Contains(err.Error(), "a single number") {
			continue // a step counter
		}
		if err != nil {
			return nil, err
		}
		t, err := fromArray(x)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, name, err)
		}
		tensors = append(tensors, t)
	}
	if len(tensors) == 0 {
		return nil, fmt.Errorf("%s: an archive without arrays", path)
	}
	return safetensors.FromViews(path, nil, tensors, func() error { return nil }), nil
}

func fromArray(x *npz.Array) (t safetensors.Tensor, err error) {
	t = safetensors.Tensor{Name: x.Name, Shape: x.Shape}
	t.DType = map[string]safetensors.DType{"float16": safetensors.F16, "float32": safetensors.F32, "float64": safetensors.F64,
		"int32": safetensors.I32, "int64": safetensors.I64, "uint8": safetensors.U8}[x.Type.String()]
	if t.DType == "" || x.Type.Big {
		return t, fmt.Errorf("numbers of type %v are not supported", x.Type)
	}
	n := x.RowBytes()
	t.Data = make([]byte, 0, n)
	row := make([]byte, n)
	for i := range x.Rows() { // grow as data arrives: the shape in the file is not trusted
		if err := x.Row(i, row); err != nil {
			return t, err
		}
		t.Data = append(t.Data, row...)
	}
	return t, nil
}

// googleLayout is the layout of Google's ViT: matrices are [in, out], and heads are a separate dimension.
var googleLayout = layout{
	name: "Google's ViT (Flax)", marker: "Transformer/encoderblock_0/", from: googleTensors,
}

// googleTensors renames Flax's arrays to timm's names.
func googleTensors(in *naturalTensors) error {
	rename := map[string]string{"cls": "cls_token", "Transformer/posembed_input/pos_embedding": "pos_embed", "pos_embedding": "pos_embed"}
	for _, name := range in.names() {
		t := in.get(name)
		switch block, inside := googleBlock(name); {
		case rename[name] != "":
			in.put(rename[name], t)
		case name == "embedding/kernel" && len(t.Shape) == 4: // [h, w, in, out]
			in.putPermuted("patch_embed.proj.weight", t, 3, 2, 0, 1)
		case name == "embedding/bias":
			in.put("patch_embed.proj.bias", t)
		case strings.HasPrefix(name, "Transformer/encoder_norm/"):
			in.put("norm."+flaxNorm(name), t)
		case name == "head/kernel" && len(t.Shape) == 2:
			in.putPermuted("head.weight", t, 1, 0)
		case name == "head/bias":
			in.put("head.bias", t)
		case strings.HasPrefix(name, "pre_logits/"):
			return fmt.Errorf("has a layer pre_logits before its head, which is not supported: drop it and the head for features")
		case block != "":
			if err := googleInside(in, "blocks."+block+".", inside, t); err != nil {
				return err
			}
		default:
			in.leave(name)
		}
	}
	for i := range in.depth {
		if err := in.fuse(fmt.Sprintf("blocks.%d.", i)); err != nil {
			return err
		}
	}
	return nil
}

func googleBlock(name string) (block, inside string) {
	rest, ok := strings.CutPrefix(name, "Transformer/encoderblock_")
	if !ok {
		return "", ""
	}
	block, inside, _ = strings.Cut(rest, "/")
	return block, inside
}

func flaxNorm(name string) string {
	if strings.HasSuffix(name, "/scale") {
		return "weight"
	}
	return "bias"
}

// googleInside takes one array of a block. Depending on the version of Flax, modules are numbered per kind or
// over all kinds.
func googleInside(in *naturalTensors, p, inside string, t safetensors.Tensor) error {
	module, rest, _ := strings.Cut(inside, "/")
	switch kind, number, _ := strings.Cut(module, "_"); {
	case kind == "LayerNorm" && number == "0":
		in.put(p+"norm1."+flaxNorm(inside), t)
	case kind == "LayerNorm":
		in.put(p+"norm2."+flaxNorm(inside), t)
	case kind == "MultiHeadDotProductAttention":
		part, leaf, _ := strings.Cut(rest, "/")
		return googleAttention(in, p, part, leaf, t)
	case kind == "MlpBlock":
		dense, leaf, _ := strings.Cut(rest, "/")
		to := p + "mlp." + map[string]string{"Dense_0": "fc1", "Dense_1": "fc2"}[dense]
		if leaf == "kernel" && len(t.Shape) == 2 {
			in.putPermuted(to+".weight", t, 1, 0)
		} else {
			in.put(to+".bias", t)
		}
	default:
		return fmt.Errorf("array %.80q is not one of a ViT", inside)
	}
	return nil
}

func googleAttention(in *naturalTensors, p, part, leaf string, t safetensors.Tensor) error {
	flat := t
	switch {
	case part == "out" && leaf == "kernel" && len(t.Shape) == 3: // [heads, width of one, out]
		flat.Shape = []int{t.Shape[0] * t.Shape[1], t.Shape[2]}
		in.heads = t.Shape[0]
		in.putPermuted(p+"attn.proj.weight", flat, 1, 0)
	case part == "out":
		in.put(p+"attn.proj.bias", t)
	case leaf == "kernel" && len(t.Shape) == 3: // [in, heads, width of one]
		flat.Shape = []int{t.Shape[0], t.Shape[1] * t.Shape[2]}
		in.putPermuted(p+"attn."+part+".weight", flat, 1, 0)
	case leaf == "bias" && len(t.Shape) == 2:
		flat.Shape = []int{t.Shape[0] * t.Shape[1]}
		in.put(p+"attn."+part+".bias", flat)
	default:
		return fmt.Errorf("array of attention %.40q with shape %d", part+"/"+leaf, t.Shape)
	}
	return nil
}
