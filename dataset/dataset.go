// Package dataset finds labelled images, splits them without leaking, and feeds them to a model.
//
// [Open] reads folders, tables and archives as data sets are published: what is in them is found out by packages below this
// one (store, layout, table, label), and images are had through a [Source], whatever they are stored in. [Dataset.Split]
// honours given splits and makes the missing ones: seeded, stratified by label, with all images of a patient (and all
// copies of an image) on one side. [Loader] decodes, resizes and augments in parallel, with the same numbers for a seed
// whatever the number of workers.
//
// Files are only read here. What is wrong with them is an error that names the file, or the row of the table. What was
// decided is in [Dataset.Notes], what is to be doubted in Warnings, and what was left out in [Dataset.LeftOut].
package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"melo.example/melo/dataset/label"
	"melo.example/melo/dataset/layout"
	"melo.example/melo/dataset/table"
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
	Path    string            // of the file, relative to [Dataset.Root], with forward slashes; or absolute; "train_images[7]" of arrays, "x.tif[2]" of pages
	Frame   int               // of the file, from 0
	Label   int               // index into [Dataset.Labels]; -1 when the task is MultiLabel
	Targets []float32         // 0, 1 or [Unknown] per label when the task is MultiLabel, else nil
	Split   string            // Train, Val, Test, or empty when none is given
	Group   string            // patient or other unit that must not be split; empty when unknown
	Attr    map[string]string // further columns of the CSV by name; nil when there are none
	Source  string            // where the sample stands, "labels.csv:17"; empty for class folders
}

// Dataset is a list of samples.
type Dataset struct {
	Root     string    // folder that sample paths are relative to, or the archive
	Task     Task      // what the labels ask for
	Labels   []string  // names, sorted unless [Options.Labels] says otherwise
	Samples  []Sample  // in the order of the CSV, or sorted by path
	Notes    []string  // what was decided in reading it, each in a line
	Warnings []string  // what is odd, but does not prevent training; Split adds to it
	LeftOut  []LeftOut // files that are no samples, and why

	hashes [][32]byte  // SHA-256 of each sample's file, once they are needed
	pixels [][32]byte  // the same of its pixels, after Scan
	infos  []ImageInfo // after Scan
	looks  []*look     // after Scan; nil: unreadable

	source     Source
	understood string // how labels were found: "by the name of the folder at the top"
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

// Close gives back what the source of the images holds: files, and temporary ones.
func (d *Dataset) Close() error {
	if d.source == nil {
		return nil
	}
	return d.source.Close()
}

// check demands what every data set needs: samples, and samples of every label.
func (d *Dataset) check(path string, opt Options) error {
	if len(d.Samples) == 0 {
		if left := d.LeftOutWords(); len(left) > 0 {
			return badf("%s: no labelled images: %s", path, strings.Join(left, "; "))
		}
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

// File returns the path under which sample i is opened; of one that is no file of its own, where it is, for messages.
func (d *Dataset) File(i int) string { return d.source.Name(i) }

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

// unknown tells whether it is not known of sample i if it has label l.
func (d *Dataset) unknown(i, l int) bool {
	s := &d.Samples[i]
	return s.Targets != nil && s.Targets[l] == Unknown
}

// Known tells whether all labels of sample i are known: others can be trained on, and not measured on.
func (d *Dataset) Known(i int) bool { return !slices.Contains(d.Samples[i].Targets, Unknown) }

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

// LeftOut is a file of a data set that is no sample, and why.
type LeftOut = layout.LeftOut

func (d *Dataset) leave(reason, name string) {
	d.LeftOut = append(d.LeftOut, LeftOut{Name: name, Reason: reason})
}

// LeftOutWords says in lines what was left out: how many files for each reason, and the first of them.
func (d *Dataset) LeftOutWords() []string {
	names := map[string][]string{}
	var order []string
	for _, l := range d.LeftOut {
		if names[l.Reason] == nil {
			order = append(order, l.Reason)
		}
		names[l.Reason] = append(names[l.Reason], l.Name)
	}
	lines := make([]string, len(order))
	for i, reason := range order {
		lines[i] = fmt.Sprintf("%d left out, %s: %s", len(names[reason]), reason, layout.First(names[reason]))
	}
	return lines
}

// Understood says in words how the labels and the patients were found.
func (d *Dataset) Understood() string {
	groups := map[string]bool{}
	for i := range d.Samples {
		if g := d.Samples[i].Group; g != "" {
			groups[g] = true
		}
	}
	what := fmt.Sprintf("%d labels", len(d.Labels))
	if d.understood != "" {
		what += " " + d.understood
	}
	if d.Task == MultiLabel {
		what += ", any number for an image"
	}
	if len(groups) == 0 {
		return what + "; patients unknown: splits are by image"
	}
	return fmt.Sprintf("%s; %d patients or other groups, each on one side of a split", what, len(groups))
}

func (d *Dataset) notef(format string, args ...any) { d.noteOnce(fmt.Sprintf(format, args...)) }

// noteOnce adds a note unless it is there.
func (d *Dataset) noteOnce(text string) {
	if !slices.Contains(d.Notes, text) {
		d.Notes = append(d.Notes, text)
	}
}

func (d *Dataset) warnf(format string, args ...any) {
	d.Warnings = append(d.Warnings, fmt.Sprintf(format, args...))
}

// sameName tells whether two spellings are one label.
func sameName(a, b string) bool { return label.Fold(a) == label.Fold(b) }

// listed joins at most ten items, and says how many there are more.
func listed(items []string) string { return table.Listed(items) }
