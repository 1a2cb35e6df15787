package main

import (
	"context"
	"path/filepath"

	facade "melo.example/melo"
	"melo.example/melo/experiment"
	"melo.example/melo/internal/atomicfile"
)

// ensembleOptions are the options of "melo ensemble".
type ensembleOptions struct {
	Adapters []string `arg:"" sep:"none" name:"adapter" help:"Adapter files of one base, with the same labels."`
	Out      string   `required:"" placeholder:"FILE" help:"List to write; its name ends with .ensemble.json."`
	Base     string   `placeholder:"BASE" help:"Base that the adapters were trained on, if it is no longer where it was."`
	trustOptions
}

// Help is the long help text.
func (ensembleOptions) Help() string {
	return `Makes one name of several adapters, those of the folds or seeds of a comparison, say. The list takes the place of
an adapter in predict, eval, explain and serve. An answer is the mean of the adapters' probabilities, and costs
as much as all of them; an image is unlike the training images by the mean of their scores.

The list holds the adapters' digests: an adapter that was changed is refused. Adapters with other labels, another base
or another preprocessing do not make an ensemble.

Examples:

    melo ensemble busi.compare/melo-*.safetensors --out busi.ensemble.json
    melo predict --adapter busi.ensemble.json scan.png` + exitHelp
}

// ensembleDocument is the --json document of "melo ensemble".
type ensembleDocument struct {
	Path       string                        `json:"path"`
	Digest     string                        `json:"digest"`
	Base       string                        `json:"base"`
	Task       string                        `json:"task"`
	Labels     []string                      `json:"labels"`
	Thresholds []float64                     `json:"thresholds"` // means of the members'; empty if they have none
	Members    []experiment.AdapterReference `json:"members"`
	Notice     string                        `json:"notice"`
}

// Run writes the list.
func (o *ensembleOptions) Run(ctx context.Context, s *stdio) error {
	if err := atomicfile.TryFolder(filepath.Dir(o.Out)); err != nil {
		return err
	}
	if err := fetchBase(ctx, s, o.Base); err != nil {
		return err
	}
	trusting, err := o.trusting()
	if err != nil {
		return err
	}
	base, first, err := facade.OpenFor(o.Adapters[0], o.Base, trusting, facade.Remember(cacheDir()))
	if err != nil {
		return badInput(err)
	}
	defer base.Close()
	members := []*facade.Adapter{first}
	for _, path := range o.Adapters[1:] {
		a, err := base.Adapter(path)
		if err != nil {
			return badInput(err)
		}
		members = append(members, a)
	}
	e, err := base.Ensemble(members...)
	if err != nil {
		return badInput(err)
	}
	if err := facade.WriteEnsemble(o.Out, e); err != nil {
		return err
	}
	if e, err = base.Adapter(o.Out); err != nil { // as it will be read
		return badInput(err)
	}
	meta := e.Metadata()
	doc := ensembleDocument{Path: o.Out, Digest: e.Digest(), Base: base.Path(), Task: string(meta.Task), Labels: e.Labels(), Thresholds: append([]float64{}, meta.Thresholds...), Notice: notice}
	for _, m := range members {
		doc.Members = append(doc.Members, experiment.AdapterReference{Path: m.Path(), Digest: m.Digest()})
	}
	s.printf("%s: %d adapters answer as one", o.Out, len(members))
	return s.document(&doc)
}
