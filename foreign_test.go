package melo

import (
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/imaging"
	"melo.example/melo/internal/golden"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
)

// TestForeignWithoutRecipe: where nothing tells how images are prepared, that is what the error says.
func TestForeignWithoutRecipe(t *testing.T) {
	b, err := Open(filepath.Join(golden.Root(t), "timm_vit"), Workers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m := *b.model
	m.Recipe, m.RecipeNote = imaging.Recipe{Size: m.Image}, "nothing tells how images are prepared"
	b.model = &m
	if _, err := b.Adapter(filepath.Join(golden.Root(t), "adapters", "peft_timm")); err == nil || !strings.Contains(err.Error(), m.RecipeNote) {
		t.Errorf("got %v", err)
	}
}

// TestChangesOfPEFT: what PEFT's adapters change of a base besides low-rank matrices gives PEFT's logits, straight from the
// folder and from a native file that was made of it.
func TestChangesOfPEFT(t *testing.T) {
	for name, base := range map[string]string{"peft_dora": "hf_vit", "peft_bias": "hf_vit", "peft_lora_bias": "hf_vit", "peft_timm_dora": "timm_vit"} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(golden.Root(t), "adapters", name)
			b, err := Open(filepath.Join(golden.Root(t), base), Workers(1))
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			g := golden.Open(t, "adapters/"+name)
			x := g.Data("input")
			check := func(path string) {
				t.Helper()
				a, err := b.Adapter(path)
				if err != nil {
					t.Fatal(err)
				}
				if a.Metadata().Method != lora.FullTuning || a.own == nil {
					t.Fatalf("method %q", a.Metadata().Method)
				}
				logits := make([]float32, 2*a.source.Head.Classes)
				a.source.Head.Logits(logits, a.own.NewEngine(2).Features(x, 2))
				g.Check(t, "logits", logits, 1e-5)
			}
			check(folder)
			if f, err := adapterfile.ReadPEFT(folder, adapterfile.Import{Look: true}); err != nil || f.Meta.Training.Hyperparameters["changes"] == nil {
				t.Errorf("looked at without a base: %v", err)
			}
			f, err := adapterfile.ReadForeign(folder, b.model, maxForeign)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "native.safetensors")
			if err := f.Write(path, safetensors.F32); err != nil {
				t.Fatal(err)
			}
			check(path)
		})
	}
}
