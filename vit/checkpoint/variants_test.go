package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/internal/golden"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/arch"
)

// add appends tensors of the given shape, each with values of its own.
func (b *base) add(shape []int, names ...string) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	for _, name := range names {
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(len(b.tensors)+1) + float32(i%1000)/1000
		}
		td, err := safetensors.FromFloat32s(name, safetensors.F32, shape, values)
		if err != nil {
			panic(err)
		}
		b.tensors = append(b.tensors, td)
	}
}

func (b *base) module(out, in int, name string) {
	b.add([]int{out, in}, name+".weight")
	b.add([]int{out}, name+".bias")
}

func (b *base) values(t *testing.T, name string) []float32 {
	t.Helper()
	for _, td := range b.tensors {
		if td.Name == name {
			v, _ := safetensors.Tensor{DType: td.DType, Shape: td.Shape, Data: td.Data}.Float32s(nil)
			return v
		}
	}
	t.Fatalf("no tensor %s", name)
	return nil
}

const (
	dim = 64 // one head, so that the number of heads can be told from the width
	mlp = 96
)

// timmBase is a one-block model with timm's names; pos has rows rows.
func timmBase(rows int, tokens ...string) *base {
	b := &base{config: map[string]any{"architecture": "vit_tiny_patch16_224", "num_classes": 0, "model_args": map[string]any{"num_heads": 1},
		"pretrained_cfg": map[string]any{"input_size": []int{3, 8, 8}}}}
	b.add([]int{dim, 3, 4, 4}, "patch_embed.proj.weight")
	b.add([]int{dim}, "patch_embed.proj.bias", "norm.weight", "norm.bias")
	b.add([]int{1, rows, dim}, "pos_embed")
	b.add([]int{1, 1, dim}, tokens...)
	p := "blocks.0."
	b.add([]int{dim}, p+"norm1.weight", p+"norm1.bias", p+"norm2.weight", p+"norm2.bias")
	b.module(3*dim, dim, p+"attn.qkv")
	b.module(dim, dim, p+"attn.proj")
	b.module(mlp, dim, p+"mlp.fc1")
	b.module(dim, mlp, p+"mlp.fc2")
	return b
}

func mustLoad(t *testing.T, b *base, o Options) *Checkpoint {
	t.Helper()
	m, err := b.load(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTimmVariants(t *testing.T) {
	t.Run("no_embed_class", func(t *testing.T) {
		b := timmBase(4, "cls_token")
		m := mustLoad(t, b, Options{})
		if m.PosPrefix || !m.Class || len(m.read(t, "pos_embed")) != 4*dim || m.Heads != 1 || m.Eps != 1e-6 {
			t.Errorf("%+v", m.Config)
		}
	})
	t.Run("registers with positions", func(t *testing.T) {
		b := timmBase(5, "reg_token")
		b.config["architecture"] = "vit_wee_patch16_reg1_gap_256"
		m := mustLoad(t, b, Options{})
		pos, reg := b.values(t, "pos_embed"), b.values(t, "reg_token")
		if m.Class || m.Registers != 1 || m.Pooling != arch.PoolMean || !slices.Equal(m.read(t, "pos_embed"), pos[dim:]) {
			t.Errorf("%+v", m.Config)
		}
		if m.read(t, "reg_token")[3] != reg[3]+pos[3] {
			t.Errorf("register %v, expected the sum of token and position, %v", m.read(t, "reg_token")[3], reg[3]+pos[3])
		}
	})
	t.Run("no bias of q, k, v", func(t *testing.T) {
		b := timmBase(5, "cls_token")
		b.tensors = slices.DeleteFunc(b.tensors, func(td safetensors.TensorData) bool { return td.Name == "blocks.0.attn.qkv.bias" })
		if m := mustLoad(t, b, Options{}); m.QKVBias {
			t.Errorf("%+v", m.Config)
		}
	})
	t.Run("resized", func(t *testing.T) {
		b := timmBase(10, "cls_token") // a 3 x 3 grid
		m := mustLoad(t, b, Options{Image: 20})
		pos := b.values(t, "pos_embed")
		want := append(slices.Clone(pos[:dim]), resizeGrid(pos[dim:], 3, 5, dim, true)...)
		if m.Image != 20 || m.Recipe.Size != 20 || !slices.Equal(m.read(t, "pos_embed"), want) {
			t.Errorf("image %d, recipe %+v", m.Image, m.Recipe)
		}
		if m := mustLoad(t, b, Options{}); m.Image != 8 || len(m.read(t, "pos_embed")) != 5*dim {
			t.Errorf("image %d, %d positions, expected those of input_size", m.Image, len(m.read(t, "pos_embed"))/dim)
		}
		if _, err := b.load(t, Options{Image: 21}); err == nil || !strings.Contains(err.Error(), "not a multiple") {
			t.Errorf("image side 21: %v", err)
		}
	})
	t.Run("names", func(t *testing.T) {
		for name, want := range map[string]timmArch{
			"vit_base_patch16_224.augreg_in21k":    {act: arch.GELUErf, image: 224},
			"vit_huge_patch14_clip_quickgelu_378":  {act: arch.GELUQuick, clip: true, image: 378},
			"deit_base_distilled_patch16_384":      {act: arch.GELUErf, distilled: true, image: 384},
			"vit_base_patch16_gap_224":             {act: arch.GELUErf, gap: true, heads: 16, image: 224},
			"vit_large_patch14_reg4_dinov2":        {act: arch.GELUErf, registers: 4},
			"vit_so400m_patch16_siglip_gap_256":    {act: arch.GELUTanh, gap: true, image: 256},
			"eva_large_patch14_336.in22k_ft_in22k": {act: arch.GELUErf, gap: true, image: 336},
		} {
			if got, err := parseTimmArch(name); err != nil || got != want {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
		for _, name := range []string{"", "vit", "beit_base", "vit_base_r50_s16_224", "vit_small_patch16_18x2_224", "eva_giant_patch14_224"} {
			if _, err := parseTimmArch(name); name != "vit" && err == nil {
				t.Errorf("%q accepted", name)
			}
		}
	})
}

// hfBase is a one-block model with the names that transformers 5 gives its modules.
func hfBase(modelType, prefix string) *base {
	b := &base{config: map[string]any{"model_type": modelType, "hidden_size": dim, "num_hidden_layers": 1,
		"num_attention_heads": 1, "intermediate_size": mlp, "image_size": 8, "patch_size": 4}}
	p := prefix + "embeddings."
	b.add([]int{1, 1, dim}, p+"cls_token")
	b.add([]int{1, 5, dim}, p+"position_embeddings")
	b.add([]int{dim, 3, 4, 4}, p+"patch_embeddings.projection.weight")
	b.add([]int{dim}, p+"patch_embeddings.projection.bias", prefix+"layernorm.weight", prefix+"layernorm.bias")
	p = prefix + "layers.0."
	norms := []string{"layernorm_before", "layernorm_after"}
	if strings.HasPrefix(modelType, "dinov2") {
		p = prefix + "encoder.layer.0."
		norms = []string{"norm1", "norm2"}
	}
	for _, n := range norms {
		b.add([]int{dim}, p+n+".weight", p+n+".bias")
	}
	for _, n := range []string{"q_proj", "k_proj", "v_proj", "o_proj"} {
		b.module(dim, dim, p+"attention."+n)
	}
	return b
}

func TestHFVariants(t *testing.T) {
	t.Run("modules of transformers 5", func(t *testing.T) {
		for _, prefix := range []string{"", "vit."} {
			b := hfBase("vit", prefix)
			b.module(mlp, dim, prefix+"layers.0.mlp.fc1")
			b.module(dim, mlp, prefix+"layers.0.mlp.fc2")
			checkWeights(t, mustLoad(t, b, Options{}), b)
		}
	})
	t.Run("gate and up", func(t *testing.T) {
		b := hfBase("dinov2", "dinov2.")
		b.config["use_swiglu_ffn"], b.config["mlp_ratio"] = true, 2.25 // 2/3 of 144 is 96
		p := "dinov2.encoder.layer.0."
		for _, n := range []string{"gate_proj", "up_proj"} {
			b.module(mlp, dim, p+"mlp."+n)
		}
		b.module(dim, mlp, p+"mlp.down_proj")
		b.add([]int{dim}, p+"layer_scale1.lambda1", p+"layer_scale2.lambda1")
		m := mustLoad(t, b, Options{})
		w := m.read(t, "blocks.0.fc1.weight")
		want := append(b.values(t, p+"mlp.gate_proj.weight"), b.values(t, p+"mlp.up_proj.weight")...)
		if !m.SwiGLU || m.MLP != mlp || !slices.Equal(w, want) || len(m.read(t, "blocks.0.fc1.bias")) != 2*mlp {
			t.Errorf("%+v", m.Config)
		}
		if want := b.values(t, p+"layer_scale2.lambda1"); !slices.Equal(m.read(t, "blocks.0.ls2"), want) {
			t.Error("layer scale differs")
		}
	})
	t.Run("both generations at once", func(t *testing.T) {
		b := hfBase("vit", "")
		b.module(mlp, dim, "layers.0.mlp.fc1")
		b.module(dim, mlp, "layers.0.mlp.fc2")
		b.module(dim, mlp, "encoder.layer.0.output.dense")
		if _, err := b.load(t, Options{}); err == nil || !strings.Contains(err.Error(), "are the same weight") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("plain bicubic", func(t *testing.T) {
		b := hfBase("vit", "")
		b.module(mlp, dim, "layers.0.mlp.fc1")
		b.module(dim, mlp, "layers.0.mlp.fc2")
		m := mustLoad(t, b, Options{Image: 12})
		pos := b.values(t, "embeddings.position_embeddings")
		if want := append(slices.Clone(pos[:dim]), resizeGrid(pos[dim:], 2, 3, dim, false)...); !slices.Equal(m.read(t, "pos_embed"), want) {
			t.Error("positions differ")
		}
	})
	t.Run("labels", func(t *testing.T) {
		b := readBase(t, "hf_vit")
		names := map[string]string{}
		for i, n := range []string{"a", "b", "c", "d", "e"} {
			names[fmt.Sprint(i)] = n
		}
		b.config["id2label"] = names
		if m := mustLoad(t, b, Options{}); !slices.Equal(m.Labels, []string{"a", "b", "c", "d", "e"}) {
			t.Errorf("labels %q", m.Labels)
		}
		if m := mustLoad(t, readBase(t, "hf_vit"), Options{}); m.Labels != nil {
			t.Errorf("placeholders became labels %q", m.Labels)
		}
	})
}

// A whole CLIP: the text tower is left out; the classifier's model uses the mean of the patch tokens.
func TestWholeCLIP(t *testing.T) {
	b := readBase(t, "clip_vision")
	vision := b.config
	delete(vision, "projection_dim")
	b.config = map[string]any{"model_type": "clip", "architectures": []string{"CLIPModel"}, "projection_dim": 16, "vision_config": vision}
	b.add([]int{3, 3}, "text_model.encoder.layers.0.self_attn.q_proj.weight", "text_projection.weight")
	b.add([]int{}, "logit_scale")
	b.add([]int{1, 5}, "vision_model.embeddings.position_ids")
	if m := mustLoad(t, b, Options{}); m.Projected != 16 || m.Family != "clip" || !m.PoolNorm || m.Width != 24 {
		t.Errorf("%+v", m.Config)
	}
	b.config["architectures"] = []string{"CLIPForImageClassification"}
	b.tensors = slices.DeleteFunc(b.tensors, func(td safetensors.TensorData) bool { return td.Name == "visual_projection.weight" })
	b.module(7, 24, "classifier")
	if m := mustLoad(t, b, Options{}); m.Pooling != arch.PoolMean || m.PoolNorm || m.Projected != 0 || m.Classes != 7 {
		t.Errorf("%+v", m.Config)
	}
}

func TestBareFiles(t *testing.T) {
	timm := timmBase(10, "cls_token")
	timm.module(3, dim, "head")
	hf := hfBase("vit", "vit.")
	hf.module(mlp, dim, "vit.layers.0.mlp.fc1")
	hf.module(dim, mlp, "vit.layers.0.mlp.fc2")
	for i, b := range []*base{timm, hf} {
		b.config = nil
		m := mustLoad(t, b, Options{Heads: 1})
		want := arch.Config{Family: "vit", Source: [2]string{"timm", "hf"}[i], Width: dim, Depth: 1, Heads: 1, MLP: mlp,
			Image: [2]int{12, 8}[i], Patch: 4, FinalNorm: true, Eps: [2]float32{1e-6, 1e-12}[i], Classes: [2]int{3, 0}[i]}
		if want = fill(want); m.Config != want {
			t.Errorf("%+v, expected\n%+v", m.Config, want)
		}
		if m.RecipeNote != ErrNoRecipe.Error() {
			t.Errorf("a file alone tells %+v", m.Recipe)
		}
		if _, err := b.load(t, Options{}); !errors.Is(err, ErrNoHeads) {
			t.Errorf("heads of width 64: %v", err)
		}
	}
	clip := readBase(t, "clip_vision")
	clip.config = nil
	if _, err := clip.load(t, Options{}); err == nil || !strings.Contains(err.Error(), "activation cannot be told") {
		t.Errorf("error %v", err)
	}
	narrow := readBase(t, "hf_vit")
	narrow.config = nil
	if _, err := narrow.load(t, Options{}); err == nil || !strings.Contains(err.Error(), "number of attention heads") {
		t.Errorf("error %v", err)
	}
}

func TestShards(t *testing.T) {
	b := readBase(t, "hf_vit")
	dir := t.TempDir()
	index := map[string]string{}
	for k, part := range [][]safetensors.TensorData{b.tensors[:20], b.tensors[20:]} {
		name := fmt.Sprintf("model-%d.safetensors", k)
		if err := safetensors.WriteFile(filepath.Join(dir, name), 0o644, part, nil); err != nil {
			t.Fatal(err)
		}
		for _, td := range part {
			index[td.Name] = name
		}
	}
	for name, v := range map[string]any{configName: b.config, safetensors.IndexName: map[string]any{"weight_map": index}} {
		text, _ := json.Marshal(v)
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, safetensors.IndexName)} {
		m, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		checkWeights(t, m, b)
	}
}

func TestSharedTiny(t *testing.T) {
	dir := filepath.Join(golden.Root(t), "..", "..", "..", "shared", "weights", "vit_tiny")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no shared weights here")
	}
	m, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := arch.Config{Family: "vit", Source: "hf", Width: 192, Depth: 12, Heads: 3, MLP: 768, Image: 224, Patch: 16,
		FinalNorm: true, Eps: 1e-12, Classes: 200}
	if want = fill(want); m.Config != want {
		t.Errorf("%+v", m.Config)
	}
	if m.Recipe.Mean != half || m.Recipe.Size != 224 || m.Recipe.Resize != 0 {
		t.Errorf("recipe %+v", m.Recipe)
	}
}

// No configuration may panic, and what it makes loading allocate is bounded by the file.
func FuzzConfig(f *testing.F) {
	root := golden.Root(f)
	for _, c := range loadCases {
		if text, err := os.ReadFile(filepath.Join(root, c.kind, configName)); err == nil {
			f.Add(text, []byte(`{"size":{"shortest_edge":32},"crop_size":24,"resample":3}`))
		}
	}
	f.Add([]byte(`{"model_type":"clip","vision_config":{"hidden_size":24},"projection_dim":3}`), []byte(`{"size":16}`))
	files := map[string]*safetensors.File{}
	for _, kind := range []string{"hf_vit", "clip_vision", "timm_vit", "dinov3", "dinov3_gated", "siglip", "timm_siglip", "beit", "timm_eva02_clip"} {
		file, err := safetensors.Open(filepath.Join(root, kind, weightsName))
		if err != nil {
			f.Fatal(err)
		}
		defer file.Close()
		files[kind] = file
	}
	f.Fuzz(func(t *testing.T, config, processor []byte) {
		cfg, err := parseConfig(Files{Config: config, Preprocessor: processor, Processor: processor})
		if err != nil {
			return
		}
		kind := map[*naming]string{&hfNames: "hf_vit", &clipNames: "clip_vision", &timmNames: "timm_vit", &dinov3Names: "dinov3",
			&dinov3GatedNames: "dinov3_gated", &siglipNames: "siglip", &siglipTimmNames: "timm_siglip", &beitNames: "beit", &evaNames: "timm_eva02_clip"}[cfg.naming()]
		w, err := newWeights(files[kind], cfg.naming())
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, err := cfg.spec(w, Options{})
		if err == nil && s.Validate() == nil {
			bind(s, w)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 64*uint64(len(config))+4<<20 {
			t.Errorf("%d bytes allocated for a configuration of %d", got, len(config))
		}
	})
}
