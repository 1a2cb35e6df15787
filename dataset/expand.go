package dataset

import (
	"path"
	"slices"
	"strings"

	"melo.example/melo/dataset/layout"
	"melo.example/melo/dataset/store"
	"melo.example/melo/imaging"
)

// stacks are extensions of files that may have several pages.
const stacks = " .tif .tiff .gif .webp "

// expand makes the source of records whose images are files: where a file has several images, the options say which are
// taken. Files of formats that imaging does not know say whose they are, too.
func expand(d *Dataset, st store.Store, records []Record, opt Options) (*files, error) {
	e := expander{st: st, opt: opt, src: newFiles(st, nil, opt)}
	for _, rec := range records {
		if err := e.add(rec); err != nil {
			return nil, err
		}
	}
	if len(e.stacked) > 0 && opt.Page == NoPage {
		d.warnf("%d files have several pages, of which the first is taken (--page): %s", len(e.stacked), layout.First(e.stacked))
	}
	if len(e.empty) > 0 {
		for _, name := range e.empty {
			d.leave("files without an image", name)
		}
	}
	if !slices.ContainsFunc(e.src.names, func(s string) bool { return s != "" }) {
		e.src.names = nil
	}
	if !slices.ContainsFunc(e.src.format, func(f Format) bool { return f != nil }) {
		e.src.format = nil
	}
	return e.src, nil
}

type expander struct {
	st      store.Store
	opt     Options
	src     *files
	stacked []string // files of which a page is taken
	empty   []string
}

func (e *expander) put(rec Record, file string, f Format) {
	if file == rec.Path {
		file = ""
	}
	e.src.records = append(e.src.records, rec)
	e.src.names = append(e.src.names, file)
	e.src.format = append(e.src.format, f)
}

func (e *expander) add(rec Record) error {
	ext := strings.ToLower(path.Ext(rec.Path))
	if strings.Contains(stacks, " "+ext+" ") && ext != "" {
		return e.pages(rec)
	}
	if len(e.opt.Formats) == 0 || layout.IsImage(rec.Path) {
		e.put(rec, rec.Path, nil)
		return nil
	}
	data, err := e.st.Read(rec.Path, imaging.DefaultLimits.MaxFileBytes)
	if err != nil {
		e.put(rec, rec.Path, nil) // Scan says what is wrong with it
		return nil
	}
	f := e.opt.formatOf(rec.Path, func() []byte { return data[:min(132, len(data))] })
	if f == nil {
		e.put(rec, rec.Path, nil)
		return nil
	}
	about, err := f.Describe(data, e.st.Path(rec.Path))
	if err != nil {
		e.put(rec, rec.Path, f)
		return nil
	}
	if rec.Group == "" {
		rec.Group = about.Group
	}
	for name, v := range about.Attr {
		if _, ok := rec.Attr[name]; !ok {
			if rec.Attr == nil {
				rec.Attr = map[string]string{}
			}
			rec.Attr[name] = v
		}
	}
	e.frames(rec, f, about.Frames)
	return nil
}

// pages asks a file that may be a stack how many pages it has.
func (e *expander) pages(rec Record) error {
	n := 1
	if data, err := e.st.Read(rec.Path, imaging.DefaultLimits.MaxFileBytes); err == nil {
		if info, err := imaging.Inspect(data, rec.Path, imaging.Options{}); err == nil {
			n = info.Pages
			if info.Format != "TIFF" {
				n = 1 // of an animation only the first frame can be had
				if info.Pages > 1 {
					e.stacked = append(e.stacked, rec.Path)
				}
			}
		}
	}
	if n < 2 {
		e.put(rec, rec.Path, nil)
		return nil
	}
	if e.opt.Page > n {
		return badf("%s: has %d pages, of which --page names number %d", e.st.Path(rec.Path), n, e.opt.Page)
	}
	e.frames(rec, nil, n)
	return nil
}

// frames takes the images that the options ask for of n in a file.
func (e *expander) frames(rec Record, f Format, n int) {
	file := rec.Path
	switch {
	case n == 0:
		e.empty = append(e.empty, file)
	case n == 1:
		e.put(rec, file, f)
	case e.opt.Page == AllPages:
		if rec.Group == "" {
			rec.Group = file // the pages of a file stay together
		}
		for k := range n {
			rec.Frame, rec.Path = k, page(file, k)
			e.put(rec, file, f)
		}
	default:
		e.stacked = append(e.stacked, file)
		rec.Frame = min(max(e.opt.Page-1, 0), n-1)
		if rec.Frame > 0 {
			rec.Path = page(file, rec.Frame)
		}
		e.put(rec, file, f)
	}
}
