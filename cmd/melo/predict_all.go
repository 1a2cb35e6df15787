package main

import (
	"context"
	"fmt"

	facade "melo.example/melo"
	"melo.example/melo/experiment"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/lora/ensemble"
	"melo.example/melo/predictions"
	"melo.example/melo/report/lines"
)

// runAll implements Run with --adapters.
func (o *predictOptions) runAll(ctx context.Context, s *stdio) error {
	files, err := adapterfile.InFolder(o.Adapters)
	if err == nil {
		var lists []string
		lists, err = ensemble.InFolder(o.Adapters)
		files = append(files, lists...)
	}
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
	all := predictions.All{Notice: notice}
	for i, a := range adapters {
		all.Adapters = append(all.Adapters, predictions.Document{Base: base.Path(), Precision: base.Model().Precision.String(), Task: string(a.Metadata().Task),
			Labels: a.Labels(), Adapter: &experiment.AdapterReference{Path: files[i], Digest: a.Digest()},
			Results: []predictions.Prediction{}, Failed: []experiment.FailedImage{}, Notice: notice})
	}
	if err := o.predictAll(ctx, s, base, adapters, all.Adapters); err != nil {
		return err
	}
	all.Apply(o.Images)
	if s.json {
		err = s.document(&all)
	} else {
		lines.PredictedAll(s.lines(), &all, o.Top)
		s.aboutAnswers(&all.Adapters[0])
	}
	if err != nil {
		return err
	}
	return badInput(all.Failure())
}

// predictAll fills in the answers of each adapter, in the order of the images. An error of an image is reported
// once, not for every adapter.
func (o *predictOptions) predictAll(ctx context.Context, s *stdio, base *facade.Base, adapters []*facade.Adapter, docs []predictions.Document) error {
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
