package main

import (
	"context"

	"melo.example/melo/bases"
	"melo.example/melo/dataset"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/memo"
	"melo.example/melo/internal/par"
	"melo.example/melo/vit"
)

// trainBase is a base that runs are trained on. Its weights are read once for each form that a run asks for.
type trainBase struct {
	path   string
	digest string
	pool   *par.Pool
	models map[baseForm]*vit.Model
	told   bool // how images are prepared
	apart  bool // weights are packed for this process alone, so that what is dropped from models is given back
}

// openTrainBase finds the base of that name, and fetches it if it is on a hub. Its runs share the pool, one after the
// other.
func openTrainBase(ctx context.Context, s *stdio, path string, pool *par.Pool) (*trainBase, error) {
	if err := fetchBase(ctx, s, path); err != nil {
		return nil, err
	}
	digest, err := bases.Digest(memo.New(cacheDir()), path)
	if err != nil {
		return nil, badInput(err)
	}
	return &trainBase{path: path, digest: digest, pool: pool, models: map[baseForm]*vit.Model{}}, nil
}

// tellPrepare says once how images are prepared, where that is not the word of a file.
func (b *trainBase) tellPrepare(s *stdio, m *vit.Model) error {
	if b.told {
		return nil
	}
	b.told = true
	return tellPrepare(s, m)
}

// model returns the base in a form.
func (b *trainBase) model(form baseForm) (*vit.Model, error) {
	form.apart = b.apart
	if m := b.models[form]; m != nil {
		return m, nil
	}
	m, err := openBase(b.path, kernel.NewExec(b.pool), form)
	if err != nil {
		return nil, err
	}
	b.models[form] = m
	return m, nil
}

// trainSet is data that runs are trained on: every image was looked at. Close it when done.
type trainSet struct {
	*dataset.Dataset
	path   string
	digest string
	bad    []string // images that cannot be read and are left out
	told   int      // warnings that were shown
}

// openTrainSet finds the images and says what is there. How they are divided is a matter of each run.
func openTrainSet(ctx context.Context, s *stdio, path string, source *dataSource) (*trainSet, error) {
	ds, err := source.open(path, nil)
	if err != nil {
		return nil, badInput(err)
	}
	set := &trainSet{Dataset: ds, path: path, bad: []string{}}
	if err := set.scan(ctx, s, source); err != nil {
		set.close(s)
		return nil, badInput(err)
	}
	for _, b := range ds.Bad() {
		set.bad = append(set.bad, b.Path)
		s.notef("note: left out: %s", oneLine(b.Err))
	}
	return set, nil
}

// tell shows the warnings that it has not shown yet: dividing the data may find more.
func (t *trainSet) tell(s *stdio) {
	for ; t.told < len(t.Warnings); t.told++ {
		s.notef("note: %s", t.Warnings[t.told])
	}
}

func (t *trainSet) scan(ctx context.Context, s *stdio, source *dataSource) error {
	if err := scanData(ctx, s, t.Dataset, dataset.ScanOptions{MaxBad: source.MaxBad}); err != nil {
		return err
	}
	digest, err := t.Digest()
	t.digest = "sha256:" + digest
	return err
}

// close gives back what the data holds.
func (t *trainSet) close(s *stdio) {
	if err := t.Close(); err != nil {
		s.notef("%s", oneLine(err))
	}
}
