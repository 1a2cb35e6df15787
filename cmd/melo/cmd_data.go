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
	"melo.example/melo/report/lines"
)

// dataOptions are the options of "melo data".
type dataOptions struct {
	Data string `arg:"" help:"Data: a folder with labels.csv, a CSV file, a folder with one folder per class (with or without train, val and test above them), or an .npz archive with MedMNIST's names."`

	Sheet    string `group:"Contact sheet:" help:"Write a contact sheet: one PNG with sample images of each label." placeholder:"FILE"`
	PerLabel int    `default:"16" group:"Contact sheet:" help:"Images of each label on the contact sheet."`

	dataSource
}

// Help returns the long help text.
func (dataOptions) Help() string {
	return `Reads a data set and reports: images of each label and split, sizes, bit depths, patients, duplicate images, and
files that cannot be read. Every image is decoded once.

The options for data are those of "melo train", and the splits shown are the ones that it would use. If it would refuse
the data, the exit status is 3.

Examples:

    melo data busi/
    melo data busi/ --sheet busi.png
    melo data chest.csv --group-column patient --folds 5
    melo --json data pathmnist.npz` + exitHelp
}

// Validate rejects invalid option values.
func (o *dataOptions) Validate() error {
	if err := asFlag(o.source().Check()); err != nil {
		return err
	}
	if o.PerLabel < 1 || o.PerLabel > 1000 {
		return fmt.Errorf("--per-label %d, expected 1 to 1000", o.PerLabel)
	}
	return nil
}

// Run reads the data and prints a summary.
func (o *dataOptions) Run(ctx context.Context, s *stdio) (err error) {
	ds, err := o.source().Open(o.Data, nil)
	if err != nil {
		return badInput(err)
	}
	defer func() { err = errors.Join(err, ds.Close()) }()
	w := s.watch(false)
	defer w.close()
	if err := experiment.Scan(ctx, w.Event, ds, dataset.ScanOptions{MaxBad: -1, Looks: true}); err != nil {
		return badInput(err)
	}
	w.close()
	doc, problem, err := experiment.Examine(ctx, ds, o.source())
	if err != nil {
		return badInput(err)
	}
	doc.Path = o.Data
	if problem != nil {
		doc.Problem = oneLine(problem)
	}
	if o.LeftOut != "" {
		if err := atomicfile.Write(o.LeftOut, 0o666, ds.WriteLeftOut); err != nil {
			return err
		}
		doc.LeftOutFile = o.LeftOut
	}
	if o.Sheet != "" {
		if err := o.writeSheet(ctx, ds); err != nil {
			return err
		}
		doc.Sheet = o.Sheet
	}
	lines.Data(s.lines(), doc)
	for _, w := range doc.Warnings {
		s.notef("note: %s", w)
	}
	if err := s.document(doc); err != nil {
		return err
	}
	return badInput(problem)
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
