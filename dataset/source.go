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

// Source provides the images of a data set, however they are stored: files, frames of a file, members of an
// archive, rows of a table. Its methods may be called concurrently.
type Source interface {
	// Len returns the number of images.
	Len() int
	// Record returns what is known about image i before it is read. All paths differ.
	Record(i int) Record
	// Name returns the location of image i for messages: a path that can be opened, if there is one.
	Name(i int) string
	// Read returns the encoded bytes of image i. Frames of the same file return the same bytes.
	Read(i int, limits imaging.Limits) ([]byte, error)
	// Decode decodes the bytes that Read returned, and may retain them. It ignores the page in the options.
	Decode(ctx context.Context, i int, data []byte, opt imaging.Options) (*imaging.Image, error)
	// Close releases the source's resources.
	Close() error
}

// Record is what a source knows about an image.
type Record struct {
	Path    string            // as in [Sample.Path]
	Frame   int               // index in the file, from 0
	Labels  []string          // exactly one unless the task is MultiLabel
	Unknown []string          // labels for which it is not known whether the image has them; MultiLabel only
	Split   string            // Train, Val, Test, or ""
	Group   string            // patient or other unit that must not be split; "" if unknown
	Attr    map[string]string // other properties by name
	Where   string            // where the record is listed, such as "labels.csv:17"
}

// From makes a data set from a source. With task MultiLabel an image may have any number of labels. With any
// other value it has one, and the number of labels determines Binary or MultiClass. Close the data set, not the
// source. On error From closes the source.
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

// assemble makes samples from the source's records. labels gives the labels in the requested order; nil: those
// found, sorted.
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

// maxTargets limits the size of the target table of a multi-label data set.
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

// label sets the labels of a sample.
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

// placeOf returns the location of a record for messages.
func (d *Dataset) placeOf(r *Record) string {
	if r.Where != "" {
		return r.Where
	}
	return filepath.Join(d.Root, filepath.FromSlash(r.Path))
}

// decode decodes what the source returned for sample i.
func (d *Dataset) decode(ctx context.Context, i int, data []byte, opt imaging.Options) (*imaging.Image, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return d.source.Decode(ctx, i, data, opt)
}

// sum returns the hash of sample i's stored bytes and frame number.
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
