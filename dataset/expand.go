package dataset

import (
	"path"
	"slices"
	"strings"

	"melo.example/melo/dataset/layout"
	"melo.example/melo/dataset/store"
	"melo.example/melo/dicom"
	"melo.example/melo/dicom/cohort"
	"melo.example/melo/imaging"
)

// stacks lists the extensions of files that may have several pages or frames. DICOM objects may have no
// extension.
const stacks = " .tif .tiff .gif .webp .dcm .dicom .ima "

// expand makes the source of records whose images are files. If a file has several images, the options select
// among them. DICOM objects also provide the patient.
func expand(d *Dataset, st store.Store, records []Record, opt Options) (*files, error) {
	e := expander{st: st, opt: opt, src: newFiles(st)}
	for _, rec := range records {
		if err := e.add(rec); err != nil {
			return nil, err
		}
	}
	if len(e.stacked) > 0 && opt.Page == NoPage {
		d.warnf("%d files have several pages or frames, of which the first is taken (--page): %s", len(e.stacked), layout.First(e.stacked))
	}
	for _, name := range e.empty {
		d.leave("files without an image", name)
	}
	if e.objects > 0 {
		d.notef("%d DICOM objects of %d patients, who are numbered and not named; splits keep patients whole", e.objects, e.cohort.Len())
	}
	if e.burnedIn > 0 {
		d.warnf("%d DICOM objects say that text is burned into their pixels: it may name patients, and a label may follow it", e.burnedIn)
	}
	if e.captures > 0 {
		d.warnf("%d DICOM objects are secondary captures: copies of pictures, whose grey values a radiologist has chosen", e.captures)
	}
	if !slices.ContainsFunc(e.src.names, func(s string) bool { return s != "" }) {
		e.src.names = nil
	}
	return e.src, nil
}

type expander struct {
	st      store.Store
	opt     Options
	src     *files
	stacked []string // files of which one page is taken
	empty   []string

	cohort                      cohort.Cohort
	objects, burnedIn, captures int // numbers of DICOM objects
}

func (e *expander) put(rec Record, file string) {
	if file == rec.Path {
		file = ""
	}
	e.src.records = append(e.src.records, rec)
	e.src.names = append(e.src.names, file)
}

// add determines the number of pages of a file that may have several. Errors in the file are reported when it
// is scanned.
func (e *expander) add(rec Record) error {
	ext := strings.ToLower(path.Ext(rec.Path))
	if layout.IsImage(rec.Path) && !strings.Contains(stacks, " "+ext+" ") {
		e.put(rec, rec.Path)
		return nil
	}
	data, err := e.st.Read(rec.Path, imaging.DefaultLimits.MaxFileBytes)
	if err != nil {
		e.put(rec, rec.Path)
		return nil
	}
	n := 1
	info, err := imaging.Inspect(data, rec.Path, imaging.Options{})
	switch {
	case err != nil:
		if dicom.Sniff(data) && !e.hasPixels(data) {
			e.empty = append(e.empty, rec.Path)
			return nil
		}
	case info.Format == "DICOM":
		n = info.Pages
		e.describe(&rec, data)
	case info.Format == "TIFF":
		n = info.Pages
	case info.Pages > 1: // only the first frame of an animation can be decoded
		e.stacked = append(e.stacked, rec.Path)
	}
	return e.frames(rec, n)
}

// hasPixels reports whether a DICOM object that cannot be shown has pixels at all; reports have none.
func (e *expander) hasPixels(data []byte) bool {
	f, err := dicom.Parse(data, "", dicom.Limits{})
	return err != nil || f.Data.Find(dicom.PixelData) != nil
}

// describe takes the patient and other attributes from a DICOM object.
func (e *expander) describe(rec *Record, data []byte) {
	f, err := dicom.Parse(data, "", dicom.Limits{})
	if err != nil {
		return
	}
	e.objects++
	if patient := e.cohort.Patient(f.Data); patient != "" && rec.Group == "" {
		rec.Group = patient
	}
	attr := cohort.Attributes(f.Data)
	if attr[cohort.AttrBurnedIn] == "YES" {
		e.burnedIn++
	}
	if attr[cohort.AttrCapture] != "" {
		e.captures++
	}
	for name, v := range rec.Attr { // attributes from a table take precedence
		attr[name] = v
	}
	rec.Attr = attr
}

// frames adds those of the n images in a file that the options select.
func (e *expander) frames(rec Record, n int) error {
	file := rec.Path
	switch {
	case n < 2:
		e.put(rec, file)
	case e.opt.Page == AllPages:
		if rec.Group == "" {
			rec.Group = file // the pages of a file stay together
		}
		for k := range n {
			rec.Frame, rec.Path = k, page(file, k)
			e.put(rec, file)
		}
	case e.opt.Page > n:
		return badf("%s: has %d pages, of which --page names number %d", e.st.Path(file), n, e.opt.Page)
	default:
		e.stacked = append(e.stacked, file)
		rec.Frame = max(e.opt.Page-1, 0)
		if rec.Frame > 0 {
			rec.Path = page(file, rec.Frame)
		}
		e.put(rec, file)
	}
	return nil
}
