package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"melo.example/melo/conformal"
	"melo.example/melo/dataset"
	"melo.example/melo/dataset/parquet"
	"melo.example/melo/fit"
	"melo.example/melo/internal/atomicfile"
)

// findImages replaces folders by the images below them.
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

// writeAnswers writes the answers to the file that --out names.
func (o *predictOptions) writeAnswers(doc *predictDocument) error {
	if o.Out == "" {
		return nil
	}
	write := writeCSV
	if strings.EqualFold(filepath.Ext(o.Out), ".parquet") {
		write = writeParquet
	}
	return atomicfile.Write(o.Out, 0o666, func(w io.Writer) error { return write(w, doc) })
}

// checkAnswers refuses names of files that could not be written as what they say.
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

// writeCSV writes a row for each image that could be read.
func writeCSV(out io.Writer, doc *predictDocument) error {
	w := csv.NewWriter(out)
	head := append(append([]string{"image", "label", "probability"}, doc.Labels...), fitNames...)
	if doc.hasSets() {
		head = append(head, setNames...)
	}
	_ = w.Write(head)
	for _, r := range doc.Results {
		row := []string{r.Image, r.Label, number(r.Probability)}
		for _, p := range r.Probabilities {
			row = append(row, number(p))
		}
		row = append(row, fitColumns(r.Fit)...)
		if doc.hasSets() {
			row = append(row, setColumns(r.Set)...)
		}
		_ = w.Write(row) // the first error is kept
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

// writeParquet writes the same as writeCSV.
func writeParquet(out io.Writer, doc *predictDocument) error {
	n := len(doc.Results)
	images, labels, best := make([]string, n), make([]string, n), make([]float64, n)
	each := make([][]float64, len(doc.Labels))
	for l := range each {
		each[l] = make([]float64, n)
	}
	for i, r := range doc.Results {
		images[i], labels[i], best[i] = strings.ToValidUTF8(r.Image, "\uFFFD"), r.Label, r.Probability
		for l, p := range r.Probabilities {
			each[l][i] = p
		}
	}
	names, columns := []string{"image", "label", "probability"}, []any{images, labels, best}
	add := func(name string, column any) {
		for slices.Contains(names, name) {
			name += "_"
		}
		names, columns = append(names, name), append(columns, column)
	}
	for l, name := range doc.Labels {
		add(name, each[l])
	}
	unlike, score, percentile := make([]string, n), make([]float64, n), make([]float64, n)
	for i, r := range doc.Results {
		score[i], percentile[i] = math.NaN(), math.NaN()
		if unlike[i] = fitColumns(r.Fit)[0]; r.Fit != nil {
			score[i], percentile[i] = r.Fit.Score, r.Fit.Percentile
		}
	}
	for k, column := range []any{unlike, score, percentile} {
		add(fitNames[k], column)
	}
	if doc.hasSets() {
		sets, sure := make([]string, n), make([]string, n)
		for i, r := range doc.Results {
			c := setColumns(r.Set)
			sets[i], sure[i] = c[0], c[1]
		}
		add(setNames[0], sets)
		add(setNames[1], sure)
	}
	return parquet.Write(out, names, columns)
}

// unlikeText marks an image that nothing is decided about.
const unlikeText = "not like its training images, no decision"

// fitNames are the columns that say how an image fits.
var fitNames = []string{"unlike", "fit_score", "fit_percentile"}

// fitColumns are what there is to say about that; empty if it is unknown.
func fitColumns(v *fit.Verdict) []string {
	if v == nil {
		return []string{"", "", ""}
	}
	return []string{strconv.FormatBool(v.Unlike), number(v.Score), number(v.Percentile)}
}

// setNames are the columns of prediction sets.
var setNames = []string{"set", "sure"}

// hasSets tells whether prediction sets were asked for.
func (d *predictDocument) hasSets() bool {
	return slices.ContainsFunc(d.Results, func(r prediction) bool { return r.Set != nil })
}

// setColumns are the labels of a set and those that are sure, each between bars; empty if there is no set.
func setColumns(s *conformal.Set) []string {
	if s == nil {
		return []string{"", ""}
	}
	return []string{strings.Join(s.Labels, "|"), strings.Join(s.Sure, "|")}
}

// inLine is a file's name in a line: quoted where it would break the line, or is no text.
func inLine(name string) string {
	if utf8.ValidString(name) && strings.IndexFunc(name, unicode.IsControl) < 0 {
		return name
	}
	return strconv.Quote(name)
}
