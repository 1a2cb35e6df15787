// Package show says what a DICOM object holds: its elements, its pixels, and how it looks as a picture.
package show

import (
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"

	"melo.example/melo/dicom"
	"melo.example/melo/dicom/pixel"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/text"
)

// Document is what an object holds, as "melo --json dicom show" prints it.
type Document struct {
	File     string    `json:"file"`
	Syntax   string    `json:"transfer_syntax"`
	Name     string    `json:"transfer_syntax_name"`
	Class    string    `json:"sop_class"`
	Elements []Element `json:"elements"`
	Pixels   *Pixels   `json:"pixels"` // null: the object has none
	PixelSum string    `json:"pix_sha256"`
	Problem  string    `json:"problem"`
	Picture  string    `json:"picture"`
	Shown    string    `json:"shown"`
	Notes    []string  `json:"notes"`
}

// Element is one element of a data set.
type Element struct {
	Tag     string      `json:"tag"`
	VR      string      `json:"vr"`
	Keyword string      `json:"keyword"`
	Value   string      `json:"value"`
	Items   [][]Element `json:"items,omitempty"`
}

// Pixels is what an object says of its pixels.
type Pixels struct {
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

// Options says what is looked at and what is written.
type Options struct {
	Frame   int          // that is shown, from 0
	Window  pixel.Window // of the picture
	NoDump  bool         // Elements stays empty
	Picture string       // PNG to write; empty: none
	Samples string       // file for the samples of all frames, as stored, little endian; empty: none
}

// Open reads the object at path and writes what the options ask for. What can be read of a broken object is in the document
// beside the error that says what is wrong with it; the object is nil where nothing can be read.
func Open(path string, o Options) (*Document, *dicom.File, error) {
	f, problem := dicom.Open(path)
	if f == nil {
		return nil, nil, problem
	}
	d := &Document{File: path, Syntax: string(f.Syntax), Name: f.Syntax.Name(), Elements: []Element{},
		Class: dicom.UID(f.Data.Text(dicom.SOPClassUID)).Name(), Notes: append([]string{}, f.Notes...)}
	if !o.NoDump {
		d.Elements = append(elements(f.Meta), elements(f.Data)...)
	}
	if err := d.pixels(f, o); problem == nil && !errors.Is(err, pixel.ErrNoPixels) {
		problem = err
	}
	if problem != nil {
		d.Problem = text.OneLine(problem)
	}
	return d, f, problem
}

// pixels decodes the pixel data, all of it for its digest and one frame for the picture.
func (d *Document) pixels(f *dicom.File, o Options) error {
	p, err := pixel.Describe(f)
	if err != nil {
		return fmt.Errorf("%s: %w", d.File, err)
	}
	d.Pixels = &Pixels{p.Rows, p.Columns, p.Samples, p.Frames, p.Allocated, p.Stored, p.High, p.Signed, p.Float, string(p.Photometric)}
	defer func() { d.Notes = append(d.Notes, p.Notes()...) }()
	if d.PixelSum, err = p.Digest(); err != nil {
		return fmt.Errorf("%s: %w", d.File, err)
	}
	if o.Samples != "" {
		err := writeNew("--samples", o.Samples, func(w io.Writer) error {
			return p.EachFrame(func(samples []byte) error {
				_, err := w.Write(samples)
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	v, err := p.View(o.Frame, o.Window)
	if err != nil {
		return fmt.Errorf("%s: %w", d.File, err)
	}
	d.Shown = v.Picture()
	if o.Picture == "" {
		return nil
	}
	err = writeNew("--picture", o.Picture, func(w io.Writer) error { return png.Encode(w, v.Image()) })
	if err == nil {
		d.Picture = o.Picture
	}
	return err
}

// writeNew writes a file, and refuses to replace what is no regular one.
func writeNew(option, path string, write func(io.Writer) error) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s %s: exists and is not a regular file", option, path)
	}
	return atomicfile.Write(path, 0o666, write)
}

// elements lists a data set.
func elements(d *dicom.DataSet) []Element {
	list := []Element{}
	for _, e := range d.Elements() {
		entry := Element{Tag: e.Tag.String(), VR: string(e.VR), Keyword: e.Tag.Name(), Value: d.ValueText(&e)}
		for _, item := range e.Items {
			entry.Items = append(entry.Items, elements(item))
		}
		list = append(list, entry)
	}
	return list
}
