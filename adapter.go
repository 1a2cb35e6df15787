package melo

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"melo.example/melo/compute"
	"melo.example/melo/conformal"
	"melo.example/melo/fit"
	"melo.example/melo/imaging"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/lora/answer"
	"melo.example/melo/lora/ensemble"
	"melo.example/melo/vit"
)

// Adapter is a small model for one task that runs on a shared base. It is immutable and safe for concurrent
// use.
type Adapter struct {
	base         *Base // that the adapter is attached to
	path, digest string
	meta         adapterfile.Metadata
	labels       []string
	rule         answer.Rule
	recipe       imaging.Recipe
	source       *lora.Adapter
	fit          *fit.Description // of the training images; nil: unknown
	lora         *lora.Resident   // nil: the base's own head

	members []*Adapter // of an ensemble, which has neither source nor fit nor lora

	own *vit.Model     // the base with its trained weights (method full) or another pooling; nil: the base
	run compute.Engine // of own; guarded by Base.mu
}

// Adapter reads an adapter, a native file or one of PEFT or LoRA-ViT, and checks that it belongs to this base: shape,
// digest, preprocessing. Files of other software have no digest of their base. A list of adapters (NAME.ensemble.json) is an
// [Base.Ensemble].
func (b *Base) Adapter(path string) (*Adapter, error) {
	if err := b.usable(); err != nil {
		return nil, err
	}
	if ensemble.Is(path) {
		return b.ensembleAt(path)
	}
	if adapterfile.Foreign(path) {
		f, err := adapterfile.ReadForeign(path, b.model, maxForeign)
		if err != nil {
			return nil, err
		}
		return b.attach(f, "")
	}
	f, err := readAdapter(path)
	if err != nil {
		return nil, err
	}
	return b.adapter(f)
}

// adapter attaches an adapter to the base.
func (b *Base) adapter(f *adapterfile.File) (*Adapter, error) {
	digest, err := "", error(nil)
	if f.Meta.Base.Digest != "" {
		if digest, err = b.Digest(); err != nil {
			return nil, err
		}
	}
	return b.attach(f, digest)
}

// OwnHead returns the classification head that is part of the base, as an adapter without low-rank matrices. It
// is an error if the base has none. Labels without names are called "class 0" and so on.
func (b *Base) OwnHead() (*Adapter, error) {
	if err := b.usable(); err != nil {
		return nil, err
	}
	m := b.model
	if m.Head == nil {
		return nil, fmt.Errorf("melo: %s: has no head of its own: an adapter is needed to predict", m.Path)
	}
	if err := m.CheckRecipe(); err != nil {
		return nil, err
	}
	task, err := adapterfile.TaskOf(m)
	if err != nil {
		return nil, fmt.Errorf("melo: %s: %w", m.Path, err)
	}
	a := &Adapter{base: b, labels: m.Labels, recipe: m.Recipe, meta: adapterfile.Metadata{Task: task, Recipe: m.Recipe}}
	if len(a.labels) != m.Head.Classes {
		a.labels = make([]string, m.Head.Classes)
		for i := range a.labels {
			a.labels[i] = fmt.Sprintf("class %d", i)
		}
	}
	a.meta.Labels = adapterfile.Labels(a.labels...)
	a.rule = a.meta.Rule()
	return a, nil
}

// readAdapter reads an adapter in the native format, and checks that it can predict.
func readAdapter(path string) (*adapterfile.File, error) {
	f, err := adapterfile.Read(path)
	if err != nil {
		if kind, sniffErr := adapterfile.Sniff(path); sniffErr == nil && kind != adapterfile.Native {
			return nil, fmt.Errorf("melo: %s: is %v, expected a native adapter (melo convert makes one from LoRA-ViT and PEFT)", path, kind)
		}
		return nil, err
	}
	if f.Adapter.Head == nil {
		return nil, fmt.Errorf("melo: %s: the adapter has no head, so it cannot predict", path)
	}
	return f, nil
}

// attach attaches an adapter to the base. digest is the base's digest, needed only if the adapter specifies
// one.
func (b *Base) attach(f *adapterfile.File, digest string) (*Adapter, error) {
	if _, err := b.form.policy.CheckFile(f.Path, f.Digest, ""); err != nil {
		return nil, err
	}
	model := b.model
	if pool := f.Meta.Pool; pool != "" && pool != model.Pooling.String() {
		var err error
		if model, err = vit.Pooled(model, pool); err != nil {
			return nil, fmt.Errorf("melo: %s: %w", f.Path, err)
		}
	}
	if err := f.CheckBase(&model.Config, digest); err != nil {
		return nil, err
	}
	a := &Adapter{base: b, path: f.Path, digest: f.Digest, meta: f.Meta, labels: f.Meta.LabelNames(), rule: f.Meta.Rule(), recipe: f.Meta.Recipe, fit: f.Fit, lora: f.Adapter.Resident(b.model.Precision), source: f.Adapter}
	if a.recipe == (imaging.Recipe{}) {
		if err := b.model.CheckRecipe(); err != nil {
			return nil, fmt.Errorf("%w, and neither does the adapter %s", err, f.Path)
		}
		a.recipe = b.model.Recipe
	}
	if a.recipe.Size != b.model.Image {
		return nil, fmt.Errorf("melo: %s: its recipe makes images of side %d, the base takes %d", f.Path, a.recipe.Size, b.model.Image)
	}
	if model != b.model {
		a.own = model
	}
	if f.Meta.Method == lora.FullTuning {
		var err error
		if a.own, err = b.tunedModel(model, f); err != nil {
			return nil, err
		}
	}
	return a, b.checkSelf(a, f)
}

// Name returns the name of the adapter's file without its extension, or "own head" for the base's own head.
func (a *Adapter) Name() string {
	switch {
	case a.path == "" && len(a.members) > 0:
		return "ensemble"
	case a.path == "":
		return "own head"
	}
	return strings.TrimSuffix(strings.TrimSuffix(filepath.Base(a.path), ensemble.Ending), ".safetensors")
}

// Path returns the path of the adapter file, empty for the base's own head.
func (a *Adapter) Path() string { return a.path }

// Digest returns the SHA-256 digest of the adapter file, empty for the base's own head.
func (a *Adapter) Digest() string { return a.digest }

// Labels returns the names of the outputs, in order. The caller must not change the slice.
func (a *Adapter) Labels() []string { return a.labels }

// Set returns the prediction set for an answer of this adapter: the labels that cannot be excluded. Over images
// like those of the validation split, sets contain the true label with probability coverage (between 0 and 1).
// Set returns nil without an error for an image that does not resemble the training images, and an error if the
// adapter has no calibration for prediction sets.
func (a *Adapter) Set(p *Prediction, coverage float64) (*conformal.Set, error) {
	if a == nil || p == nil || len(p.Probabilities) != len(a.labels) {
		return nil, errors.New("melo: a set is of an adapter and one of its answers")
	}
	if err := conformal.Check(coverage); err != nil {
		return nil, fmt.Errorf("melo: %w", err)
	}
	if len(a.members) > 0 {
		return nil, fmt.Errorf("melo: %s: an ensemble has no prediction sets: those of its members are calibrated to other probabilities", a.Name())
	}
	if a.rule.Sets == nil {
		return nil, fmt.Errorf("melo: %s: %w", a.Name(), answer.ErrNoSets)
	}
	return a.rule.Set(p, coverage), nil
}

// Recipe returns the preprocessing of images.
func (a *Adapter) Recipe() imaging.Recipe { return a.recipe }

// Metadata returns the description in the adapter file: task, calibration, training, metrics.
func (a *Adapter) Metadata() adapterfile.Metadata { return a.meta }
