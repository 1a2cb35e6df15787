package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"melo.example/melo/dicom/deidentify"
)

// dicomDeidentifyOptions are the options of "melo dicom deidentify".
type dicomDeidentifyOptions struct {
	Input []string `arg:"" help:"DICOM files and folders; folders are searched recursively."`
	Out   string   `required:"" placeholder:"DIR" help:"Folder for the copies. Files are named after their new UIDs."`
	Key   string   `placeholder:"FILE" help:"Secret key for replacing identifiers and UIDs; created if the file does not exist. The same key gives a patient the same new identifier in several runs. Default: a random key that is not kept."`

	KeepUIDs    bool `name:"keep-uids" group:"Options of the profile:" help:"Retain UIDs."`
	KeepDates   bool `group:"Options of the profile:" help:"Retain dates and times, except dates of birth."`
	KeepPatient bool `group:"Options of the profile:" help:"Retain sex, age, size, weight, ethnic group, smoking and pregnancy status."`
	KeepDevice  bool `group:"Options of the profile:" help:"Retain serial numbers and station names."`
	PixelsClean bool `help:"I have checked that no pixels show a name: also process secondary captures, ultrasound, scans and objects that declare burned-in annotation."`
}

// Help returns the long help text.
func (dicomDeidentifyOptions) Help() string {
	return `Writes copies of DICOM objects according to the basic confidentiality profile of PS3.15 (table E.1-1, edition
2026c): identifiers and UIDs are replaced by keyed hashes; names, places, dates and free text are emptied or removed;
private elements are removed.

Pixels are not examined. They may show names, and a face can be reconstructed from a scan of a head. Objects whose
pixels are likely to show names are refused without --pixels-clean.

Examples:

    melo dicom deidentify study/ --out clean/ --key key.bin
    melo dicom deidentify us.dcm --out clean/ --pixels-clean` + exitHelp
}

// deidentifyDocument is the --json document of "melo dicom deidentify".
type deidentifyDocument struct {
	Out     string             `json:"out"`
	Written int                `json:"written"`
	Failed  []deidentifyFailed `json:"failed"`
}

// deidentifyFailed is a file that was not written, with the reason.
type deidentifyFailed struct {
	File  string `json:"file"`
	Error string `json:"error"`
}

// Run writes the copies. It lists refused files, and then the exit status is not 0.
func (o *dicomDeidentifyOptions) Run(ctx context.Context, s *stdio) error {
	files, err := deidentify.Files(o.Input)
	if err != nil {
		return badInput(err)
	}
	key, err := deidentify.ReadKey(o.Key)
	if errors.Is(err, fs.ErrNotExist) { // also without --key
		key, err = deidentify.NewKey(o.Key)
	} else {
		err = badInput(err)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Out, 0o777); err != nil {
		return err
	}
	doc := &deidentifyDocument{Out: o.Out, Failed: []deidentifyFailed{}}
	copies := deidentify.Copies{Out: o.Out, Options: deidentify.Options{Key: key, KeepUIDs: o.KeepUIDs, KeepDates: o.KeepDates, KeepPatient: o.KeepPatient, KeepDevice: o.KeepDevice, PixelsClean: o.PixelsClean}}
	for _, path := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := copies.Add(path); err != nil {
			doc.Failed = append(doc.Failed, deidentifyFailed{path, oneLine(err)})
			s.notef("%s: %s", path, oneLine(err))
			continue
		}
		doc.Written++
	}
	s.printf("%d of %d objects written to %s", doc.Written, len(files), o.Out)
	if o.Key == "" {
		s.printf("the key was not kept: another run gives other identifiers (--key)")
	}
	s.printf("pixels were not looked at")
	if err := s.document(doc); err != nil {
		return err
	}
	if len(doc.Failed) > 0 {
		return badInput(fmt.Errorf("%d of %d objects were not written", len(doc.Failed), len(files)))
	}
	return nil
}
