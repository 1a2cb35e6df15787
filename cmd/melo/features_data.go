package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"melo.example/melo/dataset"
	"melo.example/melo/experiment"
	"melo.example/melo/features"
	"melo.example/melo/imaging"
)

// looked are the images that features are made of, in order, and what is known of them.
type looked struct {
	names   []string
	columns []features.Column
	set     *experiment.Set // nil: files
}

// image decodes one.
func (l *looked) image(ctx context.Context, i int, o imaging.Options) (*imaging.Image, error) {
	if l.set == nil {
		return imaging.DecodeFileContext(ctx, l.names[i], o)
	}
	return l.set.Image(ctx, i, o)
}

// identity tells these images from others of the same names: a data set by what is in it, files by place, size and time.
func (l *looked) identity() (string, error) {
	if l.set != nil {
		return l.set.Dataset.Digest()
	}
	h := sha256.New()
	for _, name := range l.names {
		path, err := filepath.Abs(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%q", path)
		if info, err := os.Stat(path); err == nil { // what is wrong with it is said when it is read
			fmt.Fprintf(h, " %d %d", info.Size(), info.ModTime().UnixNano())
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// lookAt reads a data set, and divides it as a training would.
func lookAt(ctx context.Context, s *stdio, path string, source *experiment.Source) (*looked, error) {
	if source.Folds > 0 {
		return nil, usage(errors.New("features: --folds: an image has no split but in a fold"))
	}
	w := s.watch(true)
	defer w.close()
	set, err := experiment.OpenSet(ctx, path, source, w.Event)
	if err != nil {
		return nil, err
	}
	parts, _, err := source.Divide(set.Dataset, 0)
	if err != nil {
		return nil, badInput(errors.Join(err, set.Close()))
	}
	l := &looked{set: set}
	split := make([]string, len(set.Samples))
	for i, name := range []string{dataset.Train, dataset.Val, dataset.Test} {
		for _, k := range parts[i] {
			split[k] = name
		}
	}
	label := features.Column{Name: "label"}
	for i := range set.Samples {
		x := &set.Samples[i]
		if l.names = append(l.names, x.Path); x.Label >= 0 {
			label.Text = append(label.Text, set.Labels[x.Label])
		}
	}
	l.columns = []features.Column{label}
	if set.Task == dataset.MultiLabel {
		l.columns = nil
		for k, name := range set.Labels {
			c := features.Column{Name: "label:" + name}
			for i := range set.Samples {
				v := float64(set.Samples[i].Targets[k])
				if set.Samples[i].Targets[k] == dataset.Unknown {
					v = math.NaN()
				}
				c.Numbers = append(c.Numbers, v)
			}
			l.columns = append(l.columns, c)
		}
	}
	l.columns = append(l.columns, features.Column{Name: "split", Text: split})
	return l, nil
}
