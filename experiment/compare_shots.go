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

// ShotsDocument is what came of comparisons on few images: the --json document of "melo compare --shots", and shots.json in its folder.
type ShotsDocument struct {
	Base    string        `json:"base"`
	Shots   []int         `json:"shots"` // images of each label
	Results []ShotsResult `json:"results"`
	Folder  string        `json:"folder"`
	Seconds float64       `json:"seconds"`
	Notice  string        `json:"notice"`
	whole   []*Comparison // one for each
}

// ShotsResult is the comparison on so many images of each label.
type ShotsResult struct {
	Shots      int                `json:"shots"`
	Comparison ComparisonDocument `json:"comparison"`
}

// Comparisons are those on few images, in the order of Shots. Their images can be read as long as the data is open.
func (d *ShotsDocument) Comparisons() []*Comparison { return d.whole }

// Names of the results in the folder of comparisons on few images.
const (
	ShotsTable = "shots.csv"
	ShotsJSON  = "shots.json"
)

// shotsFolder is that of the comparison on k images of each label.
func (o *CompareOptions) shotsFolder(k int) string {
	return filepath.Join(o.Folder, fmt.Sprintf("shots-%d", k))
}

// ShotsFolders lists the folders of the comparisons on so many images of each label.
func (o *CompareOptions) ShotsFolders(shots []int) (list []string) {
	for _, k := range shots {
		list = append(list, o.shotsFolder(k))
	}
	return list
}

// CheckShots refuses numbers of images that cannot be, with a [SettingError].
func (o *CompareOptions) CheckShots(shots []int) error {
	for i, k := range shots {
		if k < 1 || slices.Contains(shots[:i], k) {
			return setting("shots", "%v, expected different numbers of images, at least 1", shots)
		}
	}
	return o.Validate()
}

// CompareShots makes the comparison once for each number of images of each label: learning curves over the size of the training
// data. Images are drawn anew for each seed, and those of a smaller number are among those of a larger one; validation and test
// images are always the same. Runs that were done before are not made again.
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

// Write leaves shots.csv and shots.json in the folder; those of the single comparisons are written by them.
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

// writeCSV writes a row for each method and number of images.
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
