package adapterfile

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/internal/golden"
	"melo.example/melo/lora"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

func TestGoldenPEFT(t *testing.T) {
	for name, base := range map[string]string{
		"peft_qv": "hf_vit", "peft_qv_gen4": "hf_vit", "peft_wide": "hf_vit", "peft_wide_gen4": "hf_vit", "peft_timm": "timm_vit",
	} {
		t.Run(name, func(t *testing.T) {
			m := openBase(t, base)
			c := golden.Open(t, "adapters/"+name)
			f, err := ReadPEFT(c.Dir, Import{Base: &m.Config})
			if err != nil {
				t.Fatal(err)
			}
			c.Check(t, "logits", logits(t, m, f, c.Data("input")), logitTol)
			alone, err := ReadPEFT(filepath.Join(c.Dir, peftConfig), Import{}) // without a base, from one of the files
			if err != nil {
				t.Fatal(err)
			}
			same(t, "without a base", alone, f)
			if b := alone.Meta.Base; b.Width != 32 || b.Source != m.Source || b.Source == "hf" && b.Family != "vit" {
				t.Errorf("base %+v", b)
			}
			// Out again under every kind of names, and the logits stay.
			for _, names := range []Names{NamesHF5, NamesHF4, NamesTimm} {
				dir := filepath.Join(t.TempDir(), "out")
				write := *f
				if names == NamesTimm { // each module has one scale there
					write = *f.Fold()
				}
				write.Meta.Base.Family = "vit" // timm_vit as transformers would name it
				if err := write.WritePEFT(dir, PEFTOptions{Names: names, Base: &m.Config}); err != nil {
					t.Fatal(err)
				}
				back, err := ReadPEFT(dir, Import{Base: &m.Config})
				if err != nil {
					t.Fatal(err)
				}
				c.Check(t, "logits", logits(t, m, back, c.Data("input")), logitTol)
			}
		})
	}
}

// wideConfig has every site, and ranks and alphas that differ.
func wideConfig() lora.Config {
	return lora.Config{Kinds: []vit.Kind{vit.Q, vit.K, vit.V, vit.Proj, vit.FC1, vit.FC2}, Rank: 2, Alpha: 6,
		PerKind: map[vit.Kind]int{vit.FC1: 3, vit.K: 1}}
}

// TestPEFTRoundTrip: native -> PEFT -> native keeps every number, scale and site, in every family and
// under all names.
func TestPEFTRoundTrip(t *testing.T) {
	swiglu := tiny()
	swiglu.SwiGLU, swiglu.Family, swiglu.Pooling = true, "dinov2", vit.PoolClassMean
	registers, deit, distilled, clip, timm, mae := *swiglu, *tiny(), *tiny(), *tiny(), *tiny(), *tiny()
	registers.Registers = 4
	deit.Family = "deit"
	distilled.Family, distilled.Pooling = "deit", vit.PoolClassDist
	clip.Family, clip.Pooling = "clip", vit.PoolMean
	timm.Source = "timm"
	mae.Family = "mae"
	hf, all := []Names{NamesHF5, NamesHF4}, []Names{NamesHF5, NamesHF4, NamesTimm}
	for name, c := range map[string]struct {
		base  *vit.Config
		names []Names
	}{
		"vit": {tiny(), all}, "deit": {&deit, all}, "distilled": {&distilled, all}, "mae": {&mae, hf}, "clip": {&clip, hf},
		"swiglu": {swiglu, hf}, "registers": {&registers, hf}, "timm": {&timm, []Names{NamesTimm}},
	} {
		for _, names := range c.names {
			for kind, cfg := range map[string]lora.Config{
				"q,v": {}, "alpha": {Rank: 3, Alpha: 5}, "rs": {Rank: 3, Alpha: 5, RSLoRA: true}, "some blocks": {Blocks: []int{1}},
				"wide": wideConfig(),
			} {
				if kind == "wide" && names == NamesTimm {
					cfg.Alpha = 0 // one scale for q, k and v
				}
				what := fmt.Sprintf("%s, %s, %s", name, names, kind)
				roundTripPEFT(t, what, example(t, c.base, cfg, Labels("a", "b", "c")), c.base, names)
			}
		}
	}
}

func roundTripPEFT(t *testing.T, what string, want *File, base *vit.Config, names Names) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	if err := want.WritePEFT(dir, PEFTOptions{Names: names, Base: base}); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	got, err := ReadPEFT(dir, Import{Base: base, Labels: want.Meta.Labels, Task: want.Meta.Task})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	same(t, what, got, want)
	if got.Meta.Base.ID != want.Meta.Base.ID || got.Meta.Training.Source != "peft" {
		t.Errorf("%s: %+v", what, got.Meta)
	}
}

// TestPEFTConfig: what is written is what PEFT users expect to see.
func TestPEFTConfig(t *testing.T) {
	for want, c := range map[string]struct {
		cfg   lora.Config
		names Names
		depth int
	}{
		`["q_proj","v_proj"] {}`: {lora.Config{}, NamesHF5, 2},
		`["query","value"] {}`:   {lora.Config{}, NamesHF4, 2},
		`["attn.qkv"] {}`:        {lora.Config{}, NamesTimm, 2},
		`["vit.layers.1.attention.q_proj","vit.layers.1.attention.v_proj"] {}`: {lora.Config{Blocks: []int{1}}, NamesHF5, 2},
		// "output.dense" would also mean attention.output.dense.
		`["vit.encoder.layer.0.output.dense","vit.encoder.layer.1.output.dense"] {}`: {lora.Config{Kinds: []vit.Kind{vit.FC2}}, NamesHF4, 2},
		`["attention.output.dense","output.dense"] {}`:                               {lora.Config{Kinds: []vit.Kind{vit.Proj, vit.FC2}}, NamesHF4, 2},
		// The depth is unknown: short names might mean more blocks.
		`["vit.layers.0.attention.q_proj","vit.layers.1.attention.q_proj"] {}`: {lora.Config{Kinds: []vit.Kind{vit.Q}}, NamesHF5, 0},
		`["q_proj","fc1"] {"vit.layers.0.attention.q_proj":4,"vit.layers.1.attention.q_proj":4}`: {
			lora.Config{Kinds: []vit.Kind{vit.Q, vit.FC1}, Alpha: 4, PerKind: map[vit.Kind]int{vit.FC1: 3}}, NamesHF5, 2},
	} {
		f := example(t, tiny(), c.cfg, Labels("a", "b"))
		f.Meta.Base.Depth = c.depth
		text, _, err := f.peft(PEFTOptions{Names: c.names})
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Target json.RawMessage `json:"target_modules"`
			Ranks  json.RawMessage `json:"rank_pattern"`
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		if got := compact(doc.Target) + " " + compact(doc.Ranks); got != want {
			t.Errorf("got %s, expected %s", got, want)
		}
	}
}

// TestGateAndUp: separate adapters of gate and up become one on the fused map, computing the same.
func TestGateAndUp(t *testing.T) {
	gate := &pair{a: []float32{1, 2}, b: []float32{3, 4}, rank: 1, alpha: 2}               // [1,2], [2,1]
	up := &pair{a: []float32{5, 6, 7, 8}, b: []float32{1, -1, 2, 0.5}, rank: 2, alpha: 4}  // [2,2], [2,2]
	two := &pair{a: []float32{5, 6, 7, 8}, b: []float32{1, -1, 2, 0.5}, rank: 2, alpha: 2} // half the scale
	apply := func(p *pair, x []float32) (y []float32) {
		for row := range p.out() {
			var s float32
			for j := range p.rank {
				s += p.b[row*p.rank+j] * (p.a[2*j]*x[0] + p.a[2*j+1]*x[1])
			}
			y = append(y, s*p.alpha/float32(p.rank))
		}
		return y
	}
	x := []float32{1, 10}
	for name, c := range map[string]struct{ gate, up *pair }{
		"both": {gate, up}, "gate": {gate, nil}, "up": {nil, up}, "same A": {up, up}, "scales": {gate.fold(false), two.fold(false)},
	} {
		f, err := fuse([]*pair{c.gate, c.up}, 2, false)
		if err != nil {
			t.Fatal(err)
		}
		var want []float32
		for _, p := range []*pair{c.gate, c.up} {
			if p == nil {
				want = append(want, 0, 0)
			} else {
				want = append(want, apply(p, x)...)
			}
		}
		if got := apply(f, x); !slices.Equal(got, want) {
			t.Errorf("%s: %v, expected %v", name, got, want)
		}
		g, u := f.apart(false)
		for i, p := range []*pair{g, u} {
			q := []*pair{c.gate, c.up}[i]
			if (p == nil) != (q == nil) || p != nil && (!slices.Equal(p.a, q.a) || !slices.Equal(p.b, q.b) || p.alpha != q.alpha) {
				t.Errorf("%s: %+v came back as %+v", name, q, p)
			}
		}
	}
	if _, err := fuse([]*pair{gate, two}, 2, false); err == nil {
		t.Error("two scales were fused")
	}
}

// peftFiles makes the two files of a folder with things changed.
func peftFiles(t testing.TB, change func(x tensorMap, config document)) (config, weights []byte) {
	t.Helper()
	f := example(t, tiny(), lora.Config{}, Labels("a", "b"))
	text, list, err := f.peft(PEFTOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	tensors := tensorMap{}
	for _, x := range list {
		tensors[x.Name] = x
	}
	change(tensors, doc)
	if text, err = json.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	return text, packTensors(t, tensors, map[string]string{"format": "pt"})
}

func peftFolder(t testing.TB, change func(x tensorMap, config document)) string {
	t.Helper()
	dir := t.TempDir()
	config, weights := peftFiles(t, change)
	for name, data := range map[string][]byte{peftConfig: config, peftWeights: weights} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadPEFTRefuses(t *testing.T) {
	const layer1 = "base_model.model.vit.layers.1.attention."
	field := func(key string, value any) func(tensorMap, document) {
		return func(_ tensorMap, c document) { c[key] = value }
	}
	for want, change := range map[string]func(x tensorMap, config document){
		`peft_type "LOHA": is an adapter of LoHa, which is not supported: only LoRA is`: field("peft_type", "LOHA"),
		`peft_type is missing`: func(_ tensorMap, c document) { delete(c, "peft_type") },
		`changes weights of the base (bias all): the base is needed`:                field("bias", "all"),
		`"bias": "some" is not supported`:                                           field("bias", "some"),
		`changes weights of the base (dora)`:                                        field("use_dora", true),
		`"fan_in_fan_out" is true`:                                                  field("fan_in_fan_out", true),
		`changes weights of the base (lora_bias)`:                                   field("lora_bias", true),
		`"layer_replication" is [[0,4],[2,5]]`:                                      field("layer_replication", []any{[]int{0, 4}, []int{2, 5}}),
		`"use_qalora" is true`:                                                      field("use_qalora", true),
		`"target_parameters" is ["w"]`:                                              field("target_parameters", []string{"w"}),
		`"trainable_token_indices" is [1]`:                                          field("trainable_token_indices", []int{1}),
		`"arrow_config" is {"top_k":3}`:                                             field("arrow_config", document{"top_k": 3}),
		`"of_the_future" is 1`:                                                      field("of_the_future", 1),
		`"init_lora_weights": "pissa_niter_16" is not supported`:                    field("init_lora_weights", "pissa_niter_16"),
		`r 0, expected 1 to 4096`:                                                   field("r", 0),
		`"lora_alpha"`:                                                              field("lora_alpha", "x"),
		`"rank_pattern": "q_proj": "x", expected a number`:                          field("rank_pattern", document{"q_proj": "x"}),
		`pattern "(?!v)q_proj" is not a regular expression that this program knows`: field("alpha_pattern", document{"(?!v)q_proj": 2}),
		`pattern "(q" is not`:                                                       field("rank_pattern", document{"(q": 2}),
		`the regular expressions of the folder are too large`:                       field("alpha_pattern", document{"(a{999})(b{999})(c{999})(d{999})(e{999})(f{999})(g{999})(h{999})(i{999})": 1}),
		`shape [4 8], expected [3 8]`:                                               field("r", 3),
		`rank 2.5, expected`:                                                        field("rank_pattern", document{"q_proj": 2.5}),
		`missing tensors: ` + layer1 + `v_proj.lora_B.weight`:                       func(x tensorMap, _ document) { delete(x, layer1+"v_proj.lora_B.weight") },
		`missing tensors: ` + layer1 + `v_proj.lora_A.weight, ` + layer1 + `v_proj.lora_B.weight`: func(x tensorMap, _ document) {
			delete(x, layer1+"v_proj.lora_A.weight")
			delete(x, layer1+"v_proj.lora_B.weight")
		},
		`missing tensors: base_model.model.vit.layers.0.attention.k_proj.lora_A.weight`: field("target_modules", []string{"q_proj", "k_proj", "v_proj"}),
		`belong to nothing: "` + layer1 + `q_proj.lora_A.weight"`:                       field("layers_to_transform", 0),
		`belong to nothing: "base_model.model.vit.layers.0.attention.v_proj.lora_A`:     field("exclude_modules", `.*\.v_proj`),
		`belong to nothing: "base_model.model.classifier.bias"`:                         field("modules_to_save", nil),
		`missing tensors: base_model.model.classifier.bias; tensors that belong to nothing: "extra"`: func(x tensorMap, _ document) {
			delete(x, "base_model.model.classifier.bias")
			x["extra"] = floats(t, "extra", 1, 1)
		},
		`belong to nothing: "base_model.model.vit.pooler.dense.lora_A.weight"`: func(x tensorMap, _ document) {
			x["p"] = floats(t, "base_model.model.vit.pooler.dense.lora_A.weight", 1, 4, 8)
		},
		`v_proj.lora_B.weight": value 0 is NaN`: func(x tensorMap, _ document) {
			x[layer1+"v_proj.lora_B.weight"] = floats(t, layer1+"v_proj.lora_B.weight", float32(math.NaN()), 8, 4)
		},
		`classifier.bias": value 0 is +Inf`: func(x tensorMap, _ document) {
			x["base_model.model.classifier.bias"] = floats(t, "base_model.model.classifier.bias", float32(math.Inf(1)), 2)
		},
		`modules such as "model.layers.0.self_attn.q_proj", expected those of a ViT`: func(x tensorMap, _ document) {
			clear(x)
			x["l"] = floats(t, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", 1, 4, 8)
		},
		`no tensor base_model.model.MODULE.lora_A.weight`: func(x tensorMap, _ document) { clear(x) },
	} {
		dir := peftFolder(t, change)
		_, err := ReadPEFT(dir, Import{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "adapterfile: "+dir) {
			t.Errorf("%v\nexpected %s", err, want)
		}
	}
	clip := *tiny()
	clip.Family, clip.Pooling = "clip", vit.PoolMean
	folder := filepath.Join(t.TempDir(), "clip")
	if err := example(t, &clip, lora.Config{}, Labels("a", "b")).WritePEFT(folder, PEFTOptions{Base: &clip}); err != nil {
		t.Fatal(err)
	}
	token := clip
	token.Pooling = vit.PoolClass
	for _, base := range []*vit.Config{nil, &token} {
		if _, err := ReadPEFT(folder, Import{Base: base}); err == nil || !strings.Contains(err.Error(), "on the mean of the patch tokens") {
			t.Error(err)
		}
	}
	dir := peftFolder(t, func(tensorMap, document) {})
	if _, err := ReadPEFT(dir, Import{Base: vitB()}); err == nil || !strings.Contains(err.Error(), "made for another base: width: expected 8, found 768") {
		t.Error(err)
	}
	if err := os.Rename(filepath.Join(dir, peftWeights), filepath.Join(dir, "adapter_model.bin")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPEFT(dir, Import{}); err == nil || !strings.Contains(err.Error(), "not of torch.save") {
		t.Error(err)
	}
}

// TestReadPEFTAccepts: settings that do not change what the adapter computes, or that the tensors agree with.
func TestReadPEFTAccepts(t *testing.T) {
	for name, fields := range map[string]document{
		"expression":      {"target_modules": `.*attention\.(q|v)_proj`},
		"look-ahead":      {"target_modules": `(?!text).*(q|v)_proj`},
		"all-linear":      {"target_modules": "all-linear", "exclude_modules": []string{"k_proj", "o_proj", "fc1", "fc2"}},
		"layers":          {"layers_to_transform": []int{0, 1}, "layers_pattern": "layers"},
		"SEQ_CLS":         {"task_type": "SEQ_CLS", "modules_to_save": []string{"classifier", "score"}},
		"training":        {"lora_dropout": 0.5, "init_lora_weights": "gaussian", "loftq_config": document{}, "peft_version": "0.18.1"},
		"patterns":        {"rank_pattern": document{`layers\.\d+\.attention\.(q|v)_proj`: 4}, "r": 99},
		"full path":       {"rank_pattern": document{"vit.layers.1.attention.q_proj": 4, "nothing": 7}},
		"unknown, unused": {"kasa_config": nil, "of_the_future": false},
	} {
		dir := peftFolder(t, func(_ tensorMap, c document) {
			for k, v := range fields {
				c[k] = v
			}
		})
		if _, err := ReadPEFT(dir, Import{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPatterns follows PEFT's get_pattern_key: the first key, in the order of the file, that matches the whole
// path or what follows one of its dots.
func TestPatterns(t *testing.T) {
	const text = `{"fc1": 1, "layers.1.attention.q_proj": 2, "attention.q.proj": 3, "layer\\.\\d+\\.output.dense": 4, "output.dense": 5, "k_proj|v_proj": 6, "_proj": 7, "layers.2": 8}`
	var x expressions
	list, err := x.parsePatterns([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]float64{
		"vit.layers.0.mlp.fc1": 1, "fc1": 1, "vit.layers.0.mlp.xfc1": 0, "vit.layers.1.attention.q_proj": 2,
		"vit.layers.11.attention.q_proj": 3, "vit.layers.0.attention.q_proj": 3, "vit.encoder.layer.3.output.dense": 4,
		"vit.encoder.layer.3.attention.output.dense": 5, "vit.layers.0.attention.k_proj": 6, "a.v_proj": 6,
		"vit.layers.0.attention.o_proj": 0, "vit.layers.2.mlp.fc2": 0,
	} {
		if got := lookUpPattern(list, path, 0); got != want {
			t.Errorf("%s: value %g, expected %g", path, got, want)
		}
	}
}

// TestGoldenPatterns compares with PEFT's own answers which modules a configuration adapts, and which key of a
// pattern holds for them.
func TestGoldenPatterns(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(golden.Root(t), "peft_patterns", "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases [][4]json.RawMessage
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		var path string
		var adapted bool
		var value float64
		for i, v := range []any{&path, &adapted, &value} {
			if err := json.Unmarshal(c[i+1], v); err != nil {
				t.Fatal(err)
			}
		}
		d, err := parsePEFTConfig([]byte(`{"peft_type": "LORA", ` + string(c[0])[1:]))
		if err != nil {
			t.Errorf("%s: %v", c[0], err)
			continue
		}
		if got := d.adapts(path); got != adapted || !d.knows() {
			t.Errorf("%s: %s is adapted: %v, expected %v", c[0], path, got, adapted)
		}
		if got := lookUpPattern(d.ranks, path, 0); got != value {
			t.Errorf("%s: %s has value %g, expected %g", c[0], path, got, value)
		}
	}
}

func TestWritePEFTRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	labels := Labels("a", "b")
	clip, dino := tiny(), tiny()
	clip.Family, dino.Family = "clip", "dinov2"
	for want, c := range map[string]struct {
		base    *vit.Config
		change  func(f *File)
		options PEFTOptions
	}{
		"cannot be expressed as PEFT's LoRA":         {tiny(), func(f *File) { f.Adapter.Deltas, f.Meta.Method = nil, lora.LinearOnly }, PEFTOptions{}},
		"the family of the base is unknown":          {tiny(), func(f *File) { f.Meta.Base.Family = "" }, PEFTOptions{}},
		`no names of kind "hf6"`:                     {tiny(), func(*File) {}, PEFTOptions{Names: "hf6"}},
		"has no place for the head":                  {tiny(), func(*File) {}, PEFTOptions{Bare: true}},
		"CLIPForImageClassification takes the mean":  {clip, func(*File) {}, PEFTOptions{Base: clip}},
		"Dinov2ForImageClassification takes 16":      {dino, func(*File) {}, PEFTOptions{}},
		"block 0: q, k, v: scales 1 and 2, expected": {tiny(), func(f *File) { f.Adapter.Deltas[1].Alpha, f.Adapter.Deltas[1].Scale = 8, 2 }, PEFTOptions{Names: NamesTimm}},
		"value 3 is NaN":                             {tiny(), func(f *File) { f.Adapter.Deltas[0].A[3] = float32(math.NaN()) }, PEFTOptions{}},
		"cannot encode as I8":                        {tiny(), func(*File) {}, PEFTOptions{DType: safetensors.I8}},
	} {
		f := example(t, c.base, lora.Config{}, labels)
		c.change(f)
		if err := f.WritePEFT(dir, c.options); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v, expected %s", err, want)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Fatalf("%s: a folder was left", want)
		}
	}
}

func TestRealPEFT(t *testing.T) {
	dir := shared(t, "weights/adapters/peft_vitb_r8")
	f, err := ReadPEFT(dir, Import{Base: vitB()})
	if err != nil {
		t.Fatal(err)
	}
	d := f.Adapter.Delta(vit.Site{Block: 11, Kind: vit.FC2})
	// q, k, v, proj: 8 (768 + 768) each; fc2: 8 (3072 + 768).
	if n, _ := f.Adapter.Parameters(); n != 12*(4*8*1536+8*3840) || d == nil || d.Scale != 2 || f.Meta.Base.ID != "google/vit-base-patch16-224" {
		t.Errorf("%d parameters, %+v", n, f.Meta.Base)
	}
	for _, names := range []Names{NamesHF5, NamesHF4, NamesTimm} {
		roundTripPEFT(t, string(names), f, vitB(), names)
	}
}

func FuzzPEFT(f *testing.F) {
	for _, change := range []func(x tensorMap, c document){
		func(tensorMap, document) {},
		func(_ tensorMap, c document) {
			c["target_modules"], c["alpha_pattern"] = `.*_proj`, document{`.*\.q_pr.j`: 3}
		},
		func(_ tensorMap, c document) { c["layers_to_transform"], c["use_rslora"] = []int{1}, true },
		func(x tensorMap, c document) { delete(x, "base_model.model.classifier.weight"); c["r"] = 3 },
	} {
		config, weights := peftFiles(f, change)
		f.Add(config, weights)
	}
	for _, name := range []string{"peft_timm", "peft_wide_gen4"} {
		dir := filepath.Join(golden.Root(f), "adapters", name)
		config, err := os.ReadFile(filepath.Join(dir, peftConfig))
		if err != nil {
			f.Fatal(err)
		}
		weights, err := os.ReadFile(filepath.Join(dir, peftWeights))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(config, weights)
	}
	f.Fuzz(func(t *testing.T, config, weights []byte) {
		doc, err := parsePEFTConfig(config)
		if err != nil {
			return
		}
		st, err := safetensors.Parse(weights, "fuzz")
		if err != nil {
			return
		}
		got, err := parsePEFT(st, doc, Import{})
		if err != nil {
			return
		}
		if got.Meta.Base.Family == "" && got.Meta.Base.Source != "timm" {
			got.Meta.Base.Family = "vit"
		}
		// What was read can be written and read, unless the model of those names has no place for it.
		text, list, err := got.peft(PEFTOptions{})
		if err != nil {
			return
		}
		tensors := tensorMap{}
		for _, x := range list {
			tensors[x.Name] = x
		}
		if doc, err = parsePEFTConfig(text); err != nil {
			t.Fatal(err)
		}
		if st, err = safetensors.Parse(packTensors(t, tensors, nil), "again"); err != nil {
			t.Fatal(err)
		}
		if _, err = parsePEFT(st, doc, Import{}); err != nil {
			t.Fatal(err)
		}
	})
}
