package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"melo/imaging"
	"melo/internal/kernel"
	"melo/lora"
	"melo/lora/adapterfile"
	"melo/vit"
)

// task is what predictions are made with: a base, and an adapter or the base's own head.
type task struct {
	model        *vit.Model
	adapter      *lora.Adapter     // nil: the base's own head
	reference    *adapterReference // nil: the base's own head
	kind         adapterfile.Task
	labels       []string
	temperatures []float64 // of the logits: none, one, or one a label
	recipe       imaging.Recipe
}

// openTask opens what --adapter and --base name; either may be empty, not both.
func openTask(ctx context.Context, adapterPath, basePath string, ex *kernel.Exec) (*task, error) {
	if adapterPath == "" {
		m, err := openBase(basePath, ex)
		if err != nil {
			return nil, err
		}
		if m.Head == nil {
			return nil, badInput(fmt.Errorf("%s: has no head of its own: give an --adapter", m.Path))
		}
		return &task{model: m, kind: adapterfile.Multiclass, labels: labelNames(m.Labels, m.Head.Classes), recipe: m.Recipe}, nil
	}
	f, err := readAdapter(adapterPath)
	if err != nil {
		return nil, badInput(err)
	}
	m, err := openBaseOf(ctx, f, basePath, ex)
	if err != nil {
		return nil, err
	}
	return taskOf(f, m), nil
}

// taskOf puts an adapter on a base that it has been checked against.
func taskOf(f *adapterfile.File, m *vit.Model) *task {
	t := &task{
		model: m, adapter: f.Adapter, reference: &adapterReference{f.Path, f.Digest},
		kind: f.Meta.Task, temperatures: f.Meta.Temperatures, recipe: f.Meta.Recipe,
	}
	if t.recipe == (imaging.Recipe{}) {
		t.recipe = m.Recipe
	}
	for _, l := range f.Meta.Labels {
		t.labels = append(t.labels, l.Name)
	}
	t.labels = labelNames(t.labels, f.Adapter.Head.Classes)
	return t
}

// labelNames returns one name per class; without names, classes are numbered.
func labelNames(names []string, classes int) []string {
	if len(names) == classes {
		return names
	}
	names = make([]string, classes)
	for i := range names {
		names[i] = fmt.Sprintf("class %d", i)
	}
	return names
}

// readAdapter reads a native adapter that can predict.
func readAdapter(path string) (*adapterfile.File, error) {
	kind, err := adapterfile.Sniff(path)
	if err != nil {
		return nil, err
	}
	if kind != adapterfile.Native {
		return nil, fmt.Errorf("%s: is %v, expected a native adapter (melo convert makes one from LoRA-ViT and PEFT)", path, kind)
	}
	f, err := adapterfile.Read(path)
	if err != nil {
		return nil, err
	}
	if f.Adapter.Head == nil {
		return nil, fmt.Errorf("%s: the adapter has no head, so it cannot predict", path)
	}
	return f, nil
}

// openBaseOf opens the base that an adapter belongs to: the one given, or the one that the adapter was
// trained on if it is still there. Its shape and digest are checked.
func openBaseOf(ctx context.Context, f *adapterfile.File, path string, ex *kernel.Exec) (*vit.Model, error) {
	if path == "" {
		var err error
		if path, err = findBase(f); err != nil {
			return nil, badInput(err)
		}
	}
	var m *vit.Model
	var digest string
	group, _ := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		m, err = openBase(path, ex)
		return err
	})
	if f.Meta.Base.Digest != "" {
		group.Go(func() (err error) {
			digest, err = adapterfile.BaseDigest(path)
			return badInput(err)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := f.CheckBase(&m.Config, digest); err != nil {
		return nil, badInput(err)
	}
	return m, nil
}

// findBase looks for the base where the adapter says it was: from here, or from the adapter's folder.
func findBase(f *adapterfile.File) (string, error) {
	hint := f.Meta.Base.PathHint
	if hint == "" {
		return "", fmt.Errorf("%s: does not say where its base %s is: give --base", f.Path, f.Meta.Base.ID)
	}
	for _, path := range []string{hint, filepath.Join(filepath.Dir(f.Path), hint)} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("%s: its base is no longer at %s: give --base", f.Path, hint)
}

// prediction turns the logits of one image into its answer.
func (t *task) prediction(image string, logits []float32) prediction {
	p := prediction{Image: image, Probabilities: make([]float64, len(t.labels)), Logits: append([]float32(nil), logits...)}
	t.probabilities(p.Probabilities, logits)
	best := topOf(p.Probabilities, 1)[0]
	p.Label, p.Probability = t.labels[best], p.Probabilities[best]
	return p
}

// probabilities calibrates the logits of one image and turns them into probabilities.
func (t *task) probabilities(dst []float64, logits []float32) {
	calibrated := make([]float64, len(logits))
	for i, v := range logits {
		temperature := 1.0
		if n := len(t.temperatures); n > 0 {
			temperature = cmp.Or(t.temperatures[min(i, n-1)], 1)
		}
		calibrated[i] = float64(v) / temperature
	}
	if t.kind == adapterfile.Multilabel || len(logits) == 1 {
		sigmoid(dst, calibrated)
	} else {
		softmax(dst, calibrated)
	}
}
