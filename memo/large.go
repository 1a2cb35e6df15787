package memo

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// large is the folder for large files.
const large = "large"

// Large returns the path of the file for a fact that is too large for Put. It need not exist. Readers must
// check that the content belongs to the key.
func (c *Cache) Large(key string) string {
	return filepath.Join(c.dir, large, filepath.Base(c.file(key)))
}

// ErrTooLarge reports that a file does not fit into the cache.
var ErrTooLarge = errors.New("memo: the file is larger than the cache may be")

// Reserve creates the folder for large files and removes the oldest of them, so that after adding one of size
// bytes there are at most files of them, with at most limit bytes in total.
func (c *Cache) Reserve(size int64, files int, limit int64) error {
	if size > limit {
		return ErrTooLarge
	}
	dir := filepath.Join(c.dir, large)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var there []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			there = append(there, info)
		}
	}
	slices.SortFunc(there, func(a, b fs.FileInfo) int {
		return cmp.Or(b.ModTime().Compare(a.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for i, f := range there {
		if size += f.Size(); i >= files-1 || size > limit {
			err = errors.Join(err, os.Remove(filepath.Join(dir, f.Name())))
		}
	}
	return err
}
