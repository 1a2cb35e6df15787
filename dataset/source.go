package dataset

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"melo.example/melo/imaging"
)

// Source holds the images of a data set, in whatever they are stored: files, frames of a file, members of an archive, rows
// of a table. Its methods may be called concurrently.
type Source interface {
	// Len returns the number of images.
	Len() int
	// Record returns what is known of image i before it is read. Paths differ from each other.
	Record(i int) Record
	// Name says where image i is, for messages: a path that can be opened, where there is one.
	Name(i int) string
	// Read returns the bytes that image i is stored in. Frames of one file return the same bytes.
	Read(i int, limits imaging.Limits) ([]byte, error)
	// Decode makes the image of the bytes that Read returned. It may keep them. The page of the options is not looked at.
	Decode(ctx context.Context, i int, data []byte, opt imaging.Options) (*imaging.Image, error)
	// Close gives back what the source holds.
	Close() error
}

// Record is what a source knows of an image.
type Record struct {
	Path    string            // as [Sample.Path]
	Frame   int               // of the file, from 0
	Labels  []string          // names; exactly one unless the task is MultiLabel
	Unknown []string          // labels of which is not known whether the image has them; MultiLabel only
	Split   string            // Train, Val, Test, or empty
	Group   string            // patient or other unit that must not be split; empty when unknown
	Attr    map[string]string // what else is known, by name
	Where   string            // where that stands: "labels.csv:17"
}

// From makes a data set of a source. With the task MultiLabel an image may have any number of labels; with any other
// value it has one, and the number of labels decides between Binary and MultiClass. Close the data set, not the source.
// If there is an error the source is closed.
func From(root string, src Source, task Task, opt Options) (*Dataset, error) {
	d := &Dataset{Root: root, source: src}
	err := d.assemble(task, nil, opt)
	if err == nil {
		err = d.check(root, opt)
	}
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}
	return d, nil
}

// assemble makes samples of the source's records. The labels, where there are any, are in the order that is wanted;
// nil: those found, sorted.
func (d *Dataset) assemble(task Task, labels []string, opt Options) error {
	n := d.source.Len()
	records := make([]Record, n)
	for i := range records {
		records[i] = d.source.Record(i)
	}
	if labels == nil {
		labels = labelsOf(records)
	}
	if task == MultiLabel {
		d.Task = MultiLabel
	}
	d.setLabels(labels, opt)
	index := make(map[string]int, len(d.Labels))
	for l, name := range d.Labels {
		index[name] = l
	}
	var all []float32
	if task == MultiLabel {
		if int64(n)*int64(len(d.Labels)) > maxTargets {
			return d.badf("%d images with %d labels: at most %d labels of images are supported", n, len(d.Labels), maxTargets)
		}
		all = make([]float32, n*len(d.Labels))
	}
	d.Samples = make([]Sample, n)
	for i, r := range records {
		s := &d.Samples[i]
		*s = Sample{Path: r.Path, Frame: r.Frame, Label: -1, Split: r.Split, Group: r.Group, Attr: r.Attr, Source: r.Where}
		if task == MultiLabel {
			s.Targets = all[i*len(d.Labels) : (i+1)*len(d.Labels)]
		}
		if err := d.label(s, &r, index); err != nil {
			return err
		}
	}
	return nil
}

// maxTargets bounds the table of the labels of a multi-label data set.
const maxTargets = 1 << 30

// labelsOf returns the names that occur, sorted.
func labelsOf(records []Record) []string {
	seen := map[string]bool{}
	for i := range records {
		for _, name := range records[i].Labels {
			seen[name] = true
		}
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// label fills in the labels of a sample.
func (d *Dataset) label(s *Sample, r *Record, index map[string]int) error {
	at := func(name string) (int, error) {
		if l, ok := index[name]; ok {
			return l, nil
		}
		return 0, badf("%s: label %q: expected one of %s", d.placeOf(r), name, listed(d.Labels))
	}
	if s.Targets == nil {
		if len(r.Labels) != 1 {
			return badf("%s: %s has %d labels: expected one", d.placeOf(r), r.Path, len(r.Labels))
		}
		l, err := at(r.Labels[0])
		s.Label = l
		return err
	}
	for _, name := range r.Labels {
		l, err := at(name)
		if err != nil {
			return err
		}
		s.Targets[l] = 1
	}
	for _, name := range r.Unknown {
		if l, ok := index[name]; ok {
			s.Targets[l] = Unknown
		}
	}
	return nil
}

// placeOf says where a record stands.
func (d *Dataset) placeOf(r *Record) string {
	if r.Where != "" {
		return r.Where
	}
	return filepath.Join(d.Root, filepath.FromSlash(r.Path))
}

// decode makes an image of what the source returned for sample i.
func (d *Dataset) decode(ctx context.Context, i int, data []byte, opt imaging.Options) (*imaging.Image, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return d.source.Decode(ctx, i, data, opt)
}

// sum is the hash of what sample i is stored in. Frames of one file differ in it.
func (d *Dataset) sum(i int, data []byte) [32]byte {
	f := d.Samples[i].Frame
	if f == 0 {
		return sha256.Sum256(data)
	}
	h := sha256.New()
	fmt.Fprintf(h, "frame %d\n", f)
	h.Write(data)
	return [32]byte(h.Sum(nil))
}
