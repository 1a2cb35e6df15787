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

	"melo.example/melo/dicom"
	"melo.example/melo/dicom/pixel"
	"melo.example/melo/internal/atomicfile"
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

// dicomDocument is the --json document of "melo dicom show".
type dicomDocument struct {
	File     string         `json:"file"`
	Syntax   string         `json:"transfer_syntax"`
	Name     string         `json:"transfer_syntax_name"`
	Class    string         `json:"sop_class"`
	Elements []dicomElement `json:"elements"`
	Pixels   *dicomPixels   `json:"pixels"` // null: the object has none
	PixelSum string         `json:"pix_sha256"`
	Problem  string         `json:"problem"`
	Picture  string         `json:"picture"`
	Shown    string         `json:"shown"`
	Notes    []string       `json:"notes"`
}

// dicomElement is one element.
type dicomElement struct {
	Tag     string           `json:"tag"`
	VR      string           `json:"vr"`
	Keyword string           `json:"keyword"`
	Value   string           `json:"value"`
	Items   [][]dicomElement `json:"items,omitempty"`
}

// dicomPixels is what an object says of its pixels.
type dicomPixels struct {
	Rows        int    `json:"rows"`
	Columns     int    `json:"columns"`
	Samples     int    `json:"samples_per_pixel"`
	Frames      int    `json:"frames"`
	Allocated   int    `json:"bits_allocated"`
	Stored      int    `json:"bits_stored"`
	HighBit     int    `json:"high_bit"`
	Signed      bool   `json:"signed"`
	Float       bool   `json:"float"`
	Photometric string `json:"photometric_interpretation"`
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
	f, problem := dicom.Open(o.File)
	if f == nil {
		return badInput(problem)
	}
	doc := &dicomDocument{File: o.File, Syntax: string(f.Syntax), Name: f.Syntax.Name(), Elements: []dicomElement{},
		Class: dicom.UID(f.Data.Text(dicom.SOPClassUID)).Name(), Notes: append([]string{}, f.Notes...)}
	if !o.NoDump {
		doc.Elements = append(dicomElements(f.Meta), dicomElements(f.Data)...)
	}
	if err := o.pixels(f, doc); problem == nil && !errors.Is(err, pixel.ErrNoPixels) {
		problem = err
	}
	if problem != nil {
		doc.Problem = oneLine(problem)
	}
	if !o.NoDump && !s.json {
		var b strings.Builder
		if err := dicom.Dump(&b, f); err != nil {
			return err
		}
		s.printf("%s", strings.TrimRight(b.String(), "\n"))
	}
	doc.print(s)
	if err := s.document(doc); err != nil {
		return err
	}
	return badInput(problem)
}

// pixels decodes the pixel data, all of it for its digest and one frame for the picture.
func (o *dicomShowOptions) pixels(f *dicom.File, doc *dicomDocument) error {
	d, err := pixel.Describe(f)
	if err != nil {
		return fmt.Errorf("%s: %w", o.File, err)
	}
	doc.Pixels = &dicomPixels{d.Rows, d.Columns, d.Samples, d.Frames, d.Allocated, d.Stored, d.High, d.Signed, d.Float, string(d.Photometric)}
	defer func() { doc.Notes = append(doc.Notes, d.Notes()...) }()
	if doc.PixelSum, err = d.Digest(); err != nil {
		return fmt.Errorf("%s: %w", o.File, err)
	}
	if o.Samples != "" {
		if err := writeSamples(o.Samples, d); err != nil {
			return err
		}
	}
	w, err := pixel.ParseWindow(o.Window)
	if err != nil {
		return usage(err)
	}
	v, err := d.View(o.Frame-1, w)
	if err != nil {
		return fmt.Errorf("%s: %w", o.File, err)
	}
	doc.Shown = v.Picture()
	if o.Picture == "" {
		return nil
	}
	if err := plainTarget("--picture", o.Picture); err != nil {
		return err
	}
	doc.Picture = o.Picture
	return atomicfile.Write(o.Picture, 0o666, func(w io.Writer) error { return png.Encode(w, v.Image()) })
}

// plainTarget refuses to write over what is no regular file.
func plainTarget(option, path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s %s: exists and is not a regular file", option, path)
	}
	return nil
}

// writeSamples writes the samples of all frames.
func writeSamples(path string, d *pixel.Description) error {
	if err := plainTarget("--samples", path); err != nil {
		return err
	}
	return atomicfile.Write(path, 0o666, func(w io.Writer) error {
		return d.EachFrame(func(samples []byte) error {
			_, err := w.Write(samples)
			return err
		})
	})
}

// dicomElements lists a data set for the document.
func dicomElements(d *dicom.DataSet) []dicomElement {
	list := []dicomElement{}
	for _, e := range d.Elements() {
		entry := dicomElement{Tag: e.Tag.String(), VR: string(e.VR), Keyword: e.Tag.Name(), Value: d.ValueText(&e)}
		for _, item := range e.Items {
			entry.Items = append(entry.Items, dicomElements(item))
		}
		list = append(list, entry)
	}
	return list
}

func (d *dicomDocument) print(s *stdio) {
	s.entry("transfer syntax  ", "%s (%s)", d.Syntax, d.Name)
	if p := d.Pixels; p != nil {
		sign := "unsigned"
		if p.Signed {
			sign = "signed"
		}
		if p.Float {
			sign = "floating point"
		}
		frames := "1 frame"
		if p.Frames != 1 {
			frames = fmt.Sprintf("%d frames", p.Frames)
		}
		s.entry("pixels           ", "%s of %d x %d, %d samples a pixel, %d bits of %d, %s, %s", frames, p.Columns, p.Rows, p.Samples, p.Stored, p.Allocated,
			sign, p.Photometric)
	}
	if d.PixelSum != "" {
		s.printf("pix_sha256       %s", d.PixelSum)
	}
	if d.Shown != "" {
		s.printf("shown            %s", d.Shown)
	}
	if d.Picture != "" {
		s.printf("written          %s", d.Picture)
	}
	for _, n := range d.Notes {
		s.entry("note             ", "%s", n)
	}
}
