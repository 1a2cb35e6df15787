package melo

import (
	"context"
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"melo.example/melo/fit"
	"melo.example/melo/imaging"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
)

// TestPredictAll: several adapters asked about the same images say, bit for bit, what each says alone: on the last blocks,
// on all, on none, with mirror images, another pooling, another recipe, the base's own head, what it knows of its training
// images; and an image that cannot be read is an error of each.
func TestPredictAll(t *testing.T) {
	b := open(t, "hf_vit", Batch(3))
	var adapters []*Adapter
	last := b.model.Depth - 1
	add := func(cfg lora.Config, seed uint64, meta adapterfile.Metadata) {
		a, err := b.Adapter(write(t, b, cfg, seed, meta))
		if err != nil {
			t.Fatal(err)
		}
		adapters = append(adapters, a)
	}
	other := b.model.Recipe
	other.Mean = [3]float32{.1, .2, .3}
	add(lora.Config{Blocks: []int{last}}, 1, adapterfile.Metadata{Task: adapterfile.Multiclass, Labels: labels(3), Recipe: b.model.Recipe})
	add(lora.Config{Blocks: []int{last}, Rank: 8}, 2, adapterfile.Metadata{Task: adapterfile.Multilabel, Labels: labels(4), Recipe: b.model.Recipe, Mirror: true})
	add(lora.Config{}, 3, adapterfile.Metadata{Task: adapterfile.Binary, Labels: labels(2), Recipe: b.model.Recipe})
	add(lora.Config{Blocks: []int{last}}, 4, adapterfile.Metadata{Task: adapterfile.Multiclass, Labels: labels(3), Recipe: other})
	add(lora.Config{Blocks: []int{}}, 5, adapterfile.Metadata{Method: lora.LinearOnly, Task: adapterfile.Multiclass, Labels: labels(3), Recipe: b.model.Recipe})
	own, err := b.OwnHead()
	if err != nil {
		t.Fatal(err)
	}
	adapters = append(adapters, own)
	for _, a := range adapters[:3] {
		size := 2 * b.model.Width
		a.fit = &fit.Description{Size: size, Mean: make([]float32, size), Scale: slices.Repeat([]float32{1}, size), Rest: 1, Scores: []float32{0, 1, 2}, Threshold: 1.5}
		a.meta.Fit = &adapterfile.Fit{Block: b.model.Depth / 2, Size: size}
	}
	broken := errors.New("cannot be read")
	read := func(_ context.Context, i int) (*imaging.Image, error) {
		if i == 4 {
			return nil, broken
		}
		return picture(uint64(i)), nil
	}
	const n = 8
	want := make([][]Prediction, len(adapters))
	for k, a := range adapters {
		if err := b.PredictEach(t.Context(), a, n, read, func(i int, p Prediction, err error) error {
			if (err != nil) != (i == 4) {
				t.Errorf("image %d: %v", i, err)
			}
			want[k] = append(want[k], p)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	next := 0
	err = b.PredictAll(t.Context(), adapters, n, func(ctx context.Context, i int, _ imaging.Recipe) (*imaging.Image, error) { return read(ctx, i) },
		func(i int, all []Prediction, errs []error) error {
			if i != next {
				t.Errorf("image %d, expected %d", i, next)
			}
			next++
			for k := range adapters {
				if i == 4 {
					if !errors.Is(errs[k], broken) {
						t.Errorf("adapter %d: error %v", k, errs[k])
					}
					continue
				}
				if errs[k] != nil || !reflect.DeepEqual(all[k], want[k][i]) {
					t.Errorf("adapter %d, image %d: %+v, %v, alone %+v", k, i, all[k], errs[k], want[k][i])
				}
			}
			return nil
		})
	if err != nil || next != n {
		t.Errorf("%d images, %v", next, err)
	}
}

// TestPredictAllFiles: errors and remarks are those of the file.
func TestPredictAllFiles(t *testing.T) {
	b := open(t, "hf_vit")
	var adapters []*Adapter
	for seed := range uint64(3) {
		a, err := b.Adapter(write(t, b, lora.Config{Blocks: []int{b.model.Depth - 1}}, seed, adapterfile.Metadata{Task: adapterfile.Multiclass, Labels: labels(3), Recipe: b.model.Recipe}))
		if err != nil {
			t.Fatal(err)
		}
		adapters = append(adapters, a)
	}
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "a b.png"), filepath.Join(dir, "bad.png")
	f, err := os.Create(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(png.Encode(f, image.NewGray(image.Rect(0, 0, 30, 40))), f.Close(), os.WriteFile(bad, []byte("no image"), 0o600)); err != nil {
		t.Fatal(err)
	}
	calls := 0
	err = b.PredictAllFiles(t.Context(), adapters, []string{good, bad}, func(i int, all []Prediction, errs []error) error {
		calls++
		for k := range adapters {
			if (errs[k] != nil) != (i == 1) {
				t.Errorf("image %d, adapter %d: %v", i, k, errs[k])
			}
		}
		return nil
	})
	if err != nil || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
	stop := errors.New("enough")
	if err := b.PredictAllFiles(t.Context(), adapters, []string{good, good}, func(int, []Prediction, []error) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.PredictAllFiles(ctx, adapters, []string{good, bad}, func(int, []Prediction, []error) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v after the end", err)
	}
}
