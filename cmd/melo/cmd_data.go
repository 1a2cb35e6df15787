package main

import (
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"

	"melo.example/melo/dataset"
	"melo.example/melo/experiment"
	"melo.example/melo/internal/atomicfile"
)

// dataOptions are the options of "melo data".
type dataOptions struct {
	Data string `arg:"" help:"Data: a folder with labels.csv, a CSV file, a folder with one folder per class (with or without train, val and test above them), or an .npz archive with MedMNIST's names."`

	Sheet    string `group:"Contact sheet:" help:"Write a contact sheet, a PNG with images of each label." placeholder:"FILE"`
	PerLabel int    `default:"16" group:"Contact sheet:" help:"Images of each label on it."`

	dataSource
}

// Help is the long help text.
func (dataOptions) Help() string {
	return `Shows what a data set is before anyone trains on it: images of each label and split, sizes, depths, patients,
copies of one image under several names, and files that cannot be read. Every image is decoded once.

The options about data are those of "melo train", and the splits shown are the ones that it would use. If it
would refuse the data, the exit status is 3.

Examples:

    melo data busi/
    melo data busi/ --sheet busi.png
    melo data chest.csv --group-column patient --folds 5
    melo --json data pathmnist.npz` + exitHelp
}

// Validate refuses option values that cannot be.
func (o *dataOptions) Validate() error {
	if err := asFlag(o.source().Check()); err != nil {
		return err
	}
	if o.PerLabel < 1 || o.PerLabel > 1000 {
		return fmt.Errorf("--per-label %d, expected 1 to 1000", o.PerLabel)
	}
	return nil
}

// Run shows the data.
func (o *dataOptions) Run(ctx context.Context, s *stdio) (err error) {
	ds, err := o.source().Open(o.Data, nil)
	if err != nil {
		return badInput(err)
	}
	defer func() { err = errors.Join(err, ds.Close()) }()
	w := s.watch(false)
	defer w.close()
	if err := experiment.Scan(ctx, w.event, ds, dataset.ScanOptions{MaxBad: -1, Looks: true}); err != nil {
		return badInput(err)
	}
	w.close()
	doc, problem, err := o.examine(ctx, ds)
	if err != nil {
		return badInput(err)
	}
	if o.Sheet != "" {
		if err := o.writeSheet(ctx, ds); err != nil {
			return err
		}
		doc.Sheet = o.Sheet
	}
	doc.print(s)
	if err := s.document(doc); err != nil {
		return err
	}
	return badInput(problem)
}

// examine puts the document together. The problem is what training would stop at.
func (o *dataOptions) examine(ctx context.Context, ds *dataset.Dataset) (doc *dataDocument, problem, err error) {
	digest, err := ds.Digest()
	if err != nil {
		return nil, nil, err
	}
	doc = &dataDocument{Path: o.Data, Digest: "sha256:" + digest, Task: string(ds.Task), Labels: ds.Labels, Images: len(ds.Samples),
		Rule: o.source().Rule(ds), Unreadable: []experiment.FailedImage{}, Folds: []dataFold{}, Attributes: experiment.Attributes(ds)}
	for _, b := range ds.Bad() {
		doc.Unreadable = append(doc.Unreadable, experiment.FailedImage{Image: b.Path, Error: oneLine(b.Err)})
	}
	problem = ds.Scan(ctx, dataset.ScanOptions{MaxBad: o.MaxBad}) // finds nothing new, but may be too much
	parts, splitProblem := o.show(ds, doc)
	if problem == nil {
		problem = splitProblem
	}
	doc.count(ds, parts)
	doc.measure(ds)
	doc.relate(ds)
	doc.Warnings = append([]string{}, ds.Warnings...)
	doc.doubt(ds)
	if problem != nil {
		doc.Problem = oneLine(problem)
	}
	return doc, problem, nil
}

// show splits the data as asked. Where that is not possible it returns the splits as they are given.
func (o *dataOptions) show(ds *dataset.Dataset, doc *dataDocument) (parts [3][]int, err error) {
	if o.Folds > 0 {
		var folds []dataset.Fold
		folds, err = ds.Folds(o.Folds, o.source().SplitOptions())
		for _, f := range folds {
			doc.Folds = append(doc.Folds, dataFold{len(f.Train), len(f.Val), len(f.Held), ds.Counts(f.Held)})
		}
	} else if parts[0], parts[1], parts[2], err = ds.Split(o.source().SplitOptions()); err == nil {
		return parts, nil
	}
	names := map[string]int{dataset.Val: 1, dataset.Test: 2}
	for i := range ds.Samples {
		if ds.Info(i).Err == nil {
			p := names[ds.Samples[i].Split]
			parts[p] = append(parts[p], i)
		}
	}
	return parts, err
}

// writeSheet writes the contact sheet.
func (o *dataOptions) writeSheet(ctx context.Context, ds *dataset.Dataset) error {
	if info, err := os.Stat(o.Sheet); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("--sheet %s: exists and is not a regular file", o.Sheet)
	}
	if ext := strings.ToLower(filepath.Ext(o.Sheet)); ext != ".png" {
		return usage(fmt.Errorf("--sheet %s: a PNG is written: expected a name that ends in .png", o.Sheet))
	}
	page, err := ds.Sheet(ctx, dataset.SheetOptions{PerLabel: o.PerLabel, Seed: o.SplitSeed})
	if err != nil {
		return badInput(err)
	}
	return atomicfile.Write(o.Sheet, 0o666, func(w io.Writer) error { return png.Encode(w, page) })
}
