// Package dataset finds labelled images, splits them without leaking, and feeds them to a model.
//
// [Open] reads a folder with a labels.csv, a CSV file, class folders, or an .npz archive of arrays. [Dataset.Split] honours given
// splits and makes the missing ones: seeded, stratified by label, with all images of a patient (and all
// copies of an image) on one side. [Loader] decodes, resizes and augments in parallel, with the same
// numbers for a seed whatever the number of workers.
//
// Files are only read here. What is wrong with them is an error that names the file, or the CSV row.
package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Task is the kind of decision that the labels ask for. Its values are those of the adapter file.
type Task string

// The three tasks.
const (
	Binary     Task = "binary"     // one of two labels; the second is the positive one
	MultiClass Task = "multiclass" // one of three or more labels
	MultiLabel Task = "multilabel" // any number of labels
)

// The splits, as [Sample.Split] names them.
const (
	Train = "train"
	Val   = "val"
	Test  = "test"
)

// ErrBadData is wrapped by the errors about the content of a data set: its files, rows, labels or splits.
var ErrBadData = errors.New("bad data")

// Sample is one labelled image.
type Sample struct {
	Path    string            // of the file, relative to [Dataset.Root], with forward slashes; or absolute; "train_images[7]" of arrays
	Label   int               // index into [Dataset.Labels]; -1 when the task is MultiLabel
	Targets []float32         // 0 or 1 per label when the task is MultiLabel, else nil
	Split   string            // Train, Val, Test, or empty when none is given
	Group   string            // patient or other unit that must not be split; empty when unknown
	Attr    map[string]string // further columns of the CSV by name; nil when there are none
	Source  string            // where the sample stands, "labels.csv:17"; empty for class folders
}

// Dataset is a list of samples.
type Dataset struct {
	Root     string   // folder that sample paths are relative to, or the archive
	Task     Task     // what the labels ask for
	Labels   []string // names, sorted unless [Options.Labels] says otherwise
	Samples  []Sample // in the order of the CSV, or sorted by path
	Warnings []string // what is odd, but does not prevent training; Split adds to it

	hashes [][32]byte  // SHA-256 of each sample's file, once they are needed
	pixels [][32]byte  // the same of its pixels, after Scan
	infos  []ImageInfo // after Scan

	arrays *arrays // of an .npz archive; nil: samples are files

	gateOnce sync.Once
	gates    *semaphore.Weighted // see bigImage
}

// Options says how to read a data set. The zero value finds out.
type Options struct {
	// Labels fixes the names and their order, as an adapter that is evaluated must; a label that is not
	// among them is an error, and a label without samples is not. Empty: the labels found, sorted.
	Labels []string
	// LabelColumns names the 0/1 columns of a multi-label CSV. Empty: a column "label" is one label; without
	// one, all columns that hold only 0 and 1 are labels.
	LabelColumns []string
	// LabelColumn, GroupColumn and SplitColumn name CSV columns. Empty: "label"; "group", "patient" or
	// "patient_id"; "split". A column that is named must exist.
	LabelColumn, GroupColumn, SplitColumn string
}

// namesColumns tells whether any CSV column is named.
func (o Options) namesColumns() bool {
	return o.GroupColumn != "" || o.SplitColumn != "" || o.LabelColumn != "" || len(o.LabelColumns) > 0
}

// imageExtensions are the files that class folders are searched for.
const imageExtensions = " .png .jpg .jpeg .gif .bmp .tif .tiff .webp "

func isImage(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext != "" && strings.Contains(imageExtensions, " "+ext+" ") && !strings.HasPrefix(name, ".")
}

// badf is an error about the data; it wraps ErrBadData.
func badf(format string, args ...any) error {
	return fmt.Errorf("dataset: "+format+" (%w)", append(args, ErrBadData)...)
}

// badf is badf about the data set, which it names.
func (d *Dataset) badf(format string, args ...any) error {
	if d.Root == "" {
		return badf(format, args...)
	}
	return badf("%s: %s", d.Root, fmt.Sprintf(format, args...))
}

// Open reads the data set at path: a folder with labels.csv, a CSV file whose paths are relative to its
// folder, a folder of class folders, with or without train, val and test above them, or an .npz archive with
// MedMNIST's names: train_images, train_labels, and the same of val and test. Close it when done.
func Open(path string, opt Options) (*Dataset, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	var d *Dataset
	switch {
	case !st.IsDir() && strings.EqualFold(filepath.Ext(path), ".csv"):
		d, err = openCSV(path, opt)
	case !st.IsDir() && strings.EqualFold(filepath.Ext(path), ".npz"):
		d, err = openNPZ(path, opt)
	case !st.IsDir():
		return nil, badf("%s: expected a folder, a .csv file or an .npz archive", path)
	default:
		table := filepath.Join(path, "labels.csv")
		if _, statErr := os.Stat(table); statErr == nil {
			d, err = openCSV(table, opt)
		} else if d, err = openFolders(path, opt); err == nil && opt.namesColumns() {
			return nil, badf("%s: columns are named, but there is no labels.csv", path)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := d.check(path, opt); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close gives back what an archive holds: its file, and temporary ones.
func (d *Dataset) Close() error {
	if d.arrays == nil {
		return nil
	}
	return d.arrays.file.Close()
}

// check demands what every data set needs: samples, and samples of every label.
func (d *Dataset) check(path string, opt Options) error {
	if len(d.Samples) == 0 {
		return badf("%s: no labelled images", path)
	}
	least := 2
	if d.Task == MultiLabel {
		least = 1
	}
	if len(d.Labels) < least {
		return badf("%s: all %d images have the label %q: at least two labels are needed", path, len(d.Samples), d.Labels[0])
	}
	if len(opt.Labels) > 0 {
		return nil
	}
	for l, n := range d.Counts(nil) {
		if n == 0 {
			return badf("%s: label %q has no images", path, d.Labels[l])
		}
	}
	return nil
}

// File returns the path under which sample i is opened; of an array the archive and the row, for messages.
func (d *Dataset) File(i int) string {
	if d.arrays != nil {
		return d.Root + ":" + d.Samples[i].Path
	}
	p := filepath.FromSlash(d.Samples[i].Path)
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(d.Root, p)
}

// Counts returns the number of samples that have each label, among the given indices, or all when nil.
func (d *Dataset) Counts(indices []int) []int {
	counts := make([]int, len(d.Labels))
	count := func(i int) {
		for l := range d.Labels {
			if d.has(i, l) {
				counts[l]++
			}
		}
	}
	if indices == nil {
		for i := range d.Samples {
			count(i)
		}
	}
	for _, i := range indices {
		count(i)
	}
	return counts
}

// has tells whether sample i has label l.
func (d *Dataset) has(i, l int) bool {
	s := &d.Samples[i]
	if d.Task == MultiLabel {
		return s.Targets[l] > 0
	}
	return s.Label == l
}

// setLabels fixes the label names: those asked for, or else those found, which are sorted already.
func (d *Dataset) setLabels(found []string, opt Options) {
	d.Labels = found
	if len(opt.Labels) > 0 {
		d.Labels = opt.Labels
	}
	if d.Task == MultiLabel {
		return
	}
	d.Task = MultiClass
	if len(d.Labels) == 2 {
		d.Task = Binary
	}
}

func (d *Dataset) warnf(format string, args ...any) {
	d.Warnings = append(d.Warnings, fmt.Sprintf(format, args...))
}

// splitName maps the usual names of splits to ours.
func splitName(s string) (string, bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "train", "training":
		return Train, true
	case "val", "valid", "validation", "dev":
		return Val, true
	case "test", "testing":
		return Test, true
	}
	return "", false
}

// listed joins at most ten items, and says how many there are more.
func listed(items []string) string {
	const most = 10
	if len(items) <= most {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:most], ", "), len(items)-most)
}
