// Package predictions holds what adapters say about images as documents: for programs (JSON), and as tables (CSV, Parquet).
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

// Document is what an adapter, or the head of a base, says about images, and the --json document of "melo predict".
type Document struct {
	Base      string                       `json:"base"`
	Adapter   *experiment.AdapterReference `json:"adapter,omitempty"`
	Precision string                       `json:"precision"` // of the base's products
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
	// Fit says whether the image is like the training images; null if the adapter does not know.
	Fit *fit.Verdict `json:"fit"`
	// Set has the labels that cannot be excluded; absent without --coverage, and for an image that is unlike the training images.
	Set *conformal.Set `json:"set,omitempty"`
	// Remarks says what was chosen where the image's file leaves a choice.
	Remarks []string `json:"remarks,omitempty"`
}

// Failure is the error of a run in which some images could not be read.
func (d *Document) Failure() error {
	if len(d.Failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d images could not be read or were refused", len(d.Failed), len(d.Failed)+len(d.Results))
}

// Remarks says what was chosen about images: a line for each choice, with the first three images and how many more
// it was made for.
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

// All is what several adapters say about images, and the --json document of "melo predict --adapters".
type All struct {
	Adapters []Document `json:"adapters"` // what each says, by file name
	Applies  []Applying `json:"applies"`  // by image, in the order given
	Notice   string     `json:"notice"`
}

// Applying says which adapters an image is for.
type Applying struct {
	Image   string   `json:"image"`
	Apply   []string `json:"apply"`           // whose training images were like it
	Unknown []string `json:"unknown"`         // that do not know their training images
	Error   string   `json:"error,omitempty"` // why no adapter has an answer
}

// TaskName is what an adapter is called in a list.
func (d *Document) TaskName() string {
	return strings.TrimSuffix(filepath.Base(d.Adapter.Path), ".safetensors")
}

// Result returns what an adapter says about an image; nil if it says nothing.
func (d *Document) Result(image string) *Prediction {
	i := slices.IndexFunc(d.Results, func(p Prediction) bool { return p.Image == image })
	if i < 0 {
		return nil
	}
	return &d.Results[i]
}

// Apply finds out which adapters the images are for.
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

// errorOf returns why no adapter has an answer for an image, "" where one has.
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

// Failure is the error of a run in which images could not be read. One that every adapter fails at counts once.
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
