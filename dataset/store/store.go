// Package store lists and reads files in a folder, or in a zip or tar archive without unpacking it.
//
// Names are relative to the store, with forward slashes. Archives are not trusted: the number of files is
// limited, and so is the memory for reading one of them.
package store

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"melo.example/melo/internal/regular"
)

// ErrStore is wrapped by errors about archives that do not have the format that their names suggest.
var ErrStore = errors.New("bad archive")

// ErrTooLarge is wrapped by errors about files and archives that exceed a limit.
var ErrTooLarge = errors.New("too large")

// MaxFiles is the maximum number of files in a store.
const MaxFiles = 5_000_000

// File is a file of a store.
type File struct {
	Name string // relative to the store, with forward slashes
	Size int64  // in bytes, according to the folder or archive
}

// Store is a set of files. Its methods may be called concurrently.
type Store interface {
	// Root is the path of the folder or of the archive.
	Root() string
	// Files lists the files in the order of [Compare].
	Files() []File
	// Path returns the location of a file: its path in a folder, "ARCHIVE:NAME" in an archive.
	Path(name string) string
	// Head returns the first n bytes of a file, or fewer if it is shorter.
	Head(name string, n int) ([]byte, error)
	// Read returns the content of a file, which must have at most limit bytes.
	Read(name string, limit int64) ([]byte, error)
	// Close releases the store's resources.
	Close() error
}

// Open opens a folder, a .zip or a .tar file.
func Open(path string) (Store, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case st.IsDir():
		return openFolder(path)
	case IsArchive(path) && strings.EqualFold(filepath.Ext(path), ".zip"):
		return openZip(path)
	case IsArchive(path):
		return openTar(path)
	}
	return nil, fmt.Errorf("%s: neither a folder nor a .zip or .tar file", path)
}

// IsArchive reports whether a file has the extension of an archive that Open reads.
func IsArchive(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".zip" || ext == ".tar"
}

// Compare orders names as a recursive walk would: folder by folder, with names in order.
func Compare(a, b string) int {
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		switch {
		case x == y:
		case x == '/':
			return -1
		case y == '/':
			return 1
		default:
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b))
}

// Head returns the first n bytes of a regular file, or fewer if it is shorter.
func Head(path string, n int) ([]byte, error) {
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s: no regular file: %w", path, ErrStore))
	}
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return beginning(f, n)
}

func beginning(r io.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	n, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return b[:n], err
}

func sortFiles(files []File) {
	slices.SortFunc(files, func(a, b File) int { return Compare(a.Name, b.Name) })
}

// Multi joins stores. The names of each get the archive's name, without its extension, as a prefix.
func Multi(root string, stores []Store) Store {
	m := &multi{root: root, parts: map[string]Store{}}
	for _, s := range stores {
		prefix := strings.TrimSuffix(filepath.Base(s.Root()), filepath.Ext(s.Root()))
		for m.parts[prefix] != nil {
			prefix += "_"
		}
		m.parts[prefix] = s
		for _, f := range s.Files() {
			m.files = append(m.files, File{prefix + "/" + f.Name, f.Size})
		}
	}
	sortFiles(m.files)
	return m
}

type multi struct {
	root  string
	parts map[string]Store
	files []File
}

func (m *multi) Root() string  { return m.root }
func (m *multi) Files() []File { return m.files }

func (m *multi) part(name string) (Store, string) {
	prefix, rest, _ := strings.Cut(name, "/")
	return m.parts[prefix], rest
}

func (m *multi) Path(name string) string {
	s, rest := m.part(name)
	if s == nil {
		return m.root + ":" + name
	}
	return s.Path(rest)
}

func (m *multi) Head(name string, n int) ([]byte, error) {
	s, rest := m.part(name)
	if s == nil {
		return nil, fmt.Errorf("%s: %w", m.Path(name), os.ErrNotExist)
	}
	return s.Head(rest, n)
}

func (m *multi) Read(name string, limit int64) ([]byte, error) {
	s, rest := m.part(name)
	if s == nil {
		return nil, fmt.Errorf("%s: %w", m.Path(name), os.ErrNotExist)
	}
	return s.Read(rest, limit)
}

func (m *multi) Close() error {
	var errs []error
	for _, s := range m.parts {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
