package checkpoint

import (
	"fmt"
	"strings"

	"melo.example/melo/safetensors"
	"melo.example/melo/vit/arch"
)

// sayable returns an error if timm's arguments (timmArgs) cannot express the whole network.
func sayable(c *arch.Config) error {
	said := arch.Config{Family: c.Family, Source: c.Source, Width: c.Width, Depth: c.Depth, Heads: c.Heads, MLP: c.MLP, Image: c.Image,
		Patch: c.Patch, Channels: c.Channels, Class: c.Class, Registers: c.Registers, PosPrefix: c.PosPrefix, PreNorm: c.PreNorm,
		FinalNorm: c.FinalNorm, PoolNorm: c.PoolNorm, QKVBias: c.QKVBias, SwiGLU: c.SwiGLU, LayerScale: c.LayerScale, Act: c.Act, Eps: c.Eps,
		Pooling: c.Pooling, Classes: c.Classes, Projected: c.Projected}
	if said != *c {
		return fmt.Errorf("a %s base cannot be expressed as a VisionTransformer of timm", c.Family)
	}
	return nil
}

// TimmFolder returns the content of a folder with any network that timm's VisionTransformer can express, under
// timm's names. read returns the values of a parameter of m. Tensors are written as dtype (F32, F16 or BF16).
func TimmFolder(m *Description, read func(name string) []float32, dtype safetensors.DType) (*Exported, error) {
	if err := sayable(&m.Config); err != nil {
		return nil, fmt.Errorf("vit: write: %w", err)
	}
	d := *m
	// timm's position embedding has no rows for registers, so that of the class token is added to the token
	fold := m.Registers > 0 && m.PosPrefix
	if fold {
		d.PosPrefix = false
	}
	if d.Projected > 0 {
		d.Projected = 0
	}
	x := &Exported{From: m.Source, Source: "timm", Files: map[string][]byte{}}
	if m.Projected > 0 {
		x.Notes = append(x.Notes, "the map to the space that images share with texts is left out")
	}
	if err := x.timmFiles(&d); err != nil {
		return nil, err
	}
	for _, p := range m.Params() {
		if p.Name == "project.weight" {
			continue
		}
		name, shape, values := timmTensor(p, read)
		if name == "" {
			continue // written as part of another tensor
		}
		if fold && p.Name == "cls_token" {
			alone := values
			values = func() []float32 {
				v, pos := alone(), read("pos_embed")
				for i := range v {
					v[i] += pos[i]
				}
				return v
			}
		}
		if fold && p.Name == "pos_embed" {
			all := values
			values, shape = func() []float32 { return all()[m.Width:] }, []int{1, shape[1] - 1, m.Width}
		}
		x.Tensors = append(x.Tensors, made(name, dtype, shape, values))
	}
	return x, nil
}

// timmTensor returns a parameter as timm stores it: q, k and v are one tensor.
func timmTensor(p arch.Param, read func(name string) []float32) (name string, shape []int, values func() []float32) {
	block, module, last, inBlock := arch.SplitName(p.Name)
	values = func() []float32 { return read(p.Name) }
	switch {
	case inBlock && (module == "k" || module == "v"):
		return "", nil, nil
	case inBlock && module == "q":
		return arch.BlockName(block, "attn.qkv"+last), append([]int{3 * p.Shape[0]}, p.Shape[1:]...), func() (all []float32) {
			for _, part := range []string{"q", "k", "v"} {
				all = append(all, read(arch.BlockName(block, part+last))...)
			}
			return all
		}
	case inBlock && (module == "ls1" || module == "ls2"):
		return p.Name + ".gamma", p.Shape, values
	case p.Name == "cls_token":
		return p.Name, append([]int{1, 1}, p.Shape...), values
	case strings.HasSuffix(p.Name, "_token") || p.Name == "pos_embed":
		return p.Name, append([]int{1}, p.Shape...), values
	}
	return timmNames.name(p.Name), p.Shape, values
}

// HFFolder is Folder for a plain ViT with or without a head, and for DINOv2.
func HFFolder(m *Description, read func(name string) []float32, dtype safetensors.DType) (*Exported, error) {
	if m.Family == "dinov2" {
		return dinov2Folder(m, read, dtype)
	}
	if err := renamable(m); err != nil {
		return nil, fmt.Errorf("vit: write: %w", err)
	}
	prefix := ""
	if m.Classes > 0 {
		prefix = "vit."
	}
	return folder(m, prefix, read, dtype)
}
