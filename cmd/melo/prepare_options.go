package main

import (
	"errors"
	"fmt"

	"melo.example/melo/imaging"
	"melo.example/melo/imaging/processor"
	"melo.example/melo/report/lines"
	"melo.example/melo/vit"
	"melo.example/melo/vit/checkpoint"
)

// prepareOptions override the preprocessing of the base, or supply it if the base's files lack it.
type prepareOptions struct {
	Mean          string `placeholder:"M" group:"Settings missing from the base:" help:"Normalization means of red, green and blue, such as 0.485,0.456,0.406; or imagenet, half or clip."`
	Std           string `placeholder:"S" group:"Settings missing from the base:" help:"Normalization standard deviations, in the same form."`
	CropPct       string `name:"crop-pct" placeholder:"SHARE" group:"Settings missing from the base:" help:"Fraction of the shorter side that the central crop keeps, such as 0.875 or 1; or squash: the whole image is resized to a square."`
	Interpolation string `enum:"bilinear,bicubic,lanczos,box,hamming," default:"" placeholder:"NAME" group:"Settings missing from the base:" help:"Resampling filter: bilinear, bicubic, lanczos, box or hamming."`
}

// override returns the options for inputs of a side in pixels; 0 is the base's own.
func (o *prepareOptions) override(side int) (processor.Override, error) {
	p := processor.Override{Mean: o.Mean, Std: o.Std, Crop: o.CropPct, Interpolation: o.Interpolation, Size: side}
	r := imaging.Recipe{Size: 1}
	return p, usage(p.Apply(&r))
}

// prepareHint ends the error about a base without preprocessing.
const prepareHint = "give --mean, --std, --crop-pct and --interpolation (and --size), or the file of the base that says it"

// hintPrepare adds advice to an error about a base whose files lack information.
func hintPrepare(err error) error {
	if errors.Is(err, checkpoint.ErrNoHeads) {
		return fmt.Errorf("%w: melo convert with --heads writes a base that tells it", err)
	}
	if errors.Is(err, checkpoint.ErrNoRecipe) {
		return fmt.Errorf("%w: %s", err, prepareHint)
	}
	return err
}

// tellPrepare prints the preprocessing if it is not from the base's files, or returns an error if it is
// unknown.
func tellPrepare(s *stdio, m *vit.Model) error {
	if err := m.CheckRecipe(); err != nil {
		return badInput(fmt.Errorf("%w: %s", err, prepareHint))
	}
	for _, note := range m.Notes {
		s.notef("note: %s: %s", m.Path, note)
	}
	if m.RecipeNote != "" {
		s.notef("note: %s: %s (%s); --mean, --std, --crop-pct and --interpolation change that", m.Path, m.RecipeNote, lines.Recipe(m.Recipe))
	}
	return nil
}
