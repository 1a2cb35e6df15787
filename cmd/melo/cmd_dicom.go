package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"melo.example/melo/dicom"
	"melo.example/melo/dicom/pixel"
	"melo.example/melo/dicom/show"
	"melo.example/melo/report/lines"
)

// dicomOptions holds the subcommands of "melo dicom".
type dicomOptions struct {
	Show       dicomShowOptions       `cmd:"" help:"Show the elements of a DICOM object, or its image."`
	Deidentify dicomDeidentifyOptions `cmd:"" help:"Write copies without data that identifies the patient."`
}

// Help returns the long help text.
func (dicomOptions) Help() string {
	return `Shows and de-identifies DICOM files. Other commands, such as "melo train" and "melo predict", read DICOM
directly.

Examples:

    melo dicom show slice.dcm
    melo dicom show slice.dcm --picture slice.png --window 40,400
    melo dicom deidentify study/ --out clean/ --key key.bin` + exitHelp
}

// dicomShowOptions are the options of "melo dicom show".
type dicomShowOptions struct {
	File    string `arg:"" help:"DICOM file."`
	Picture string `placeholder:"FILE" help:"Write the image as a PNG, with the display transformations that a viewer applies."`
	Frame   int    `default:"1" help:"Frame to write, counted from 1."`
	Samples string `placeholder:"FILE" help:"Write the decoded samples of all frames as stored: row by row, pixel by pixel, little endian."`
	Window  string `placeholder:"CENTER,WIDTH" help:"Window of the image: CENTER,WIDTH; the name of one of the object's windows, or #2 for its second; full; range. Default: the object's own VOI LUT or first window, else the range of the image."`
	NoDump  bool   `help:"Do not list the elements."`
}

// Help returns the long help text.
func (dicomShowOptions) Help() string {
	return `Lists the elements of a DICOM object and describes its pixel data. The list is complete: it includes patients'
names.

Examples:

    melo dicom show slice.dcm
    melo dicom show slice.dcm --picture slice.png
    melo --json dicom show slice.dcm` + exitHelp
}

// Validate rejects invalid option values.
func (o *dicomShowOptions) Validate() error {
	if o.Frame < 1 {
		return fmt.Errorf("--frame %d, expected at least 1", o.Frame)
	}
	if o.Picture != "" && !strings.EqualFold(filepath.Ext(o.Picture), ".png") {
		return fmt.Errorf("--picture %s: a PNG is written: expected a name that ends in .png", o.Picture)
	}
	if _, err := pixel.ParseWindow(o.Window); err != nil {
		return fmt.Errorf("--window: %w", err)
	}
	return nil
}

// Run shows the object. For a damaged file it shows the readable part before the error.
func (o *dicomShowOptions) Run(_ context.Context, s *stdio) error {
	w, err := pixel.ParseWindow(o.Window)
	if err != nil {
		return usage(err)
	}
	doc, f, problem := show.Open(o.File, show.Options{Frame: o.Frame - 1, Window: w, NoDump: o.NoDump, Picture: o.Picture, Samples: o.Samples})
	if f == nil {
		return badInput(problem)
	}
	if !o.NoDump && !s.json {
		var b strings.Builder
		if err := dicom.Dump(&b, f); err != nil {
			return err
		}
		s.printf("%s", strings.TrimRight(b.String(), "\n"))
	}
	lines.DICOM(s.lines(), doc)
	if err := s.document(doc); err != nil {
		return err
	}
	return badInput(problem)
}
