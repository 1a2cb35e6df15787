package dataset

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/semaphore"

	"melo.example/melo/dataset/layout"
	"melo.example/melo/dataset/parquet"
	"melo.example/melo/dataset/table"
	"melo.example/melo/imaging"
)

// rows is the source of images that are values in Parquet files.
type rows struct {
	files   []*parquet.File
	column  []parquet.Column // image column of each file
	at      [][2]int         // file and row of each record
	records []Record
	gate    *semaphore.Weighted
}

func (r *rows) Len() int            { return len(r.records) }
func (r *rows) Record(i int) Record { return r.records[i] }

func (r *rows) Name(i int) string {
	return fmt.Sprintf("%s:row %d", r.files[r.at[i][0]].Path(), r.at[i][1]+1)
}

func (r *rows) Close() error {
	var errs []error
	for _, f := range r.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

func (r *rows) Read(i int, _ imaging.Limits) ([]byte, error) {
	file := r.at[i][0]
	data, err := r.files[file].Row(r.column[file], r.at[i][1])
	if err == nil && len(data) == 0 {
		err = fmt.Errorf("%s: no bytes of an image", r.Name(i))
	}
	return data, err
}

func (r *rows) Decode(ctx context.Context, i int, data []byte, opt imaging.Options) (*imaging.Image, error) {
	opt.Page = 0
	return gated(ctx, r.gate, data, r.Name(i), opt)
}

// parquet reads files whose rows contain images, or paths of images beside the files.
func (o *opener) parquet(paths []string) (err error) {
	src := &rows{gate: semaphore.NewWeighted(pixelsInFlight)}
	defer func() {
		if o.d.source != src {
			err = errors.Join(err, src.Close())
		}
	}()
	var parts []part
	for _, p := range paths {
		f, err := parquet.Open(p)
		if err != nil {
			return badf("%v", err)
		}
		src.files = append(src.files, f)
		image, ok := imageBytes(f)
		if !ok {
			return badf("%s: no column with the bytes of images (a table of paths is read as CSV or .jsonl): the columns are %s", p, listed(columnNames(f)))
		}
		if others := otherImages(f, image); len(others) > 0 && len(src.files) == 1 {
			o.d.notef("images are from the column %q, not from %s", strings.TrimSuffix(image.Name, ".bytes"), layout.First(others))
		}
		src.column = append(src.column, image)
		t, err := o.tableOf(f, len(src.files)-1, image)
		if err != nil {
			return err
		}
		parts = append(parts, part{t: t, split: shardSplit(p)})
	}
	r := &reader{d: o.d, opt: o.opt, find: func(name, _ string) (string, int, error) { return name, byPath, nil }}
	if o.opt.ImageColumn != "" {
		o.d.notef("--image-column is not needed: the images are in the column %q", src.column[0].Name)
	}
	r.opt.ImageColumn = rowColumn
	if !slices.ContainsFunc(parts, func(p part) bool { return p.split != parts[0].split }) && parts[0].split == Train {
		for i := range parts {
			parts[i].split = "" // a single train-00000-of-00001 is the whole data set
		}
	}
	for _, p := range parts {
		if err := r.read(p.t, "", p.split); err != nil {
			return err
		}
	}
	if err := o.wholeLabels(src.files[0], r); err != nil {
		return err
	}
	if err := r.finish(paths[0]); err != nil {
		return err
	}
	src.records = r.records
	for i := range r.records {
		file, row, _ := strings.Cut(strings.TrimSuffix(r.records[i].Path, "]"), "[")
		k, errK := strconv.Atoi(file)
		n, errN := strconv.Atoi(row)
		if errK != nil || errN != nil {
			return badf("%s: %q is no row", paths[0], r.records[i].Path)
		}
		src.at = append(src.at, [2]int{k, n})
		src.records[i].Path = page(filepath.Base(paths[k]), n)
		src.records[i].Where = ""
	}
	o.d.understood = "by the column of the Parquet rows"
	o.d.source = src
	return o.d.assemble(r.task, r.labels, o.opt)
}

// wholeLabels returns an error if the label column is part of a structure, unless an option names it.
func (o *opener) wholeLabels(f *parquet.File, r *reader) error {
	if o.opt.LabelColumn != "" || len(o.opt.LabelColumns) > 0 {
		return nil
	}
	var parts []string
	for _, c := range f.Columns() {
		if c.Parts && slices.Contains(r.labels, c.Name) {
			parts = append(parts, c.Name)
		}
	}
	if len(parts) > 0 {
		return badf("%s: %s would be labels, and are parts of structures: --label-column names the one that is: the columns are %s", f.Path(), listed(parts), listed(columnNames(f)))
	}
	return nil
}

// rowColumn is the column that tableOf adds for the position of the image.
const rowColumn = "\x00row"

// tableOf returns the table of a file's columns except the images.
func (o *opener) tableOf(f *parquet.File, number int, image parquet.Column) (*table.Table, error) {
	t := &table.Table{Path: f.Path(), Header: []string{rowColumn}, Rows: make([][]string, f.Rows()), Lines: make([]int, f.Rows())}
	for i := range t.Rows {
		t.Rows[i], t.Lines[i] = []string{page(strconv.Itoa(number), i)}, i+1
	}
	budget := int64(table.MaxBytes)
	for _, c := range f.Columns() {
		if c.Name == image.Name || strings.HasSuffix(c.Name, ".bytes") {
			continue
		}
		values, err := f.Strings(c, budget)
		if err != nil {
			return nil, badf("%v", err)
		}
		names := f.Names(c.Name)
		t.Header = append(t.Header, c.Name)
		for i, v := range values {
			t.Rows[i] = append(t.Rows[i], className(names, strings.TrimSpace(v)))
		}
	}
	return t, nil
}

// className returns the names for one or several class numbers.
func className(names []string, v string) string {
	if names == nil || v == "" {
		return v
	}
	if v == "-1" {
		return "" // no label, as in the test sets of challenges
	}
	parts := strings.Split(v, "|")
	for i, p := range parts {
		if n, err := strconv.Atoi(p); err == nil && n >= 0 && n < len(names) {
			parts[i] = names[n]
		}
	}
	return strings.Join(parts, "|")
}

// imageBytes finds the column with encoded images: "image.bytes", another with that ending, or one of bytes
// whose first value is an image.
func imageBytes(f *parquet.File) (parquet.Column, bool) {
	var last parquet.Column
	found := false
	for _, c := range f.Columns() {
		if !c.Bytes || c.List {
			continue
		}
		if c.Name == "image.bytes" {
			return c, true
		}
		if strings.HasSuffix(c.Name, ".bytes") && !found {
			last, found = c, true
			continue
		}
		if found || f.Rows() == 0 {
			continue
		}
		if data, err := f.Row(c, 0); err == nil && len(data) > 16 {
			if _, err := imaging.Inspect(data, "", imaging.Options{}); err == nil {
				last, found = c, true
			}
		}
	}
	return last, found
}

// otherImages names further columns that contain images: masks, views.
func otherImages(f *parquet.File, image parquet.Column) (names []string) {
	for _, c := range f.Columns() {
		if c.Name != image.Name && c.Bytes && !c.List && strings.HasSuffix(c.Name, ".bytes") {
			names = append(names, strconv.Quote(strings.TrimSuffix(c.Name, ".bytes")))
		}
	}
	return names
}

func columnNames(f *parquet.File) []string {
	var names []string
	for _, c := range f.Columns() {
		names = append(names, c.Name)
	}
	return names
}

// shardSplit returns the split at the beginning of a file name, as in "train-00000-of-00001.parquet", or that
// of its folder.
func shardSplit(p string) string {
	base := path.Base(filepath.ToSlash(p))
	head, _, _ := strings.Cut(strings.TrimSuffix(base, ".parquet"), "-")
	for _, name := range []string{head, path.Base(path.Dir(filepath.ToSlash(p)))} {
		if s, ok := layout.SplitName(name); ok {
			return s
		}
	}
	return ""
}
