package predictions

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"melo.example/melo/conformal"
	"melo.example/melo/dataset/parquet"
	"melo.example/melo/fit"
	"melo.example/melo/internal/atomicfile"
)

// Write replaces the file at path with the predictions. The extension of path selects the format: .csv or
// .parquet.
func (d *Document) Write(path string) error {
	write := d.WriteCSV
	if strings.EqualFold(filepath.Ext(path), ".parquet") {
		write = d.WriteParquet
	}
	return atomicfile.Write(path, 0o666, write)
}

// WriteCSV writes a row for each image that could be read.
func (d *Document) WriteCSV(out io.Writer) error {
	w := csv.NewWriter(out)
	head := append(append([]string{"image", "label", "probability"}, d.Labels...), fitNames...)
	if d.hasSets() {
		head = append(head, setNames...)
	}
	_ = w.Write(head)
	for _, r := range d.Results {
		row := []string{r.Image, r.Label, number(r.Probability)}
		for _, p := range r.Probabilities {
			row = append(row, number(p))
		}
		row = append(row, fitColumns(r.Fit)...)
		if d.hasSets() {
			row = append(row, setColumns(r.Set)...)
		}
		_ = w.Write(row) // the writer keeps the first error
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

// WriteParquet writes the content of WriteCSV as Parquet.
func (d *Document) WriteParquet(out io.Writer) error {
	n := len(d.Results)
	images, labels, best := make([]string, n), make([]string, n), make([]float64, n)
	each := make([][]float64, len(d.Labels))
	for l := range each {
		each[l] = make([]float64, n)
	}
	for i, r := range d.Results {
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
	for l, name := range d.Labels {
		add(name, each[l])
	}
	unlike, score, percentile := make([]string, n), make([]float64, n), make([]float64, n)
	for i, r := range d.Results {
		score[i], percentile[i] = math.NaN(), math.NaN()
		if unlike[i] = fitColumns(r.Fit)[0]; r.Fit != nil {
			score[i], percentile[i] = r.Fit.Score, r.Fit.Percentile
		}
	}
	for k, column := range []any{unlike, score, percentile} {
		add(fitNames[k], column)
	}
	if d.hasSets() {
		sets, sure := make([]string, n), make([]string, n)
		for i, r := range d.Results {
			c := setColumns(r.Set)
			sets[i], sure[i] = c[0], c[1]
		}
		add(setNames[0], sets)
		add(setNames[1], sure)
	}
	return parquet.Write(out, names, columns)
}

// fitNames are the columns about similarity to the training images.
var fitNames = []string{"unlike", "fit_score", "fit_percentile"}

// fitColumns returns the values of these columns, empty strings if unknown.
func fitColumns(v *fit.Verdict) []string {
	if v == nil {
		return []string{"", "", ""}
	}
	return []string{strconv.FormatBool(v.Unlike), number(v.Score), number(v.Percentile)}
}

// setNames are the columns of prediction sets.
var setNames = []string{"set", "sure"}

// hasSets reports whether the document has prediction sets.
func (d *Document) hasSets() bool {
	return slices.ContainsFunc(d.Results, func(r Prediction) bool { return r.Set != nil })
}

// setColumns returns the labels of a set, and those that are sure, each separated and enclosed by bars. Both
// are empty without a set.
func setColumns(s *conformal.Set) []string {
	if s == nil {
		return []string{"", ""}
	}
	return []string{strings.Join(s.Labels, "|"), strings.Join(s.Sure, "|")}
}

func number(p float64) string { return strconv.FormatFloat(p, 'g', 6, 64) }
