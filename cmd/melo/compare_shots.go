package main

import (
	"context"
	"fmt"
	"os"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/report/lines"
	"melo.example/melo/report/study"
)

// runShots compares on few images, once for each number of them.
func (o *compareOptions) runShots(ctx context.Context, s *stdio) error {
	w := s.watch(true)
	defer w.close()
	set, base, err := openInputs(ctx, s, w, o.Base, o.Data, &o.trainSettings)
	if err != nil {
		return err
	}
	defer base.Close()
	defer set.close(s)
	e := o.options()
	e.Command = s.args
	for _, folder := range e.ShotsFolders(o.Shots) {
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return fmt.Errorf("folder for the comparison: %w", err)
		}
		if err := atomicfile.TryFolder(folder); err != nil {
			return err
		}
	}
	d, err := experiment.CompareShots(ctx, e, o.Shots, base, set.Set, w.event)
	if err == nil {
		err = study.WriteShots(ctx, d, s.sameCommand("--restart"), o.Pictures)
	}
	if err != nil {
		return o.unfinished(s, d != nil, hintPrepare(err))
	}
	w.close()
	lines.Shots(s.lines(), d)
	s.notice()
	return s.document(d)
}
