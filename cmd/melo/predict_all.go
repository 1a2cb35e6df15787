package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	facade "melo.example/melo"
	"melo.example/melo/experiment"
	"melo.example/melo/lora/adapterfile"
)

// predictAllDocument is the --json document of "melo predict --adapters".
type predictAllDocument struct {
	Adapters []predictDocument `json:"adapters"` // what each says, by file name
	Applies  []applying        `json:"applies"`  // by image, in the order given
	Notice   string            `json:"notice"`
}

// applying says which adapters an image is for.
type applying struct {
	Image   string   `json:"image"`
	Apply   []string `json:"apply"`           // whose training images were like it
	Unknown []string `json:"unknown"`         // that do not know their training images
	Error   string   `json:"error,omitempty"` // why no adapter has an answer
}

// runAll is Run with --adapters.
func (o *predictOptions) runAll(ctx context.Context, s *stdio) error {
	files, err := adapterfile.InFolder(o.Adapters)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: has no adapters (*.safetensors, or folders of PEFT)", o.Adapters)
	}
	if err != nil {
		return badInput(err)
	}
	first := *o
	first.Adapter = files[0]
	base, adapter, err := first.open(ctx, s)
	if err != nil {
		return err
	}
	defer base.Close()
	adapters := []*facade.Adapter{adapter}
	for _, file := range files[1:] {
		if adapter, err = base.Adapter(file); err != nil {
			return badInput(err)
		}
		adapters = append(adapters, adapter)
	}
	all := predictAllDocument{Notice: notice}
	for i, a := range adapters {
		all.Adapters = append(all.Adapters, predictDocument{Base: base.Path(), Precision: base.Model().Precision.String(), Task: string(a.Metadata().Task),
			Labels: a.Labels(), Adapter: &experiment.AdapterReference{Path: files[i], Digest: a.Digest()},
			Results: []prediction{}, Failed: []experiment.FailedImage{}, Notice: notice})
	}
	if err := o.predictAll(ctx, s, base, adapters, all.Adapters); err != nil {
		return err
	}
	all.apply(o.Images)
	if s.json {
		if err := s.document(&all); err != nil {
			return err
		}
	} else {
		all.print(s, o)
	}
	return all.failure()
}

// predictAll fills in what each adapter says, in the order of the images. What is wrong with an image is said once, not by
// every adapter.
func (o *predictOptions) predictAll(ctx context.Context, s *stdio, base *facade.Base, adapters []*facade.Adapter, docs []predictDocument) error {
	progress := s.progress()
	defer progress.Close()
	meter := progress.Start("predicting", 0, int64(len(o.Images)))
	defer meter.Finish()
	said := map[string]bool{}
	return base.PredictAllFiles(ctx, adapters, o.Images, func(i int, all []facade.Prediction, errs []error) error {
		for k := range docs {
			if text := o.add(&docs[k], i, all[k], errs[k]); text != "" && !said[text] {
				said[text] = true
				progress.Printf("melo: %s", text)
			}
		}
		meter.Set(int64(i+1), "")
		return nil
	})
}

// taskName is what an adapter is called in a list.
func (d *predictDocument) taskName() string {
	return strings.TrimSuffix(filepath.Base(d.Adapter.Path), ".safetensors")
}

// result returns what an adapter says about an image; nil if it says nothing.
func (d *predictDocument) result(image string) *prediction {
	i := slices.IndexFunc(d.Results, func(p prediction) bool { return p.Image == image })
	if i < 0 {
		return nil
	}
	return &d.Results[i]
}

// apply finds out which adapters the images are for.
func (d *predictAllDocument) apply(images []string) {
	d.Applies = []applying{}
	for _, image := range images {
		a := applying{Image: image, Apply: []string{}, Unknown: []string{}}
		for k := range d.Adapters {
			x := &d.Adapters[k]
			switch r := x.result(image); {
			case r == nil:
			case r.Fit == nil:
				a.Unknown = append(a.Unknown, x.taskName())
			case !r.Fit.Unlike:
				a.Apply = append(a.Apply, x.taskName())
			}
		}
		a.Error = d.errorOf(image)
		d.Applies = append(d.Applies, a)
	}
}

// errorOf returns why no adapter has an answer for an image, "" where one has.
func (d *predictAllDocument) errorOf(image string) (text string) {
	for k := range d.Adapters {
		x := &d.Adapters[k]
		if x.result(image) != nil {
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

// print shows by image what the adapters say that it is for.
func (d *predictAllDocument) print(s *stdio, o *predictOptions) {
	width := 0
	for k := range d.Adapters {
		width = max(width, len(d.Adapters[k].taskName()))
	}
	for _, a := range d.Applies {
		s.printf("%s", inLine(a.Image))
		switch {
		case a.Error != "":
			s.printf("  no answer")
		case len(a.Apply)+len(a.Unknown) == 0:
			s.printf("  no adapter knows such images")
		}
		for k := range d.Adapters {
			x := &d.Adapters[k]
			r := x.result(a.Image)
			if r == nil || r.Fit != nil && r.Fit.Unlike {
				continue
			}
			line := fmt.Sprintf("  %-*s", width, x.taskName())
			for _, i := range topOf(r.Probabilities, o.Top) {
				line += fmt.Sprintf("  %5.1f%% %s", 100*r.Probabilities[i], x.Labels[i])
			}
			if r.Fit == nil {
				line += "  (does not know its training images)"
			}
			s.printf("%s", line)
		}
	}
	if len(d.Adapters) > 0 {
		d.Adapters[0].remark(s)
		s.notef("in %s; %s", d.Adapters[0].Precision, notice)
	}
}

// failure is the error of a run in which images could not be read. One that every adapter fails at counts once.
func (d *predictAllDocument) failure() error {
	failed := map[string]bool{}
	for k := range d.Adapters {
		for _, f := range d.Adapters[k].Failed {
			failed[f.Image] = true
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return badInput(fmt.Errorf("%d of %d images could not be read, or were refused by an adapter", len(failed), len(d.Applies)))
}
