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

// dicomOptions are the commands about DICOM objects.
type dicomOptions struct {
	Show       dicomShowOptions       `cmd:"" help:"Show what a DICOM object says, and its picture."`
	Deidentify dicomDeidentifyOptions `cmd:"" help:"Write copies without what identifies the patient."`
}

// Help is the long help text.
func (dicomOptions) Help() string {
	return `Looks into DICOM files. "melo data", "train", "eval" and "predict" read them by themselves.

Examples:

    melo dicom show slice.dcm
    melo dicom show slice.dcm --picture slice.png --window 40,400
    melo dicom deidentify study/ --out clean/ --key key.bin` + exitHelp
}

// dicomShowOptions are the options of "melo dicom show".
type dicomShowOptions struct {
	File    string `arg:"" help:"DICOM file."`
	Picture string `placeholder:"FILE" help:"Write the picture, as a radiologist sees it, as a PNG."`
	Frame   int    `default:"1" help:"Frame of the picture, counted from 1."`
	Samples string `placeholder:"FILE" help:"Write the decoded samples of all frames, as stored: row by row, pixel by pixel, little endian."`
	Window  string `placeholder:"CENTER,WIDTH" help:"Window of the picture: CENTER,WIDTH; the name of one of the object's windows, or #2 for its second; full; range. Without it the object's own VOI LUT or first window, else the range of the image."`
	NoDump  bool   `help:"Do not list the elements."`
}

// Help is the long help text.
func (dicomShowOptions) Help() string {
	return `Lists the elements of an object and says what its pixels are. The list holds what the file holds, names of patients
included.

Examples:

    melo dicom show slice.dcm
    melo dicom show slice.dcm --picture slice.png
    melo --json dicom show slice.dcm` + exitHelp
}

// Validate refuses option values that cannot be.
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

// Run shows the object. What can be read of a broken one is shown before its error.
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
