package memo

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// large is the folder of large files.
const large = "large"

// Large returns where the file of a fact too large for Put is, or would be. Whoever reads it checks that it
// belongs to the key.
func (c *Cache) Large(key string) string {
	return filepath.Join(c.dir, large, filepath.Base(c.file(key)))
}

// Reserve makes the folder for large files and removes all but the newest keep of them.
func (c *Cache) Reserve(keep int) error {
	dir := filepath.Join(c.dir, large)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int {
		return cmp.Or(b.ModTime().Compare(a.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for _, old := range files[min(keep, len(files)):] {
		err = errors.Join(err, os.Remove(filepath.Join(dir, old.Name())))
	}
	return err
}
