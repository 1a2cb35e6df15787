package adapterfile

import (
	"fmt"

	"melo.example/melo/compute"
	"melo.example/melo/internal/regular"
	"melo.example/melo/lora"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

// Import supplies what the formats of other software do not record.
type Import struct {
	// Base is the shape of the base. The adapter is checked against it. If it is nil, the description holds
	// only what follows from the tensors and their names.
	Base *vit.Config
	// Head is the base's own head, used if the adapter has none; nil if there is none. HeadDist is the second
	// head of a distilled DeiT.
	Head, HeadDist *vit.Head
	// Model is the base itself, needed for adapters that change more than low-rank updates of the linear maps.
	// nil if it is not available.
	Model  *compute.Model
	Labels []Label // one per class; none: "class 0", "class 1", ...
	Task   Task    // empty: Binary for one class, else Multiclass
	Limit  int64   // maximum file size in bytes; 0: 4 GiB
	// Look leaves out what cannot be computed without Model or Head. It is for inspecting a file, not for using
	// it.
	Look bool
	// Defer leaves out what becomes of the weights of the base where the adapter changes more of it: the file has the method
	// full and no Extra. It is read again, with Model, when it is to answer.
	Defer bool
}

// limit returns the maximum file size in bytes.
func (o *Import) limit() int64 {
	if o.Limit > 0 {
		return o.Limit
	}
	return maxImport
}

// FormatError reports that a format cannot express an adapter.
type FormatError struct {
	Path string // of the file or folder to be written
	Err  error
}

// Error names the file to be written and what cannot be expressed.
func (e *FormatError) Error() string { return fmt.Sprintf("adapterfile: %s: %v", e.Path, e.Err) }

// Unwrap returns the underlying error.
func (e *FormatError) Unwrap() error { return e.Err }

// importFile reads a safetensors file and calls parse. It adds the file's name to errors, and sets the digest
// to that of the file.
func importFile(path string, limit int64, parse func(st *safetensors.File) (*File, error)) (*File, error) {
	data, err := regular.ReadFile(path, limit)
	if err != nil {
		return nil, failed(path, err)
	}
	st, err := safetensors.ParseLimits(data, path, headers)
	if err != nil {
		return nil, failed(path, err)
	}
	f, err := parse(st)
	if err != nil {
		return nil, failed(path, err)
	}
	f.Digest = digestOf(data)
	return f, nil
}

// imported completes the description of an adapter from other software, and checks it.
func (f *File) imported(source string, hyperparameters map[string]any, o Import) error {
	m := &f.Meta
	m.Method = lora.MeLo
	switch {
	case len(f.Extra) > 0 || f.deferred:
		m.Method = lora.FullTuning
	case len(f.Adapter.Deltas) == 0:
		m.Method = lora.LinearOnly
	}
	m.Training = &Training{Source: source, Hyperparameters: hyperparameters}
	if err := f.labelHead(o); err != nil {
		return err
	}
	f.Adapter.Sort()
	if o.Base != nil {
		if m.Base.Family == "vit" && o.Base.Family == "mae" { // the encoder of a ViT-MAE is a ViT
			m.Base.Family = "mae"
		}
		if err := f.CheckBase(o.Base, ""); err != nil {
			return err
		}
		m.Base = NewBase(o.Base, m.Base.ID, "", "")
	}
	return f.describe()
}

// labelHead sets the names of the classes.
func (f *File) labelHead(o Import) error {
	h := f.Adapter.Head
	if h == nil {
		if len(o.Labels) > 0 {
			return fmt.Errorf("%d labels given, but there is no head", len(o.Labels))
		}
		return nil
	}
	f.Meta.Base.Features = h.Features
	f.Meta.Labels, f.Meta.Task = o.Labels, o.Task
	if len(o.Labels) > 0 && len(o.Labels) != h.Classes {
		return fmt.Errorf("%d labels given, expected %d as the head has classes", len(o.Labels), h.Classes)
	}
	if h.Classes > maxLabels {
		return fmt.Errorf("head of %d classes, expected at most %d", h.Classes, maxLabels)
	}
	for i := len(f.Meta.Labels); i < h.Classes; i++ {
		f.Meta.Labels = append(f.Meta.Labels, Label{Name: nameless(i)})
	}
	switch {
	case f.Meta.Task != "":
	case h.Classes == 1:
		f.Meta.Task = Binary
	default:
		f.Meta.Task = Multiclass
	}
	return nil
}

// Fold returns f with each scale multiplied into B, so that all scales are 1 (alpha = r). Formats with a
// coarser notion of scale can store that. Scales that are not powers of two cause rounding.
func (f *File) Fold() *File {
	folded := *f
	a := *f.Adapter
	a.Deltas = make([]lora.Delta, len(f.Adapter.Deltas))
	for i, d := range f.Adapter.Deltas {
		b := make([]float32, len(d.B))
		for j, v := range d.B {
			b[j] = v * d.Scale
		}
		d.B, d.Alpha, d.Scale = b, float32(d.Rank), 1
		a.Deltas[i] = d
	}
	folded.Adapter = &a
	return &folded
}

// TakeHead gives an adapter without a head the base's own head. labels may name its classes.
func (f *File) TakeHead(h *vit.Head, labels []string) error {
	f.Adapter.Head = h
	o := Import{}
	if len(labels) == h.Classes {
		o.Labels = Labels(labels...)
	}
	if err := f.labelHead(o); err != nil {
		return err
	}
	return f.describe()
}
