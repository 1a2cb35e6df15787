// Command exchange writes adapters in the formats of LoRA-ViT and PEFT for the small bases of
// testdata/golden, with the logits or features that they give here, for tools/golden/check_adapters.py to
// load into the real packages:
//
//	go run ./tools/exchange DIR
//	python tools/golden/check_adapters.py all DIR
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

const (
	goldenRoot = "testdata/golden"
	images     = 2
	classes    = 3
)

// target is one base, and what is made for it.
type target struct {
	base    string
	loravit bool
	head    bool
	names   []adapterfile.Names
	bare    bool
}

var (
	hf      = []adapterfile.Names{adapterfile.NamesHF5, adapterfile.NamesHF4}
	hf5     = hf[:1]
	timm    = []adapterfile.Names{adapterfile.NamesTimm}
	targets = []target{
		{"hf_vit", false, true, hf, false},
		{"deit", false, true, hf, false},
		{"deit_teacher", false, true, hf, false},
		{"dinov2_head", false, true, hf, false},
		{"dinov2_reg", false, false, hf, true}, // SwiGLU
		{"dino", false, false, hf, true},
		{"clip_vision", false, false, hf, false},
		{"clip_vision_bare", false, false, hf5, true},
		{"timm_vit", true, true, timm, false},
		{"timm_vit_meanpool", true, true, timm, false},
		{"timm_deit_distilled", false, true, timm, false},
		{"timm_dinov2_reg", false, false, timm, false}, // packed SwiGLU
		{"timm_clip", false, true, timm, false},
		{"siglip", false, false, hf5, true},
		{"siglip_class", false, true, hf5, false},
		{"beit", false, true, hf5, false},
		{"beit_shared", false, true, hf5, false},
		{"data2vec", false, true, hf5, false},
		{"dinov3", false, false, hf5, true},
		{"dinov3_gated", false, false, hf5, true},
		{"timm_siglip", false, true, timm, false},
		{"timm_dinov3_plus", false, false, timm, false},
		{"timm_eva02_base", false, true, timm, false},
		{"timm_eva02_clip", false, false, timm, false},
		{"timm_eva02_small", false, true, timm, false},
		{"timm_beit", false, true, timm, false},
		{"timm_dinov3", false, true, timm, false},
	}
)

// configs are the adapters of each base.
var configs = map[string]lora.Config{
	"qv":     {Rank: 4, Alpha: 8},
	"wide":   {Kinds: []vit.Kind{vit.Q, vit.K, vit.V, vit.Proj, vit.FC1, vit.FC2}, Rank: 4, PerKind: map[vit.Kind]int{vit.Proj: 3, vit.FC1: 5}},
	"rs":     {Rank: 4, Alpha: 6, RSLoRA: true},
	"subset": {Rank: 4, Alpha: 8, Blocks: []int{1}},
	"mlp":    {Kinds: []vit.Kind{vit.Proj, vit.FC1, vit.FC2}, Rank: 4, Alpha: 8},
}

// bypassed are bases of timm beside whose qkv PEFT's matrices do nothing.
var bypassed = []string{"timm_eva02_small", "timm_beit", "timm_dinov3"}

// check is one comparison to make; check_adapters.py reads a list of them.
type check struct {
	Kind    string `json:"kind"` // peft or loravit
	Adapter string `json:"adapter"`
	Base    string `json:"base"`
	Expect  string `json:"expect"`
	Names   string `json:"names,omitempty"`
	Alpha   int    `json:"alpha,omitempty"`
	Blocks  []int  `json:"blocks,omitempty"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./tools/exchange DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "exchange:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	var checks []check
	for _, t := range targets {
		m, err := vit.Open(filepath.Join(goldenRoot, t.base), vit.Options{})
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(configs)) {
			if slices.Contains(bypassed, t.base) && name != "mlp" {
				continue
			}
			list, err := t.write(filepath.Join(dir, t.base+"-"+name), m, configs[name])
			if err != nil {
				return fmt.Errorf("%s, %s: %w", t.base, name, err)
			}
			checks = append(checks, list...)
		}
	}
	text, err := json.MarshalIndent(checks, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "checks.json"), append(text, '\n'), 0o644)
}

// write makes one adapter in all formats that can express it.
func (t *target) write(dir string, m *vit.Model, cfg lora.Config) (checks []check, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := t.adapter(m, cfg)
	if err != nil {
		return nil, err
	}
	expect := filepath.Join(dir, "expect.safetensors")
	if err := t.expect(expect, m, f.Adapter); err != nil {
		return nil, err
	}
	base := filepath.Join(goldenRoot, t.base)
	for _, names := range t.names {
		path := filepath.Join(dir, string(names))
		if err := f.WritePEFT(path, adapterfile.PEFTOptions{Names: names, Base: &m.Config, Bare: t.bare}); err != nil {
			return nil, err
		}
		checks = append(checks, check{Kind: "peft", Adapter: path, Base: base, Expect: expect, Names: string(names)})
	}
	if !t.loravit || len(cfg.Kinds) > 0 || cfg.RSLoRA {
		return checks, nil
	}
	path := filepath.Join(dir, "loravit.safetensors")
	alpha, err := f.WriteLoRAViT(path, safetensors.F32)
	return append(checks, check{Kind: "loravit", Adapter: path, Base: base, Expect: expect, Alpha: alpha, Blocks: cfg.Blocks}), err
}

// adapter returns one with random A, B and head. LoRA-ViT loses the head's bias, so it is zero there.
func (t *target) adapter(m *vit.Model, cfg lora.Config) (*adapterfile.File, error) {
	n := 0
	meta := adapterfile.Metadata{Base: adapterfile.NewBase(&m.Config, "", "", ""), Method: lora.MeLo}
	if t.head {
		n = classes
		meta.Task, meta.Labels = adapterfile.Multiclass, adapterfile.Labels("a", "b", "c")
	}
	a, err := lora.New(&m.Config, cfg, n, 1)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(2, 3))
	for _, d := range a.Deltas {
		for i := range d.B {
			d.B[i] = float32(rng.NormFloat64()) * 0.2
		}
	}
	if a.Head != nil && t.loravit {
		clear(a.Head.Bias)
	}
	return &adapterfile.File{Adapter: a, Meta: meta}, nil
}

// expect writes the input and what the adapter makes of it.
func (t *target) expect(path string, m *vit.Model, a *lora.Adapter) error {
	input := make([]float32, images*3*m.Image*m.Image)
	for i := range images {
		n := len(input) / images
		adapterfile.SelfTestInput(input[i*n:(i+1)*n], 1, i)
	}
	name, y := "features", m.NewEngine(images).Features(input, images, lora.Segment{Adapter: a.Resident(m.Precision), Images: images})
	if a.Head != nil {
		logits := make([]float32, images*classes)
		a.Head.Logits(logits, y)
		name, y = "logits", logits
	}
	out, err := safetensors.FromFloat32s(name, safetensors.F32, []int{images, len(y) / images}, y)
	if err != nil {
		return err
	}
	in, err := safetensors.FromFloat32s("input", safetensors.F32, []int{images, 3, m.Image, m.Image}, input)
	if err != nil {
		return err
	}
	return safetensors.WriteFile(path, 0o644, []safetensors.TensorData{in, out}, nil)
}
