package adapterfile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"melo.example/melo/internal/regular"
	"melo.example/melo/memo"
	"melo.example/melo/vit/checkpoint"
)

// BaseFiles holds the open weight files of a base. Their content can be identified even if other files are
// moved to their paths meanwhile. Close them after use.
type BaseFiles struct {
	sharded bool
	files   []baseFile
}

type baseFile struct {
	name, path string
	file       *os.File
	info       fs.FileInfo // at the time of opening
}

// OpenBaseFiles opens the files whose digest [BaseDigest] returns.
func OpenBaseFiles(path string) (*BaseFiles, error) {
	file, shards, err := checkpoint.Weights(path)
	if err != nil {
		return nil, failed(path, err)
	}
	b := &BaseFiles{sharded: shards != nil}
	names := shards
	if !b.sharded {
		names = []string{filepath.Base(file)}
	}
	for _, name := range names {
		f := baseFile{name: name, path: filepath.Join(filepath.Dir(file), name)}
		if f.file, err = regular.Open(f.path); err == nil {
			f.info, err = f.file.Stat()
		}
		if err != nil {
			return nil, errors.Join(failed(f.path, err), b.Close())
		}
		b.files = append(b.files, f)
	}
	return b, nil
}

// Close closes the files.
func (b *BaseFiles) Close() error {
	var errs []error
	for _, f := range b.files {
		errs = append(errs, f.file.Close())
	}
	return errors.Join(errs...)
}

// Unchanged returns an error if a file has been modified or replaced since it was opened.
func (b *BaseFiles) Unchanged() error {
	for i := range b.files {
		f := &b.files[i]
		if err := f.written(); err != nil {
			return err
		}
		now, err := os.Stat(f.path)
		if err != nil || !os.SameFile(now, f.info) {
			return fmt.Errorf("%s: another file has taken its place while it was being read", f.path)
		}
	}
	return nil
}

// written returns an error if the open file has been modified.
func (f *baseFile) written() error {
	now, err := f.file.Stat()
	if err != nil {
		return err
	}
	if now.Size() != f.info.Size() || !now.ModTime().Equal(f.info.ModTime()) {
		return fmt.Errorf("%s: was written to while it was in use", f.path)
	}
	return nil
}

// Digest is [BaseDigest] of the open files. Unchanged files whose digest is cached in known are not read.
func (b *BaseFiles) Digest(known *memo.Cache) (string, error) {
	var lines strings.Builder
	for i := range b.files {
		f := &b.files[i]
		sum, err := f.sum(known)
		if err != nil {
			return "", failed(f.path, err)
		}
		if !b.sharded {
			return digestPrefix + sum, nil
		}
		fmt.Fprintf(&lines, "%s  %s\n", sum, f.name)
	}
	return digestOf([]byte(lines.String())), nil
}

func (f *baseFile) sum(known *memo.Cache) (string, error) {
	key, stable := memo.FileKey(f.path, f.info)
	key = "sha256 " + key
	if sum, ok := known.Get(key); ok && stable && f.written() == nil {
		return sum, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f.file, 0, f.info.Size())); err != nil {
		return "", err
	}
	if err := f.written(); err != nil {
		return "", err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if stable {
		known.Put(key, sum) // on failure the next run reads the file again
	}
	return sum, nil
}
