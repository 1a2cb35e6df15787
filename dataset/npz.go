package dataset

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"melo.example/melo/imaging"
	"melo.example/melo/internal/npz"
)

// maxClasses limits the class numbers in an archive.
const maxClasses = 10_000

// arrays is the source of images that are rows of arrays in an archive.
type arrays struct {
	file    *npz.File
	path    string
	records []Record
	images  [3]*npz.Array // of each split; nil if there is none
	first   [3]int        // first sample of each split
}

// at returns the array and the row of a sample.
func (a *arrays) at(i int) (*npz.Array, int) {
	for p := 2; ; p-- {
		if x := a.images[p]; x != nil && i >= a.first[p] {
			return x, i - a.first[p]
		}
	}
}

func (a *arrays) Len() int            { return len(a.records) }
func (a *arrays) Record(i int) Record { return a.records[i] }
func (a *arrays) Close() error        { return a.file.Close() }
func (a *arrays) Name(i int) string   { return a.path + ":" + a.records[i].Path }

func (a *arrays) Read(i int, _ imaging.Limits) ([]byte, error) {
	x, r := a.at(i)
	row := make([]byte, x.RowBytes())
	if err := x.Row(r, row); err != nil {
		return nil, err
	}
	return row, nil
}

func (a *arrays) Decode(_ context.Context, i int, row []byte, _ imaging.Options) (*imaging.Image, error) {
	x, _ := a.at(i)
	m := &imaging.Image{H: x.Shape[1], W: x.Shape[2], C: 1, Bits: 8 * x.Type.Size}
	if len(x.Shape) == 4 {
		m.C = x.Shape[3]
	}
	if m.Bits == 8 {
		m.Pix8 = row
	} else {
		m.Pix16 = make([]uint16, len(row)/2)
		x.Type.Uint16s(m.Pix16, row)
	}
	m.Source = imaging.Info{Format: "npz", W: m.W, H: m.H, C: m.C, Bits: m.Bits, Pages: 1}
	return m, nil
}

// openNPZ reads an archive with MedMNIST's array names.
func (d *Dataset) openNPZ(path string, opt Options) error {
	if opt.namesColumns() {
		return badf("%s: columns are named, but an archive has none", path)
	}
	f, err := npz.Open(path, npz.Limits{})
	if err != nil {
		return badNPZ(err)
	}
	d.Root = path
	r := &npzReader{d, &arrays{file: f, path: path}}
	if err := r.read(opt); err != nil {
		return errors.Join(err, f.Close())
	}
	d.source = r.arrays
	d.understood = "by the arrays of " + filepath.Base(path)
	return nil
}

// npzReader makes samples from arrays.
type npzReader struct {
	*Dataset
	arrays *arrays
}

// badNPZ wraps an error about an archive, which already names the file.
func badNPZ(err error) error { return fmt.Errorf("dataset: %w (%w)", err, ErrBadData) }

func (d *npzReader) read(opt Options) error {
	f := d.arrays.file
	labels := [3]npzLabels{}
	found := false
	for p, split := range splitNames {
		images, err := f.Array(split + "_images")
		if err != nil {
			return badNPZ(err)
		}
		y, err := f.Array(split + "_labels")
		if err != nil {
			return badNPZ(err)
		}
		if images == nil && y == nil {
			continue
		}
		if images == nil || y == nil {
			return badf("%s: %s_images and %s_labels: only one of them is there", d.Root, split, split)
		}
		if err := d.check(images, y); err != nil {
			return err
		}
		if labels[p].values, err = y.Ints(); err != nil {
			return badNPZ(err)
		}
		labels[p].columns = y.RowBytes() / y.Type.Size
		found = found || images.Rows() > 0
		d.arrays.images[p], d.arrays.first[p] = images, len(d.Samples)
		for i := range images.Rows() {
			rec := Record{Path: fmt.Sprintf("%s[%d]", images.Name, i), Split: split}
			d.arrays.records = append(d.arrays.records, rec)
			d.Samples = append(d.Samples, Sample{Path: rec.Path, Label: -1, Split: split})
		}
	}
	if !found {
		return badf("%s: no train_images with train_labels: the arrays are %s", d.Root, listed(f.Names()))
	}
	return d.setNPZLabels(labels, opt)
}

// check returns an error unless the arrays of images and labels match.
func (d *npzReader) check(images, y *npz.Array) error {
	s := images.Shape
	kind := fmt.Sprintf("%s: %s is %s%v", d.Root, images.Name, images.Type, s)
	if images.Type.Kind != 'u' || images.Type.Size > 2 {
		return badf("%s: expected uint8 or uint16: nothing says which number is black and which is white: convert it to uint16, with black and white of your choice", kind)
	}
	if len(s) != 3 && (len(s) != 4 || s[3] != 1 && s[3] != 3) {
		return badf("%s: expected images x height x width, or these x 3 colours; volumes (MedMNIST's 3D sets) are not supported", kind)
	}
	if int64(s[1])*int64(s[2]) > imaging.DefaultLimits.MaxPixels {
		return badf("%s: the limit is %d pixels an image", kind, imaging.DefaultLimits.MaxPixels)
	}
	if len(y.Shape) > 2 || y.Rows() != images.Rows() {
		return badf("%s: %s is %s%v: expected a row of numbers for each of %d images", d.Root, y.Name, y.Type, y.Shape, images.Rows())
	}
	return nil
}

// npzLabels holds the labels of a split in row-major order.
type npzLabels struct {
	values  []int64
	columns int
}

// oneEach reports whether every row of columns of 0 and 1 contains exactly one 1, and no column has it in all
// rows.
func oneEach(labels [3]npzLabels) bool {
	used, rows := map[int]bool{}, 0
	for _, y := range labels {
		for row := 0; row < len(y.values); row += y.columns {
			ones := 0
			for k, v := range y.values[row : row+y.columns] {
				if v == 1 {
					ones++
					used[k] = true
				}
				if v != 0 && v != 1 {
					return false
				}
			}
			if ones != 1 {
				return false
			}
			rows++
		}
	}
	return rows > 0 && len(used) > 1
}

// numbers returns the class numbers of rows with one 1 each.
func (y npzLabels) numbers() npzLabels {
	var out []int64
	for row := 0; row < len(y.values); row += y.columns {
		out = append(out, int64(slices.Index(y.values[row:row+y.columns], 1)))
	}
	return npzLabels{values: out, columns: 1}
}

// setNPZLabels interprets one column as class numbers, several as labels of 0 and 1.
func (d *npzReader) setNPZLabels(labels [3]npzLabels, opt Options) error {
	columns, classes := 0, int64(0)
	for p, y := range labels {
		if d.arrays.images[p] == nil {
			continue
		}
		if columns != 0 && y.columns != columns {
			return badf("%s: %s_labels has %d columns, another split %d", d.Root, splitNames[p], y.columns, columns)
		}
		columns = y.columns
		for _, v := range y.values {
			classes = max(classes, v+1)
		}
	}
	if columns > 1 {
		d.Task = MultiLabel
		classes = int64(columns)
	}
	if classes > maxClasses {
		return badf("%s: class number %d: expected at most %d", d.Root, classes-1, maxClasses)
	}
	names := medMNIST(d.arrays.path, int(classes))
	if names != nil {
		d.notef("labels have MedMNIST's names, by the name of the file")
	}
	for l := len(names); l < int(classes); l++ {
		names = append(names, strconv.Itoa(l))
	}
	if d.Task == MultiLabel && opt.Task != MultiLabel && opt.Task != Binary && oneEach(labels) {
		d.Task = ""
		d.notef("exactly one column is 1 in every row: an image has one of %d labels", columns)
		for p := range labels {
			labels[p] = labels[p].numbers()
		}
	}
	d.setLabels(names, opt)
	index := labelNumbers(d.Labels, len(names))
	for p, y := range labels {
		if err := d.takeNPZLabels(p, y, index); err != nil {
			return err
		}
	}
	return nil
}

// labelNumbers maps the class numbers, or columns, of an archive to labels; -1 means none. Labels that are
// numbers match by value, others name 0, 1, 2 and so on.
func labelNumbers(labels []string, n int) []int {
	byValue := slices.Repeat([]int{-1}, n)
	numbers := true
	for l, name := range labels {
		v, err := strconv.Atoi(name)
		if numbers = numbers && err == nil; numbers && v >= 0 && v < n {
			byValue[v] = l
		}
	}
	if numbers {
		return byValue
	}
	byPlace := slices.Repeat([]int{-1}, n)
	for l := range min(n, len(labels)) {
		byPlace[l] = l
	}
	return byPlace
}

func (d *npzReader) takeNPZLabels(p int, y npzLabels, index []int) error {
	if d.arrays.images[p] == nil {
		return nil
	}
	wrong := func(row int, v int64) error {
		what := "labels " + listed(d.Labels)
		if d.Task == MultiLabel {
			what = "0 or 1"
		}
		return badf("%s: %s_labels[%d] is %d: expected %s", d.Root, splitNames[p], row, v, what)
	}
	all := []float32(nil)
	if d.Task == MultiLabel {
		for l := range d.Labels {
			if !slices.Contains(index, l) {
				return badf("%s: %s_labels has no column for label %q", d.Root, splitNames[p], d.Labels[l])
			}
		}
		all = make([]float32, len(y.values)/y.columns*len(d.Labels))
	}
	for k, v := range y.values {
		row, column := k/y.columns, k%y.columns
		s := &d.Samples[d.arrays.first[p]+row]
		if d.Task != MultiLabel {
			if v < 0 || v >= math.MaxInt32 || index[v] < 0 {
				return wrong(row, v)
			}
			s.Label = index[v]
			continue
		}
		if column == 0 {
			s.Targets = all[row*len(d.Labels) : (row+1)*len(d.Labels)]
		}
		if v != 0 && v != 1 {
			return wrong(row, v)
		}
		if l := index[column]; l >= 0 {
			s.Targets[l] = float32(v)
		}
	}
	return nil
}
