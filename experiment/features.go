package experiment

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
	"melo.example/melo/features"
	"melo.example/melo/imaging"
)

// FeatureImages are images that features are made of, in order, and what is known of them.
type FeatureImages struct {
	Names   []string
	Columns []features.Column
	set     *Set // nil: files
}

// FeaturesOfFiles are those of files.
func FeaturesOfFiles(names []string) *FeatureImages { return &FeatureImages{Names: names} }

// Image decodes one.
func (l *FeatureImages) Image(ctx context.Context, i int, o imaging.Options) (*imaging.Image, error) {
	if l.set == nil {
		return imaging.DecodeFileContext(ctx, l.Names[i], o)
	}
	return l.set.Image(ctx, i, o)
}

// Identity tells these images from others of the same names: a data set by what is in it, files by place, size and time.
func (l *FeatureImages) Identity() (string, error) {
	if l.set != nil {
		return l.set.Dataset.Digest()
	}
	h := sha256.New()
	for _, name := range l.Names {
		path, err := filepath.Abs(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%q", path)
		if info, err := os.Stat(path); err == nil { // an error is reported when the file is read
			fmt.Fprintf(h, " %d %d", info.Size(), info.ModTime().UnixNano())
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Close releases what the images are read from.
func (l *FeatureImages) Close() error {
	if l.set == nil {
		return nil
	}
	return l.set.Close()
}

// FeaturesOfData reads a data set, and divides it as a training would.
func FeaturesOfData(ctx context.Context, path string, source *Source, hook Hook) (*FeatureImages, error) {
	if source.Folds > 0 {
		return nil, setting("folds", "%d: an image has no split but in a fold", source.Folds)
	}
	set, err := OpenSet(ctx, path, source, hook)
	if err != nil {
		return nil, err
	}
	parts, _, err := source.Divide(set.Dataset, 0)
	if err != nil {
		return nil, badInput(errors.Join(err, set.Close()))
	}
	l := &FeatureImages{set: set}
	split := make([]string, len(set.Samples))
	for i, name := range []string{dataset.Train, dataset.Val, dataset.Test} {
		for _, k := range parts[i] {
			split[k] = name
		}
	}
	label := features.Column{Name: "label"}
	for i := range set.Samples {
		x := &set.Samples[i]
		if l.Names = append(l.Names, x.Path); x.Label >= 0 {
			label.Text = append(label.Text, set.Labels[x.Label])
		}
	}
	l.Columns = []features.Column{label}
	if set.Task == dataset.MultiLabel {
		l.Columns = nil
		for k, name := range set.Labels {
			c := features.Column{Name: "label:" + name}
			for i := range set.Samples {
				v := float64(set.Samples[i].Targets[k])
				if set.Samples[i].Targets[k] == dataset.Unknown {
					v = math.NaN()
				}
				c.Numbers = append(c.Numbers, v)
			}
			l.Columns = append(l.Columns, c)
		}
	}
	l.Columns = append(l.Columns, features.Column{Name: "split", Text: split})
	return l, nil
}
