package experiment

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"melo.example/melo/internal/atomicfile"
)

// ShotsDocument is the result of few-shot comparisons: the --json document of "melo compare --shots", and
// shots.json in its folder.
type ShotsDocument struct {
	Base    string        `json:"base"`
	Shots   []int         `json:"shots"` // images per label
	Results []ShotsResult `json:"results"`
	Folder  string        `json:"folder"`
	Seconds float64       `json:"seconds"`
	Notice  string        `json:"notice"`
	whole   []*Comparison // one for each number of images
}

// ShotsResult is the comparison with a number of images per label.
type ShotsResult struct {
	Shots      int                `json:"shots"`
	Comparison ComparisonDocument `json:"comparison"`
}

// Comparisons returns the few-shot comparisons, in the order of Shots. Their images can be read as long as the
// data is open.
func (d *ShotsDocument) Comparisons() []*Comparison { return d.whole }

// File names of the results of few-shot comparisons.
const (
	ShotsTable = "shots.csv"
	ShotsJSON  = "shots.json"
)

// shotsFolder returns the folder of the comparison with k images per label.
func (o *CompareOptions) shotsFolder(k int) string {
	return filepath.Join(o.Folder, fmt.Sprintf("shots-%d", k))
}

// ShotsFolders lists the folders of the comparisons with these numbers of images per label.
func (o *CompareOptions) ShotsFolders(shots []int) (list []string) {
	for _, k := range shots {
		list = append(list, o.shotsFolder(k))
	}
	return list
}

// CheckShots returns a [SettingError] for invalid numbers of images.
func (o *CompareOptions) CheckShots(shots []int) error {
	for i, k := range shots {
		if k < 1 || slices.Contains(shots[:i], k) {
			return setting("shots", "%v, expected different numbers of images, at least 1", shots)
		}
	}
	return o.Validate()
}

// CompareShots makes the comparison for each number of images per label: learning curves over the size of the
// training data. Images are drawn anew for each seed, and a smaller selection is part of a larger one.
// Validation and test images are always the same. Runs that are already done are not repeated.
func CompareShots(ctx context.Context, o *CompareOptions, shots []int, base *Base, set *Set, hook Hook) (*ShotsDocument, error) {
	start := time.Now()
	if len(shots) == 0 {
		return nil, setting("shots", "names none")
	}
	if err := o.CheckShots(shots); err != nil {
		return nil, err
	}
	d := &ShotsDocument{Base: base.path, Shots: shots, Results: []ShotsResult{}, Folder: o.Folder, Notice: Notice}
	for i, k := range shots {
		one := *o
		one.Folder, one.Shots = o.shotsFolder(k), k
		c, err := Compare(ctx, &one, base, set, hook)
		if partial := (*PartialError)(nil); errors.As(err, &partial) {
			partial.Done, partial.Runs = partial.Done+i*o.Runs(), len(shots)*o.Runs()
		}
		if err != nil {
			return nil, err
		}
		d.whole = append(d.whole, c)
		d.Results = append(d.Results, ShotsResult{k, c.ComparisonDocument})
	}
	d.Seconds = time.Since(start).Seconds()
	return d, nil
}

// Write writes shots.csv and shots.json to the folder. The individual comparisons write their own files.
func (d *ShotsDocument) Write() error {
	if err := atomicfile.Write(filepath.Join(d.Folder, ShotsTable), 0o666, d.writeCSV); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(d.Folder, ShotsJSON), 0o666, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(d)
	})
}

// writeCSV writes a row per method and number of images.
func (d *ShotsDocument) writeCSV(out io.Writer) error {
	w := csv.NewWriter(out)
	w.Write([]string{"shots", "train", "method", "auc", "auc_low", "auc_high", "auc_sd", "accuracy"})
	for _, r := range d.Results {
		for i := range r.Comparison.Methods {
			m := &r.Comparison.Methods[i]
			row := append([]string{strconv.Itoa(r.Shots), strconv.Itoa(r.Comparison.Data.Train), m.Method, cell(m.AUC)}, cells(m.AUCInterval)...)
			w.Write(append(row, cell(m.AUCDeviation), cell(m.Accuracy)))
		}
	}
	w.Flush()
	return w.Error()
}
