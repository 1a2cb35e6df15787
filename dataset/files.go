package dataset

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sync/semaphore"

	"melo.example/melo/dataset/store"
	"melo.example/melo/imaging"
)

// files is the source of images that are files of a store, or frames of such files.
type files struct {
	store   store.Store
	records []Record
	names   []string // file of each record in the store, if it differs from the record's path
	gate    *semaphore.Weighted
}

func newFiles(s store.Store) *files {
	return &files{store: s, gate: semaphore.NewWeighted(pixelsInFlight)}
}

func (f *files) Len() int            { return len(f.records) }
func (f *files) Record(i int) Record { return f.records[i] }
func (f *files) Close() error        { return f.store.Close() }

// file returns the name of record i's file in the store.
func (f *files) file(i int) string {
	if f.names != nil && f.names[i] != "" {
		return f.names[i]
	}
	return f.records[i].Path
}

func (f *files) Name(i int) string {
	if file := f.file(i); file != f.records[i].Path { // "x.tif[2]"
		return f.store.Path(file) + path.Base(f.records[i].Path)[len(path.Base(file)):]
	}
	return f.store.Path(f.file(i))
}

func (f *files) Read(i int, limits imaging.Limits) ([]byte, error) {
	limit := limits.MaxFileBytes
	if limit <= 0 {
		limit = imaging.DefaultLimits.MaxFileBytes
	}
	return f.store.Read(f.file(i), limit)
}

func (f *files) Decode(ctx context.Context, i int, data []byte, opt imaging.Options) (*imaging.Image, error) {
	name := f.Name(i)
	opt.Page = f.records[i].Frame
	return gated(ctx, f.gate, data, name, opt)
}

// gated decodes an image. Large images wait until there is room for them.
func gated(ctx context.Context, gate *semaphore.Weighted, data []byte, name string, opt imaging.Options) (*imaging.Image, error) {
	info, err := imaging.Inspect(data, name, opt)
	if err != nil {
		return nil, err
	}
	if n := int64(info.W) * int64(info.H); n >= bigImage {
		n = min(n, pixelsInFlight)
		if err := gate.Acquire(ctx, n); err != nil {
			return nil, err
		}
		defer gate.Release(n)
	}
	return imaging.DecodeContext(ctx, data, name, opt)
}

// place is the folder that paths are relative to. It does not list the folder, which is not necessary if a
// table gives exact paths.
type place struct{ root string }

func (p place) Root() string        { return p.root }
func (p place) Files() []store.File { return nil }
func (p place) Close() error        { return nil }

func (p place) Path(name string) string {
	file := filepath.FromSlash(name)
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(p.root, file)
}

func (p place) Head(name string, n int) ([]byte, error) { return store.Head(p.Path(name), n) }

func (p place) Read(name string, limit int64) ([]byte, error) {
	return imaging.ReadFile(p.Path(name), imaging.Limits{MaxFileBytes: limit})
}

// isFile reports whether a name refers to a regular file.
func (p place) isFile(name string) bool {
	st, err := os.Stat(p.Path(name))
	return err == nil && st.Mode().IsRegular()
}

// page returns the name of a frame of a file.
func page(name string, frame int) string { return fmt.Sprintf("%s[%d]", name, frame) }
