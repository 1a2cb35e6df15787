package phantom

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"melo.example/melo/internal/atomicfile"
)

// Counts are numbers of pictures for training, validation and testing.
type Counts struct{ Train, Val, Test int }

// Total is the number of all pictures.
func (c Counts) Total() int { return c.Train + c.Val + c.Test }

// split names the part that picture i is in. Patients are not divided as long as the counts are even.
func (c Counts) split(i int) string {
	switch {
	case i < c.Train:
		return "train"
	case i < c.Train+c.Val:
		return "val"
	}
	return "test"
}

// Write draws a data set into a folder, which must be new or empty, in one of the forms that melo reads: a task
// with several labels a picture, or with patients, as a labels.csv beside a folder of images; the others as class
// folders below train, val and test. It calls progress with the number of pictures written, from any goroutine;
// nil is not called. The files depend on the task, the counts and the seed alone.
func (t *Task) Write(ctx context.Context, dir string, c Counts, seed uint64, progress func(done int)) error {
	if t.Grouped && (c.Train%2 != 0 || c.Val%2 != 0) {
		return fmt.Errorf("phantom: %d and %d pictures for training and validation: a patient of task %q has two", c.Train, c.Val, t.Name)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s: holds %s already: expected a new or an empty folder", dir, entries[0].Name())
	}
	pictures := make([]Picture, c.Total()) // without images, which would fill the memory
	folders, err := t.makeFolders(dir)
	if err != nil {
		return err
	}
	var done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * runtime.GOMAXPROCS(0)) // some wait for the disk
	for i := range pictures {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			p := t.Draw(seed, i)
			if err := writePicture(filepath.Join(dir, filepath.FromSlash(folders(c.split(i), p)), t.file(i)), p); err != nil {
				return err
			}
			p.Image = nil
			pictures[i] = p
			if n := done.Add(1); progress != nil {
				progress(int(n))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if !t.Table() {
		return nil
	}
	return atomicfile.Write(filepath.Join(dir, "labels.csv"), 0o666, func(w io.Writer) error { return t.writeTable(w, pictures, c) })
}

// Table tells whether Write puts the labels into a labels.csv; else class folders do.
func (t *Task) Table() bool { return t.Multi || t.Grouped }

func (t *Task) file(i int) string { return fmt.Sprintf("%s-%05d.png", t.Name, i) }

// makeFolders makes what Write writes into. It returns where a picture of a split goes, with forward slashes.
func (t *Task) makeFolders(dir string) (folder func(split string, p Picture) string, err error) {
	folder = func(split string, p Picture) string { return path.Join(split, t.Labels[p.Label]) }
	if t.Table() {
		folder = func(string, Picture) string { return "images" }
		return folder, os.MkdirAll(filepath.Join(dir, "images"), 0o777)
	}
	for _, split := range []string{"train", "val", "test"} {
		for l := range t.Labels {
			if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(folder(split, Picture{Label: l}))), 0o777); err != nil {
				return nil, err
			}
		}
	}
	return folder, nil
}

func writePicture(path string, p Picture) error {
	var text bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := enc.Encode(&text, p.Image); err != nil {
		return fmt.Errorf("phantom: %w", err)
	}
	return atomicfile.Write(path, 0o666, func(w io.Writer) error {
		_, err := w.Write(text.Bytes())
		return err
	})
}

// writeTable writes the rows of labels.csv.
func (t *Task) writeTable(w io.Writer, pictures []Picture, c Counts) error {
	out := csv.NewWriter(w)
	header := []string{"path", "patient", "split"}
	if t.Multi {
		header = append(header, t.Labels...)
	} else {
		header = append(header, "label")
	}
	rows := [][]string{header}
	for i, p := range pictures {
		row := []string{"images/" + t.file(i), fmt.Sprintf("synthetic-%04d", p.Patient), c.split(i)}
		for _, has := range p.Targets {
			row = append(row, map[bool]string{false: "0", true: "1"}[has])
		}
		if !t.Multi {
			row = append(row, strings.Join(t.LabelsOf(p), ""))
		}
		rows = append(rows, row)
	}
	return out.WriteAll(rows)
}

// WriteMasks draws the pictures of Write again and writes where their findings lie: for each a mask of 255 inside and 0 outside with the
// picture's name, in the folder of the picture's split. Of a task with several labels a picture each has its own, NAME.LABEL.png. A picture
// without a finding has none.
func (t *Task) WriteMasks(ctx context.Context, dir string, c Counts, seed uint64) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s: holds %s already: expected a new or an empty folder", dir, entries[0].Name())
	}
	for _, split := range []string{"train", "val", "test"} {
		if err := os.MkdirAll(filepath.Join(dir, split), 0o777); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * runtime.GOMAXPROCS(0))
	for i := range c.Total() {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			p, stem := t.Draw(seed, i), strings.TrimSuffix(t.file(i), ".png")
			masks := map[string][]bool{stem: p.Region}
			for l, region := range p.Regions {
				masks[stem+"."+t.Labels[l]] = region
			}
			for name, region := range masks {
				if region == nil {
					continue
				}
				img := image.NewGray(image.Rect(0, 0, Size, Size))
				for k, in := range region {
					if in {
						img.Pix[k] = 255
					}
				}
				if err := writePicture(filepath.Join(dir, c.split(i), name+".png"), Picture{Image: img}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
