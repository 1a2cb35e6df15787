package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"melo.example/melo/dataset"
	"melo.example/melo/internal/atomicfile"
)

// findImages replaces folders by the images in them.
func (o *predictOptions) findImages(s *stdio) error {
	files, left, err := dataset.Images(o.Images)
	if err != nil {
		return badInput(err)
	}
	if o.LeftOut != "" {
		if err := atomicfile.Write(o.LeftOut, 0o666, func(w io.Writer) error { return dataset.WriteLeftOut(w, left) }); err != nil {
			return err
		}
	}
	for _, line := range dataset.LeftOutWords(left) {
		s.notef("note: %s", line)
	}
	o.Images = files
	return nil
}

// checkAnswers rejects output files whose extension is not a supported format.
func (o *predictOptions) checkAnswers() error {
	switch strings.ToLower(filepath.Ext(o.Out)) {
	case ".csv", ".parquet":
		return nil
	}
	if o.Out == "" {
		return nil
	}
	return fmt.Errorf("--out %s, expected a name that ends in .csv or .parquet", o.Out)
}
