package checkpoint

import (
	"fmt"
	"strings"

	"melo.example/melo/safetensors"
)

// Folder returns the content of a folder with a plain ViT with a class token and without a head, under Hugging
// Face's names. read returns the values of a parameter of m. Tensors are written as dtype (F32, F16 or BF16).
func Folder(m *Description, read func(name string) []float32, dtype safetensors.DType) (*Exported, error) {
	if err := renamable(m); err != nil {
		return nil, fmt.Errorf("vit: write: %w", err)
	}
	if m.Classes > 0 || !m.QKVBias {
		return nil, fmt.Errorf("vit: write: expected a base with all biases and without a head")
	}
	return folder(m, "", read, dtype)
}

// folder writes a plain ViT under transformers' names, with a prefix before backbone names.
func folder(m *Description, prefix string, read func(name string) []float32, dtype safetensors.DType) (*Exported, error) {
	x := &Exported{From: m.Source, Source: "hf", Files: map[string][]byte{}}
	for _, p := range m.Params() {
		shape := p.Shape
		if strings.HasSuffix(p.Name, "_token") || p.Name == "pos_embed" {
			shape = append([]int{1}, shape...)
		}
		name := hfNames.name(p.Name)
		if !strings.HasPrefix(p.Name, "head") {
			name = prefix + name
		}
		if p.Name == "cls_token" {
			shape = append([]int{1}, shape...)
		}
		x.Tensors = append(x.Tensors, made(name, dtype, shape, func() []float32 { return read(p.Name) }))
	}
	return x, x.hfFiles(m)
}

// made returns a tensor whose values are computed when it is written.
func made(name string, dtype safetensors.DType, shape []int, values func() []float32) safetensors.TensorData {
	return safetensors.TensorData{Name: name, DType: dtype, Shape: shape, Fill: func(use func([]byte) error) error {
		t, err := safetensors.FromFloat32s(name, dtype, shape, values())
		if err != nil {
			return err
		}
		return use(t.Data)
	}}
}
