package store

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"

	"melo.example/melo/internal/regular"
)

type tarred struct {
	root  string
	f     *os.File
	size  int64
	files []File
	at    map[string]section
}

// section is the position of a file's content in the archive.
type section struct{ start, size int64 }

func openTar(path string) (_ Store, err error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	t := &tarred{root: path, f: f, size: st.Size(), at: map[string]section{}}
	if err := t.index(); err != nil {
		return nil, err
	}
	sortFiles(t.files)
	return t, nil
}

// index reads the headers once.
func (t *tarred) index() error {
	r := tar.NewReader(t.f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w: %w", t.root, err, ErrStore)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		// The reader consumes whole blocks and reads nothing ahead, so the content starts at the current
		// position.
		start, err := t.f.Seek(0, io.SeekCurrent)
		if err != nil {
			return fmt.Errorf("%s: %w", t.root, err)
		}
		if _, sparse := h.PAXRecords["GNU.sparse.major"]; sparse || h.Size < 0 || start+h.Size > t.size {
			return fmt.Errorf("%s: %s: sparse, or longer than the archive: %w", t.root, h.Name, ErrStore)
		}
		name := clean(h.Name)
		if name == "" {
			continue
		}
		if len(t.files) >= MaxFiles {
			return fmt.Errorf("%s: more than %d files: %w", t.root, MaxFiles, ErrTooLarge)
		}
		if _, ok := t.at[name]; !ok {
			t.files = append(t.files, File{name, h.Size})
		}
		t.at[name] = section{start, h.Size} // as in unpacking, the last of several files with one name counts
	}
}

func (t *tarred) Root() string            { return t.root }
func (t *tarred) Files() []File           { return t.files }
func (t *tarred) Path(name string) string { return t.root + ":" + name }
func (t *tarred) Close() error            { return t.f.Close() }

func (t *tarred) Head(name string, n int) ([]byte, error) {
	s, ok := t.at[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", t.Path(name), os.ErrNotExist)
	}
	return beginning(io.NewSectionReader(t.f, s.start, s.size), n)
}

func (t *tarred) Read(name string, limit int64) ([]byte, error) {
	s, ok := t.at[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", t.Path(name), os.ErrNotExist)
	}
	if s.size > limit {
		return nil, fmt.Errorf("%s: %d bytes, the limit is %d: %w", t.Path(name), s.size, limit, ErrTooLarge)
	}
	data := make([]byte, s.size) // checked to lie within the archive
	if _, err := t.f.ReadAt(data, s.start); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", t.Path(name), err, ErrStore)
	}
	return data, nil
}
