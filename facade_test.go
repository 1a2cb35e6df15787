package melo

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/imaging"
	"melo.example/melo/internal/golden"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
)

// TestAdapterIsBoundToItsBase: an adapter answers on the base that it was attached to, and nowhere else, however alike the
// other base is. It used to answer with wrong numbers, or to end the process.
func TestAdapterIsBoundToItsBase(t *testing.T) {
	first, second, other := open(t, "hf_vit"), open(t, "hf_vit"), open(t, "timm_vit")
	for name, adapter := range map[string]func(b *Base) *Adapter{
		"adapter": func(b *Base) *Adapter { return untrained(t, b) },
		"own head": func(b *Base) *Adapter {
			a, err := b.OwnHead()
			if err != nil {
				t.Fatal(err)
			}
			return a
		},
	} {
		a := adapter(first)
		if _, err := first.Predict(t.Context(), a, picture(1)); err != nil {
			t.Errorf("%s on its base: %v", name, err)
		}
		for _, b := range []*Base{second, other} {
			wants := func(what string, err error) {
				t.Helper()
				if err == nil || !strings.Contains(err.Error(), "was attached to the base") {
					t.Errorf("%s: %s of another base: %v", name, what, err)
				}
			}
			_, err := b.Predict(t.Context(), a, picture(1))
			wants("Predict", err)
			wants("PredictFiles", b.PredictFiles(t.Context(), a, []string{"x.png"}, func(int, Prediction, error) error { return nil }))
			_, err = b.Evaluate(t.Context(), a, Data{Path: t.TempDir()})
			wants("Evaluate", err)
		}
	}
}

// untrained is an adapter file of the base, attached.
func untrained(t *testing.T, b *Base) *Adapter {
	t.Helper()
	a, err := lora.New(&b.model.Config, lora.Config{}, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	adapter, err := b.Adapter(writeFile(t, b, &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{Task: adapterfile.Multiclass, Labels: labels(2)}}))
	if err != nil {
		t.Fatal(err)
	}
	return adapter
}

// TestNilIsAnError: what is not there is an error that says so, never a panic.
func TestNilIsAnError(t *testing.T) {
	b, ctx := open(t, "hf_vit"), context.Background()
	var none *Base
	use := func(int, Prediction, error) error { return nil }
	image := func(context.Context, int) (*imaging.Image, error) { return nil, nil }
	var rowErr error
	for name, call := range map[string]func() error{
		"a nil image":        func() error { _, err := b.Predict(ctx, nil, nil); return err },
		"no image function":  func() error { return b.PredictEach(ctx, nil, 1, nil, use) },
		"no use function":    func() error { return b.PredictEach(ctx, nil, 1, image, nil) },
		"an adapter of none": func() error { _, err := b.Predict(ctx, &Adapter{}, picture(1)); return err },
		"image that is nil": func() error {
			err := b.PredictEach(ctx, nil, 1, image, func(_ int, _ Prediction, err error) error { rowErr = err; return nil })
			if err != nil {
				t.Errorf("the row alone fails: %v", err)
			}
			return rowErr
		},
		"nil base, Predict":  func() error { _, err := none.Predict(ctx, nil, picture(1)); return err },
		"nil base, Adapter":  func() error { _, err := none.Adapter("x"); return err },
		"nil base, OwnHead":  func() error { _, err := none.OwnHead(); return err },
		"nil base, Digest":   func() error { _, err := none.Digest(); return err },
		"nil base, Train":    func() error { _, err := none.Train(ctx, Data{Path: "x"}, Recipe{}); return err },
		"nil base, Evaluate": func() error { _, err := none.Evaluate(ctx, nil, Data{Path: "x"}); return err },
		"nil base, Compare":  func() error { _, err := Compare(ctx, none, Data{Path: "x"}, Plan{}); return err },
		"nil base, Sweep":    func() error { _, err := Sweep(ctx, none, Data{Path: "x"}, SweepPlan{}); return err },
		"no data":            func() error { _, err := b.Train(ctx, Data{}, Recipe{}); return err },
		"no address":         func() error { return Serve(ctx, ServeConfig{Base: "x"}) },
	} {
		if err := call(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if none.Close() != nil || none.Path() != "" || none.Model() != nil {
		t.Error("a nil base is something")
	}
	closed := open(t, "hf_vit")
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := closed.Predict(ctx, nil, picture(1)); err == nil {
		t.Error("a closed base answers")
	}
}

// TestDigestIsThatOfWhatWasLoaded: what lies at the path later is of no account.
func TestDigestIsThatOfWhatWasLoaded(t *testing.T) {
	copied := func() string {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(golden.Root(t), "hf_vit"))); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	want, err := adapterfile.BaseDigest(filepath.Join(golden.Root(t), "hf_vit"))
	if err != nil {
		t.Fatal(err)
	}
	dir := copied()
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	other := filepath.Join(dir, "other.tmp")
	if err := os.WriteFile(other, []byte("another file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, filepath.Join(dir, "model.safetensors")); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Digest(); err != nil || got != want {
		t.Errorf("after another file took the place: %s, %v; want %s", got, err, want)
	}

	// Written into, what was loaded can no longer be told: that is an error.
	dir = copied()
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := os.OpenFile(filepath.Join(dir, "model.safetensors"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("more")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Digest(); err == nil || !strings.Contains(err.Error(), "was written to") {
		t.Errorf("after a write: %s, %v", got, err)
	}
}

// TestNotFiniteRow: an answer that is no number is an error of its row; the rows beside it are answered.
func TestNotFiniteRow(t *testing.T) {
	b := open(t, "hf_vit")
	a := untrained(t, b)
	row := 0
	images := []*imaging.Image{picture(1), picture(2), picture(3)}
	var got []error
	// The middle row gets an input that is no number, as a broken adapter or a broken machine might make one.
	a.rule.Temperatures = nil
	err := b.eachBatch(t.Context(), a, len(images), func(i int, s *imaging.Scratch, dst []float32) error {
		if err := s.Apply(a.recipe, images[i], dst); err != nil {
			return err
		}
		if i == 1 {
			for k := range dst {
				dst[k] = float32(math.NaN())
			}
		}
		return nil
	}, func(i int, p Prediction, err error) error {
		if i != row {
			t.Errorf("row %d, want %d", i, row)
		}
		row++
		got = append(got, err)
		return nil
	})
	if err != nil || len(got) != 3 || got[0] != nil || got[2] != nil || got[1] == nil || !strings.Contains(got[1].Error(), "not finite") {
		t.Errorf("%v, rows %v", err, got)
	}
}

// TestRecipeOfAFile: an adapter file with a recipe of its own is prepared by it, whatever the base says.
func TestRecipeOfAFile(t *testing.T) {
	b := open(t, "hf_vit")
	file := func(mean float32) *Adapter {
		a, err := lora.New(&b.model.Config, lora.Config{}, 2, 1)
		if err != nil {
			t.Fatal(err)
		}
		recipe := b.model.Recipe
		recipe.Mean = [3]float32{mean, mean, mean}
		f := &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{Task: adapterfile.Multiclass, Labels: labels(2), Recipe: recipe}}
		adapter, err := b.Adapter(writeFile(t, b, f))
		if err != nil {
			t.Fatal(err)
		}
		return adapter
	}
	dark, light := file(0.1), file(0.9)
	if dark.Recipe() == light.Recipe() || dark.Recipe() == b.model.Recipe {
		t.Fatal("the recipe of the file is not that of the adapter")
	}
	x, y := predict(t, b, dark, picture(1)), predict(t, b, light, picture(1))
	if slices.Equal(x[0].Logits, y[0].Logits) {
		t.Error("other recipes, the same logits")
	}
}

// TestRecipeMustFitTheBase: a recipe that makes inputs of another size than the base takes is refused, by name.
func TestRecipeMustFitTheBase(t *testing.T) {
	b := open(t, "hf_vit")
	a, err := lora.New(&b.model.Config, lora.Config{}, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	recipe := b.model.Recipe
	recipe.Size, recipe.Resize = recipe.Size+4, recipe.Resize+4
	path := writeFile(t, b, &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{Task: adapterfile.Multiclass, Labels: labels(2), Recipe: recipe}})
	if _, err := b.Adapter(path); err == nil || !strings.Contains(err.Error(), "its recipe makes images of side") {
		t.Errorf("%v", err)
	}
}
