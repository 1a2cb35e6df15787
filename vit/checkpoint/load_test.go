package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/internal/golden"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/arch"
)

// base is a golden model in memory, to be changed and loaded.
type base struct {
	config  map[string]any
	tensors []safetensors.TensorData
}

func readBase(t *testing.T, kind string) *base {
	t.Helper()
	dir := filepath.Join(golden.Root(t), kind)
	text, err := os.ReadFile(filepath.Join(dir, configName))
	if err != nil {
		t.Fatal(err)
	}
	b := &base{}
	if err := json.Unmarshal(text, &b.config); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(filepath.Join(dir, weightsName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	for _, name := range f.Names() {
		x, _ := f.Tensor(name)
		b.tensors = append(b.tensors, safetensors.TensorData{Name: name, DType: x.DType, Shape: x.Shape, Data: x.Data})
	}
	return b
}

func (b *base) load(t *testing.T, o Options) (*Checkpoint, error) {
	t.Helper()
	var buf bytes.Buffer
	if err := safetensors.Write(&buf, b.tensors, nil); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Parse(buf.Bytes(), "mem/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	src := &source{weights: "mem/model.safetensors", dir: "mem"}
	if b.config != nil {
		if src.files.Config, err = json.Marshal(b.config); err != nil {
			t.Fatal(err)
		}
	}
	c, err := load(f, src, "mem", o)
	if err == nil {
		err = c.Verify()
	}
	return c, err
}

// read returns the numbers of a parameter.
func (c *Checkpoint) read(t *testing.T, name string) []float32 {
	t.Helper()
	v, err := c.Read(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// loadCases are the golden models and what is special about them.
var loadCases = []struct {
	kind string
	want arch.Config
}{
	{"hf_vit", arch.Config{Family: "vit", Source: "hf", Width: 32, Depth: 3, Heads: 2, MLP: 64, FinalNorm: true, Eps: 1e-12, Classes: 5}},
	{"hf_vit_pooler", arch.Config{Family: "vit", Source: "hf", FinalNorm: true, Eps: 1e-12}},
	{"dino", arch.Config{Family: "vit", Source: "hf", FinalNorm: true, Eps: 1e-12}},
	{"mae", arch.Config{Family: "mae", Source: "hf", FinalNorm: true, Eps: 1e-12}},
	{"deit", arch.Config{Family: "deit", Source: "hf", Dist: true, FinalNorm: true, Eps: 1e-12, Classes: 5}},
	{"deit_teacher", arch.Config{Family: "deit", Source: "hf", Dist: true, FinalNorm: true, Eps: 1e-12, Classes: 5, Pooling: arch.PoolClassDist}},
	{"dinov2", arch.Config{LayerScale: true, Family: "dinov2", Source: "hf", Image: 28, Patch: 14, FinalNorm: true, Eps: 1e-6}},
	{"dinov2_head", arch.Config{LayerScale: true, Family: "dinov2", Source: "hf", FinalNorm: true, Eps: 1e-6, Classes: 5, Pooling: arch.PoolClassMean}},
	{"dinov2_reg", arch.Config{LayerScale: true, Family: "dinov2", Source: "hf", Registers: 4, SwiGLU: true, FinalNorm: true, Eps: 1e-6}},
	{"dinov3", arch.Config{Family: "dinov3", Source: "hf", MLP: 40, Image: 20, Registers: 3, FinalNorm: true, Eps: 1e-5, LayerScale: true,
		NoKeyBias: true, NoPosEmbed: true, Rotary: arch.RotaryCentred, RotaryHalf: true, RotaryTheta: 100}},
	{"timm_eva02_clip", arch.Config{Family: "eva02", Source: "timm", MLP: 64, Image: 20, FinalNorm: true, Eps: 1e-6, SwiGLU: true, AttnNorm: true,
		MLPNorm: true, NoKeyBias: true, Rotary: arch.RotaryIndex, RotaryTheta: 10000, RotaryGrid: 5}},
	{"siglip", arch.Config{Family: "siglip", Source: "hf", MLP: 40, Image: 15, Patch: 5, FinalNorm: true, Eps: 1e-6, Act: arch.GELUTanh, Pooling: arch.PoolAttention}},
	{"beit", arch.Config{Family: "beit", Source: "hf", MLP: 40, Image: 12, PoolNorm: true, Eps: 1e-12, LayerScale: true, NoKeyBias: true, NoPosEmbed: true,
		RelBlocks: true, Classes: 5, Pooling: arch.PoolMean}},
	{"beit_shared", arch.Config{Family: "beit", Source: "hf", MLP: 40, Image: 12, FinalNorm: true, Eps: 1e-12, NoKeyBias: true, RelShared: true, Classes: 5}},
	{"clip_vision", arch.Config{Family: "clip", Source: "hf", Image: 32, Patch: 16, PreNorm: true, PoolNorm: true, Act: arch.GELUQuick, Eps: 1e-5, Projected: 16}},
	{"clip_vision_bare", arch.Config{Family: "clip", Source: "hf", PreNorm: true, PoolNorm: true, Act: arch.GELUQuick, Eps: 1e-5}},
	{"timm_vit", arch.Config{Family: "vit", Source: "timm", Width: 32, Depth: 3, Heads: 2, MLP: 64, FinalNorm: true, Eps: 1e-6, Classes: 5}},
	{"timm_vit_meanpool", arch.Config{Family: "vit", Source: "timm", PoolNorm: true, Eps: 1e-6, Classes: 5, Pooling: arch.PoolMean}},
	{"timm_deit_distilled", arch.Config{Family: "deit", Source: "timm", Dist: true, FinalNorm: true, Eps: 1e-6, Classes: 5, Pooling: arch.PoolClassDist}},
	{"timm_dinov2", arch.Config{LayerScale: true, Family: "dinov2", Source: "timm", FinalNorm: true, Eps: 1e-6}},
	{"timm_dinov2_reg", arch.Config{LayerScale: true, Family: "dinov2", Source: "timm", MLP: 64, Registers: 4, SwiGLU: true, FinalNorm: true, Eps: 1e-6}},
	{"timm_clip", arch.Config{Family: "clip", Source: "timm", PreNorm: true, FinalNorm: true, Act: arch.GELUQuick, Eps: 1e-5, Classes: 5}},
}

// fill completes an expectation with what most golden models share.
func fill(c arch.Config) arch.Config {
	set := func(dst *int, v int) {
		if *dst == 0 {
			*dst = v
		}
	}
	set(&c.Width, 24)
	set(&c.Depth, 2)
	set(&c.Heads, 3)
	set(&c.MLP, 48)
	set(&c.Image, 16)
	set(&c.Patch, 4)
	c.Channels, c.Class, c.QKVBias = 3, true, true
	c.PosPrefix = !(c.Source == "timm" && c.Registers > 0 || c.NoPosEmbed || c.Family == "siglip")
	c.Class = c.Family != "siglip"
	if c.Act == arch.Identity {
		c.Act = arch.GELUErf
	}
	return c
}

func TestOpenKinds(t *testing.T) {
	for _, c := range loadCases {
		t.Run(c.kind, func(t *testing.T) {
			dir := filepath.Join(golden.Root(t), c.kind)
			m, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if want := fill(c.want); m.Config != want {
				t.Errorf("config\n%+v, expected\n%+v", m.Config, want)
			}
			if m.Path != dir || m.Recipe.Size != m.Image || m.Recipe.Validate() != nil {
				t.Errorf("path %s, recipe %+v", m.Path, m.Recipe)
			}
			checkWeights(t, m, readBase(t, c.kind))
		})
	}
}

// namesOf are the names that files of a description have.
func namesOf(c *arch.Config) *naming {
	switch {
	case c.Family == "eva02":
		return &evaNames
	case c.Source == "timm":
		return &timmNames
	}
	if n := map[string]*naming{"clip": &clipNames, "siglip": &siglipNames, "beit": &beitNames, "dinov3": &dinov3Names}[c.Family]; n != nil {
		return n
	}
	return &hfNames
}

// checkWeights compares a Model's weights with the file's, found there under their own names.
func checkWeights(t *testing.T, m *Checkpoint, b *base) {
	t.Helper()
	names := namesOf(&m.Config)
	file := map[string][]float32{}
	for _, td := range b.tensors {
		if canon, _ := names.canonical(td.Name); canon != "" {
			v, err := safetensors.Tensor{DType: td.DType, Shape: td.Shape, Data: td.Data}.Float32s(nil)
			if err != nil {
				t.Fatal(err)
			}
			file[canon] = v
		}
	}
	for i := range m.Depth {
		name := func(s string) string { return arch.BlockName(i, s) }
		if up := file[name("up.weight")]; up != nil && !m.SwiGLU {
			file[name("fc1.weight")], file[name("fc1.bias")] = up, file[name("up.bias")]
		}
		if file[name("qkv.weight")] != nil {
			d := m.Width
			w, bias := file[name("qkv.weight")], file[name("qkv.bias")]
			for j, p := range []string{"q", "k", "v"} {
				file[name(p+".weight")] = w[j*d*d : (j+1)*d*d]
				if bias != nil {
					file[name(p+".bias")] = bias[j*d : (j+1)*d]
				}
			}
		}
		if gate := file[name("gate.weight")]; gate != nil {
			file[name("fc1.weight")] = append(gate, file[name("up.weight")]...)
			file[name("fc1.bias")] = append(file[name("gate.bias")], file[name("up.bias")]...)
		}
	}
	for _, last := range []string{".weight", ".bias"} {
		if w := file["pool.qkv"+last]; w != nil {
			n := len(w) / 3
			file["pool.q"+last], file["pool.k"+last], file["pool.v"+last] = w[:n], w[n:2*n], w[2*n:]
		}
	}
	for _, p := range m.Params() {
		if got := m.read(t, p.Name); len(got) != p.Len() || !slices.Equal(got, file[p.Name]) {
			t.Errorf("%s: %d values that differ from the file's %d, expected %d", p.Name, len(got), len(file[p.Name]), p.Len())
		}
		if view, ok := m.View(p.Name); ok && !slices.Equal(view, file[p.Name]) {
			t.Errorf("%s: the view differs", p.Name)
		}
	}
}

// Every tensor matters: without it, or with another shape, or with one more, loading fails and names it.
func TestEveryTensorCounts(t *testing.T) {
	for _, c := range loadCases {
		t.Run(c.kind, func(t *testing.T) {
			whole := readBase(t, c.kind)
			names := namesOf(&c.want)
			for i, td := range whole.tensors {
				canon, ignored := names.canonical(td.Name)
				removed := &base{config: whole.config, tensors: slices.Delete(slices.Clone(whole.tensors), i, i+1)}
				mustFail(t, removed, ignored == "", td.Name)
				extra := td
				extra.Name += "_2"
				added := &base{config: whole.config, tensors: append(slices.Clone(whole.tensors), extra)}
				mustFail(t, added, ignored == "", extra.Name)
				if canon == "" {
					continue
				}
				reshaped := &base{config: whole.config, tensors: slices.Clone(whole.tensors)}
				reshaped.tensors[i].Shape = append([]int{2}, td.Shape...)
				reshaped.tensors[i].Data = append(slices.Clone(td.Data), td.Data...)
				mustFail(t, reshaped, true, td.Name)
			}
		})
	}
}

func mustFail(t *testing.T, b *base, fails bool, name string) {
	t.Helper()
	_, err := b.load(t, Options{})
	switch {
	case !fails && err != nil:
		t.Errorf("%s: %v", name, err)
	case fails && (err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "mem")):
		t.Errorf("error %v should name the file and %s", err, name)
	}
}

func TestNotFinite(t *testing.T) {
	for _, kind := range []string{"hf_vit", "timm_dinov2_reg", "clip_vision"} {
		whole := readBase(t, kind)
		for i, td := range whole.tensors {
			if strings.Contains(td.Name, "mask_token") {
				continue
			}
			broken := &base{config: whole.config, tensors: slices.Clone(whole.tensors)}
			values, _ := safetensors.Tensor{DType: td.DType, Shape: td.Shape, Data: td.Data}.Float32s(nil)
			values[len(values)-1] = [2]float32{float32(math.NaN()), float32(math.Inf(-1))}[i%2]
			broken.tensors[i], _ = safetensors.FromFloat32s(td.Name, safetensors.F32, td.Shape, values)
			mustFail(t, broken, true, td.Name)
		}
	}
}

// Half-precision files give the rounded weights.
func TestHalfPrecision(t *testing.T) {
	for _, dtype := range []safetensors.DType{safetensors.F16, safetensors.BF16} {
		b := readBase(t, "hf_vit")
		for i, td := range b.tensors {
			v, _ := safetensors.Tensor{DType: td.DType, Shape: td.Shape, Data: td.Data}.Float32s(nil)
			b.tensors[i], _ = safetensors.FromFloat32s(td.Name, dtype, td.Shape, v)
		}
		m, err := b.load(t, Options{})
		if err != nil {
			t.Fatal(err)
		}
		checkWeights(t, m, b)
	}
	b := readBase(t, "hf_vit")
	b.tensors[0].DType, b.tensors[0].Shape = safetensors.I32, slices.Clone(b.tensors[0].Shape)
	mustFail(t, b, true, b.tensors[0].Name)
}

func TestUnsupported(t *testing.T) {
	for _, c := range []struct {
		key   string
		value any
		kind  string
		want  string
	}{
		{"model_type", "swin", "hf_vit", `"swin" is not supported; supported are model_type vit, deit`},
		{"model_type", "", "hf_vit", "neither model_type"},
		{"model_type", 3, "hf_vit", "JSON"},
		{"hidden_act", "relu", "hf_vit", `"relu"`},
		{"image_size", []int{16, 32}, "hf_vit", "square"},
		{"image_size", 24, "hf_vit", "vit.embeddings.position_embeddings has shape [1 17 32]"},
		{"image_size", -16, "hf_vit", "size -16"},
		{"hidden_size", 1 << 40, "hf_vit", "width"},
		{"num_hidden_layers", 1 << 40, "hf_vit", "depth"},
		{"num_hidden_layers", 2, "hf_vit", "unused: vit.encoder.layer.2."},
		{"num_hidden_layers", 4, "hf_vit", "missing: vit.encoder.layer.3."},
		{"num_attention_heads", 0, "hf_vit", "heads"},
		{"num_attention_heads", 5, "hf_vit", "heads"},
		{"head_dim", 4, "hf_vit", "head_dim"},
		{"patch_size", 0, "hf_vit", "patch"},
		{"num_channels", 1, "hf_vit", "channels"},
		{"layer_norm_eps", -1, "hf_vit", "epsilon"},
		{"mlp_ratio", 1e9, "dinov2", "mlp_ratio"},
		{"num_register_tokens", 3, "dinov2_reg", "embeddings.register_tokens has shape [1 4 24]"},
		{"id2label", map[string]string{"0": "a", "2": "b"}, "hf_vit", "none for class 1"},
		{"id2label", map[string]string{"0": "a", "1": "b"}, "hf_vit", "expected 5"},
		{"architecture", "swin_base_patch4_window7_224", "timm_vit", "not a plain ViT"},
		{"architecture", "vit_base_patch16_rpn_224", "timm_vit", `"rpn" is unknown`},
		{"architecture", "vit_base_patch16_rope_224", "timm_vit", `"rope" is unknown`},
		{"architecture", "vit_base_patch16_siglip_224", "timm_vit", "class-token pooling"},
		{"architecture", "vit_relpos_base_patch16_224", "timm_vit", `"relpos"`},
		{"global_pool", "map", "timm_vit", ""}, // model_args win
		{"model_args", map[string]any{"qk_norm": true}, "timm_vit", `"qk_norm" is not supported`},
		{"model_args", map[string]any{"global_pool": "map", "num_heads": 2}, "timm_vit", "missing: attn_pool.latent"},
		{"model_args", map[string]any{"act_layer": "relu", "num_heads": 2}, "timm_vit", "act_layer"},
		{"model_args", map[string]any{"num_classes": 5}, "timm_vit", "12 heads do not divide"},
		{"pretrained_cfg", map[string]any{"crop_mode": "border"}, "timm_vit", "crop_mode"},
		{"pretrained_cfg", map[string]any{"crop_pct": 2}, "timm_vit", "crop_pct"},
		{"pretrained_cfg", map[string]any{"mean": []int{1}}, "timm_vit", "mean"},
		{"pretrained_cfg", map[string]any{"interpolation": "random"}, "timm_vit", "interpolation"},
		{"num_classes", 6, "timm_vit", ""},
		{"problem_type", "ranking", "hf_vit", `problem_type "ranking" is not supported`},
	} {
		b := readBase(t, c.kind)
		b.config[c.key] = c.value
		_, err := b.load(t, Options{})
		if c.want == "" && err == nil {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "vit: mem") {
			t.Errorf("%s = %v: error %v should say %q", c.key, c.value, err, c.want)
		}
	}
}

func TestPlaces(t *testing.T) {
	root := golden.Root(t)
	dir := t.TempDir()
	for _, c := range []struct{ path, want string }{
		{filepath.Join(dir, "none"), "no such"},
		{dir, "neither model.safetensors nor"},
		{filepath.Join(root, "hf_vit", configName), "header"},
		{filepath.Join(root, "clip_vision", "golden.safetensors"), "no ViT's tensors"},
	} {
		_, err := Open(c.path, Options{})
		if err == nil || !strings.Contains(err.Error(), c.path) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v should name %s and say %q", err, c.path, c.want)
		}
	}
	if _, err := Open(filepath.Join(dir, "none"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v should wrap fs.ErrNotExist", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pytorch_model.bin"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "pytorch_model.bin: is no file of torch.save") {
		t.Errorf("error %v should tell about pytorch_model.bin", err)
	}
}
