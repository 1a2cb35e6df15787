package vit

import (
	"fmt"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/safetensors"
)

// Folder returns the content of a folder with m, a plain ViT with a class token and without a head, under
// Hugging Face's names. The tensors are of dtype (F32, F16 or BF16).
func Folder(m *Model, dtype safetensors.DType) (*Exported, error) {
	if err := renamable(m, &spec{}); err != nil {
		return nil, fmt.Errorf("vit: write: %w", err)
	}
	if m.Head != nil || !m.QKVBias || m.PatchEmbed.Bias == nil {
		return nil, fmt.Errorf("vit: write: expected a base with all biases and without a head")
	}
	w := folderWriter{x: &Exported{From: m.Source, Source: "hf", Files: map[string][]byte{}}, dtype: dtype}
	d, p := m.Width, m.Patch
	w.add("cls_token", m.ClassToken, 1, 1, d)
	w.add("pos_embed", m.Pos, 1, m.Tokens(), d)
	w.add("patch_embed.weight", unpacked(m.PatchEmbed.W), d, m.Channels, p, p)
	w.add("patch_embed.bias", m.PatchEmbed.Bias, d)
	for i := range m.Blocks {
		w.block(i, &m.Blocks[i], d)
	}
	w.norm("norm", m.Final)
	if w.err == nil {
		w.err = w.x.hfFiles(m)
	}
	return w.x, w.err
}

// folderWriter gathers tensors under Hugging Face's names.
type folderWriter struct {
	x     *Exported
	dtype safetensors.DType
	err   error // the first
}

func (w *folderWriter) add(canon string, values []float32, shape ...int) {
	t, err := safetensors.FromFloat32s(hfNames.name(canon), w.dtype, shape, values)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.x.Tensors = append(w.x.Tensors, t)
}

func (w *folderWriter) norm(name string, n Norm) {
	w.add(name+".weight", n.Gain, len(n.Gain))
	w.add(name+".bias", n.Bias, len(n.Bias))
}

func (w *folderWriter) linear(name string, weight, bias []float32) {
	w.add(name+".weight", weight, len(bias), len(weight)/len(bias))
	w.add(name+".bias", bias, len(bias))
}

func (w *folderWriter) block(i int, b *Block, d int) {
	name := func(s string) string { return blockName(i, s) }
	w.norm(name("norm1"), b.Norm1)
	w.linear(name("q"), unpacked(b.Q.W), b.Q.Bias)
	kv := unpacked(b.KV.W)
	w.linear(name("k"), kv[:d*d], b.KV.Bias[:d])
	w.linear(name("v"), kv[d*d:], b.KV.Bias[d:])
	w.linear(name("proj"), unpacked(b.Proj.W), b.Proj.Bias)
	w.norm(name("norm2"), b.Norm2)
	w.linear(name("fc1"), unpacked(b.FC1.W), b.FC1.Bias)
	w.linear(name("fc2"), unpacked(b.FC2.W), b.FC2.Bias)
}

func unpacked(p *kernel.Packed) []float32 {
	w := make([]float32, p.N*p.K)
	p.Unpack(w)
	return w
}
