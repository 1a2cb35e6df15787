// Package predictions defines documents of predictions: JSON for programs, and tables as CSV and Parquet.
package predictions

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"melo.example/melo/conformal"
	"melo.example/melo/experiment"
	"melo.example/melo/fit"
	"melo.example/melo/internal/text"
)

// Document holds the predictions of an adapter, or of a base's own head. It is the --json document of "melo
// predict".
type Document struct {
	Base      string                       `json:"base"`
	Adapter   *experiment.AdapterReference `json:"adapter,omitempty"`
	Precision string                       `json:"precision"` // of the base's matrix products
	Task      string                       `json:"task"`      // binary, multiclass or multilabel
	Labels    []string                     `json:"labels"`
	Results   []Prediction                 `json:"results"`
	Failed    []experiment.FailedImage     `json:"failed"`
	Notice    string                       `json:"notice"`
}

// Prediction is the answer for one image.
type Prediction struct {
	Image         string    `json:"image"`
	Label         string    `json:"label"` // the most probable one
	Probability   float64   `json:"probability"`
	Probabilities []float64 `json:"probabilities"` // in the order of labels
	Logits        []float32 `json:"logits"`
	// Fit says whether the image resembles the training images; null if the adapter has no such test.
	Fit *fit.Verdict `json:"fit"`
	// Set holds the labels that cannot be excluded. It is absent without --coverage, and for an image that does
	// not resemble the training images.
	Set *conformal.Set `json:"set,omitempty"`
	// Remarks lists choices made where the image's file allows several, such as the page.
	Remarks []string `json:"remarks,omitempty"`
}

// Failure returns an error if some images could not be read, else nil.
func (d *Document) Failure() error {
	if len(d.Failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d images could not be read or were refused", len(d.Failed), len(d.Failed)+len(d.Results))
}

// Remarks returns the choices made about images: a line for each, with the first three images and the number of
// further ones.
func (d *Document) Remarks() (list []string) {
	var order []string
	images := map[string][]string{}
	for _, r := range d.Results {
		for _, t := range r.Remarks {
			if images[t] == nil {
				order = append(order, t)
			}
			images[t] = append(images[t], text.InLine(r.Image))
		}
	}
	for _, t := range order {
		names := images[t]
		more := ""
		if n := len(names); n > 3 {
			names, more = names[:3], fmt.Sprintf(" and %d more", n-3)
		}
		list = append(list, fmt.Sprintf("%s: %s%s", strings.Join(names, ", "), t, more))
	}
	return list
}

// All holds the predictions of several adapters. It is the --json document of "melo predict --adapters".
type All struct {
	Adapters []Document `json:"adapters"` // of each adapter, by file name
	Applies  []Applying `json:"applies"`  // by image, in the order given
	Notice   string     `json:"notice"`
}

// Applying lists the adapters that are suitable for an image.
type Applying struct {
	Image   string   `json:"image"`
	Apply   []string `json:"apply"`           // adapters whose training images resembled it
	Unknown []string `json:"unknown"`         // adapters without a description of their training images
	Error   string   `json:"error,omitempty"` // if no adapter has an answer
}

// TaskName returns the name of the adapter's file without its extension.
func (d *Document) TaskName() string {
	return strings.TrimSuffix(filepath.Base(d.Adapter.Path), ".safetensors")
}

// Result returns the prediction for an image, nil if there is none.
func (d *Document) Result(image string) *Prediction {
	i := slices.IndexFunc(d.Results, func(p Prediction) bool { return p.Image == image })
	if i < 0 {
		return nil
	}
	return &d.Results[i]
}

// Apply fills in Applies for the images.
func (d *All) Apply(images []string) {
	d.Applies = []Applying{}
	for _, image := range images {
		a := Applying{Image: image, Apply: []string{}, Unknown: []string{}}
		for k := range d.Adapters {
			x := &d.Adapters[k]
			switch r := x.Result(image); {
			case r == nil:
			case r.Fit == nil:
				a.Unknown = append(a.Unknown, x.TaskName())
			case !r.Fit.Unlike:
				a.Apply = append(a.Apply, x.TaskName())
			}
		}
		a.Error = d.errorOf(image)
		d.Applies = append(d.Applies, a)
	}
}

// errorOf returns why no adapter has an answer for an image, or "" if one has.
func (d *All) errorOf(image string) (text string) {
	for k := range d.Adapters {
		x := &d.Adapters[k]
		if x.Result(image) != nil {
			return ""
		}
		for _, f := range x.Failed {
			if f.Image == image && text == "" {
				text = f.Error
			}
		}
	}
	return text
}

// Failure returns an error if some images could not be read, else nil. An image that fails with every adapter
// counts once.
func (d *All) Failure() error {
	failed := map[string]bool{}
	for k := range d.Adapters {
		for _, f := range d.Adapters[k].Failed {
			failed[f.Image] = true
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d images could not be read, or were refused by an adapter", len(failed), len(d.Applies))
}
