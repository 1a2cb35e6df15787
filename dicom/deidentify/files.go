package deidentify

import (
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/regular"
)

// Bounds of a file with a key, in bytes.
const (
	minKey, maxKey = 16, 4096
	newKey         = 32
)

// NewKey makes a key, and writes it to path unless that is empty.
func NewKey(path string) ([]byte, error) {
	key := make([]byte, newKey)
	rand.Read(key) // never fails, by its documentation
	if path == "" {
		return key, nil
	}
	return key, atomicfile.Write(path, 0o600, func(w io.Writer) error {
		_, err := w.Write(key)
		return err
	})
}

// ReadKey reads the key at path. Where there is no such file the error is [fs.ErrNotExist].
func ReadKey(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() < minKey || st.Size() > maxKey {
		return nil, fmt.Errorf("--key %s: expected a file of 16 to 4,096 bytes", path)
	}
	return regular.ReadFile(path, maxKey)
}

// Files lists regular files: those named, and those in named folders, in order.
func Files(paths []string) ([]string, error) {
	var files []string
	for _, p := range paths {
		st, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if !st.IsDir() {
			files = append(files, p)
			continue
		}
		err = filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}
