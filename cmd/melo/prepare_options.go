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

// prepareOptions say how an image becomes the input where no file of the base does, or otherwise than they say.
type prepareOptions struct {
	Mean          string `placeholder:"M" group:"What files of the base do not say:" help:"Means of red, green and blue, such as 0.485,0.456,0.406; or imagenet, half or clip."`
	Std           string `placeholder:"S" group:"What files of the base do not say:" help:"Standard deviations, likewise."`
	CropPct       string `name:"crop-pct" placeholder:"SHARE" group:"What files of the base do not say:" help:"Share of the shorter side that is cut from the centre, such as 0.875 or 1; or squash: the whole image becomes a square."`
	Interpolation string `enum:"bilinear,bicubic,lanczos,box,hamming," default:"" placeholder:"NAME" group:"What files of the base do not say:" help:"bilinear, bicubic, lanczos, box or hamming."`
}

// override is what the options say, for images of a side, 0: the base's own.
func (o *prepareOptions) override(side int) (processor.Override, error) {
	p := processor.Override{Mean: o.Mean, Std: o.Std, Crop: o.CropPct, Interpolation: o.Interpolation, Size: side}
	r := imaging.Recipe{Size: 1}
	return p, usage(p.Apply(&r))
}

// prepareHint ends the message that nothing tells how images are prepared.
const prepareHint = "give --mean, --std, --crop-pct and --interpolation (and --size), or the file of the base that says it"

// hintPrepare adds what can be done to an error about a base that nothing is known of.
func hintPrepare(err error) error {
	if errors.Is(err, checkpoint.ErrNoHeads) {
		return fmt.Errorf("%w: melo convert with --heads writes a base that tells it", err)
	}
	if errors.Is(err, checkpoint.ErrNoRecipe) {
		return fmt.Errorf("%w: %s", err, prepareHint)
	}
	return err
}

// tellPrepare says how images are prepared where no file of the base does, or returns an error if nothing is known.
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
