package store

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"melo.example/melo/internal/regular"
)

type zipped struct {
	root  string
	f     *os.File
	files []File
	at    map[string]*zip.File
}

func openZip(path string) (Store, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r, err := zip.NewReader(f, st.Size())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: %w", path, err, ErrStore), f.Close())
	}
	z := &zipped{root: path, f: f, at: make(map[string]*zip.File, len(r.File))}
	for _, m := range r.File {
		name := strings.ReplaceAll(m.Name, "\\", "/")
		if strings.HasSuffix(name, "/") {
			continue
		}
		if name = clean(name); name == "" || z.at[name] != nil {
			continue // the first of several files with one name counts
		}
		if len(z.files) >= MaxFiles {
			return nil, errors.Join(fmt.Errorf("%s: more than %d files: %w", path, MaxFiles, ErrTooLarge), f.Close())
		}
		z.at[name] = m
		z.files = append(z.files, File{name, int64(min(m.UncompressedSize64, math.MaxInt64))})
	}
	sortFiles(z.files)
	return z, nil
}

// clean makes a member's name relative. No file is ever written to it, so it need not be safe.
func clean(name string) string {
	for strings.HasPrefix(name, "./") || strings.HasPrefix(name, "/") {
		name = strings.TrimPrefix(strings.TrimPrefix(name, "."), "/")
	}
	return name
}

func (z *zipped) Root() string            { return z.root }
func (z *zipped) Files() []File           { return z.files }
func (z *zipped) Path(name string) string { return z.root + ":" + name }
func (z *zipped) Close() error            { return z.f.Close() }

func (z *zipped) Head(name string, n int) ([]byte, error) {
	f := z.at[name]
	if f == nil {
		return nil, fmt.Errorf("%s: %w", z.Path(name), os.ErrNotExist)
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", z.Path(name), err, ErrStore)
	}
	defer r.Close()
	return beginning(r, n)
}

func (z *zipped) Read(name string, limit int64) ([]byte, error) {
	f := z.at[name]
	if f == nil {
		return nil, fmt.Errorf("%s: %w", z.Path(name), os.ErrNotExist)
	}
	if f.Flags&1 != 0 {
		return nil, fmt.Errorf("%s: is encrypted: unpack the archive first: %w", z.Path(name), ErrStore)
	}
	if f.UncompressedSize64 > uint64(limit) {
		return nil, fmt.Errorf("%s: %d bytes, the limit is %d: %w", z.Path(name), f.UncompressedSize64, limit, ErrTooLarge)
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", z.Path(name), err, ErrStore)
	}
	defer r.Close()
	// The size in the archive is not trusted: memory grows as data arrives.
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w: %w", z.Path(name), err, ErrStore)
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("%s: more than %d bytes: %w", z.Path(name), limit, ErrTooLarge)
	}
	return data, nil
}
