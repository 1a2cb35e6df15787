// Package dataset finds labelled images, splits them without leakage, and feeds them to a model.
//
// [Open] reads folders, tables and archives in the forms in which data sets are published. The packages below
// this one (store, layout, table, label) determine what they contain, and a [Source] gives access to the images
// however they are stored. [Dataset.Split] uses given splits and creates missing ones: seeded, stratified by
// label, with all images of a patient (and all copies of an image) on one side. [Loader] decodes, resizes and
// augments in parallel; for a given seed the result does not depend on the number of workers.
//
// Files are never modified. An error in the data names the file, or the row of the table. Decisions are
// reported in [Dataset.Notes], doubts in Warnings, and files that were not used in [Dataset.LeftOut].
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

// Task is the kind of classification. Its values are those of the adapter file.
type Task string

// The three tasks.
const (
	Binary     Task = "binary"     // one of two labels; the second is positive
	MultiClass Task = "multiclass" // one of three or more labels
	MultiLabel Task = "multilabel" // any number of labels
)

// The values of [Sample.Split].
const (
	Train = "train"
	Val   = "val"
	Test  = "test"
)

// ErrBadData is wrapped by errors about the content of a data set: files, rows, labels or splits.
var ErrBadData = errors.New("bad data")

// Sample is one labelled image.
type Sample struct {
	// of the file, relative to [Dataset.Root] with forward slashes, or absolute; "train_images[7]" for arrays,
	// "x.tif[2]" for pages
	Path    string
	Frame   int               // index of the frame in the file, from 0
	Label   int               // index into [Dataset.Labels]; -1 if the task is MultiLabel
	Targets []float32         // 0, 1 or [Unknown] per label if the task is MultiLabel, else nil
	Split   string            // Train, Val, Test, or "" if not given
	Group   string            // patient or other unit that must not be split; "" if unknown
	Attr    map[string]string // other columns of the table by name; nil if there are none
	Source  string            // where the sample is listed, such as "labels.csv:17"; "" for class folders
}

// Dataset is a list of samples.
type Dataset struct {
	Root     string    // folder to which sample paths are relative, or the archive
	Task     Task      // kind of classification
	Labels   []string  // names, sorted unless [Options.Labels] says otherwise
	Samples  []Sample  // in table order, or sorted by path
	Notes    []string  // decisions made while reading, one per line
	Warnings []string  // oddities that do not prevent training; Split adds to them
	LeftOut  []LeftOut // files that are not samples, with reasons

	hashes [][32]byte  // SHA-256 of each sample's file, computed on demand
	pixels [][32]byte  // SHA-256 of each sample's pixels, after Scan
	infos  []ImageInfo // after Scan
	looks  []*look     // after Scan; nil: unreadable

	source     Source
	understood string // how labels were found, such as "by the name of the folder at the top"
}

// badf returns an error about the data that wraps ErrBadData.
func badf(format string, args ...any) error {
	return fmt.Errorf("dataset: "+format+" (%w)", append(args, ErrBadData)...)
}

// badf returns an error about the data set that names it and wraps ErrBadData.
func (d *Dataset) badf(format string, args ...any) error {
	if d.Root == "" {
		return badf(format, args...)
	}
	return badf("%s: %s", d.Root, fmt.Sprintf(format, args...))
}

// Close releases the source of the images, including temporary files.
func (d *Dataset) Close() error {
	if d.source == nil {
		return nil
	}
	return d.source.Close()
}

// check returns an error unless there are samples, and samples of every label.
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

// File returns the path under which sample i is opened. If it is not a file of its own, the result is for
// messages.
func (d *Dataset) File(i int) string { return d.source.Name(i) }

// Counts returns the number of samples with each label, among the given indices, or all if nil.
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

// has reports whether sample i has label l.
func (d *Dataset) has(i, l int) bool {
	s := &d.Samples[i]
	if d.Task == MultiLabel {
		return s.Targets[l] > 0
	}
	return s.Label == l
}

// unknown reports whether it is unknown if sample i has label l.
func (d *Dataset) unknown(i, l int) bool {
	s := &d.Samples[i]
	return s.Targets != nil && s.Targets[l] == Unknown
}

// Known reports whether all labels of sample i are known. Other samples can be used for training but not for
// evaluation.
func (d *Dataset) Known(i int) bool { return !slices.Contains(d.Samples[i].Targets, Unknown) }

// setLabels sets the label names: the requested ones, or else the found ones, which are sorted.
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

// LeftOut is a file that is not a sample, with the reason.
type LeftOut = layout.LeftOut

func (d *Dataset) leave(reason, name string) {
	d.LeftOut = append(d.LeftOut, LeftOut{Name: name, Reason: reason})
}

// LeftOutWords summarises left-out files in lines: the number of files for each reason, and the first of them.
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

// Understood describes how labels and patients were found.
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

// noteOnce adds a note unless it exists already.
func (d *Dataset) noteOnce(text string) {
	if !slices.Contains(d.Notes, text) {
		d.Notes = append(d.Notes, text)
	}
}

func (d *Dataset) warnf(format string, args ...any) {
	d.Warnings = append(d.Warnings, fmt.Sprintf(format, args...))
}

// sameName reports whether two spellings are the same label.
func sameName(a, b string) bool { return label.Fold(a) == label.Fold(b) }

// listed joins at most ten items, and says how many more there are.
func listed(items []string) string { return table.Listed(items) }
