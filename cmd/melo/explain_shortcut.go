package main

import (
	"context"
	"io"
	"path/filepath"

	facade "melo.example/melo"
	"melo.example/melo/imaging"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/report/lines"
)

// shortcuts is Run with --shortcut: it looks at some of the images and writes a mean map for each label that was answered.
func (o *explainOptions) shortcuts(ctx context.Context, s *stdio, base *facade.Base, adapter *facade.Adapter, doc *explainDocument) error {
	images := o.Images
	if n := len(images); n > o.Limit {
		images = nil
		for i := range o.Limit {
			images = append(images, o.Images[i*n/o.Limit])
		}
	}
	progress := s.progress()
	meter := progress.Start("looking for shortcuts", 0, int64(len(images)))
	found, err := base.Shortcuts(ctx, adapter, len(images), func(ctx context.Context, i int) (*imaging.Image, error) {
		meter.Set(int64(i), "")
		return imaging.DecodeFileContext(ctx, images[i], adapter.Recipe().Decoding(imaging.DefaultLimits))
	})
	meter.Finish()
	progress.Close()
	if err != nil {
		return badInput(err)
	}
	doc.Method, doc.Shortcuts = found.Method, &found.Findings
	taken := map[string]bool{}
	for l, label := range adapter.Labels() {
		if len(found.Mean[l]) == 0 {
			continue
		}
		path := filepath.Join(o.Out, freeName("mean."+safeName(label), taken)+".png")
		if err := atomicfile.Write(path, 0o666, func(w io.Writer) error {
			_, err := found.WritePNG(w, l, found.Method+", "+adapter.Name())
			return err
		}); err != nil {
			return err
		}
	}
	lines.Shortcuts(s.lines(), &found.Findings)
	s.printf("mean maps: %s", o.Out)
	s.notice()
	return s.document(doc)
}
