// Package memo caches small facts between runs of a program, such as the digest of a file that has not changed
// since, or a check that was passed. A key must contain everything that the fact depends on.
package memo

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
	"time"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/regular"
)

// Cache is a folder with one small file per fact. A nil Cache stores nothing. Several processes may use it at
// once, and it may be deleted at any time.
type Cache struct{ dir string }

// New returns a Cache in dir, which is created on the first Put. For an empty dir it returns nil.
func New(dir string) *Cache {
	if dir == "" {
		return nil
	}
	return &Cache{dir}
}

// maxValue limits the size of a file in bytes.
const maxValue = 1 << 12

// Get returns the value for key, if there is one.
func (c *Cache) Get(key string) (value string, ok bool) {
	if c == nil {
		return "", false
	}
	f, err := regular.Open(c.file(key))
	if err != nil {
		return "", false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxValue+1))
	if err != nil || len(text) > maxValue {
		return "", false
	}
	// The file contains the key, so that a damaged or foreign file is not mistaken for an answer.
	value, ok = strings.CutPrefix(string(text), key+"\n")
	value, ended := strings.CutSuffix(value, "\n")
	return value, ok && ended
}

// Put stores value, one line, for key. Callers may ignore the error: the cache only saves time.
func (c *Cache) Put(key, value string) error {
	text := key + "\n" + value + "\n"
	if c == nil || len(text) > maxValue {
		return errors.New("memo: nothing remembered")
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	return atomicfile.Write(c.file(key), 0o600, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

func (c *Cache) file(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(c.dir, hex.EncodeToString(sum[:16]))
}

// settled is the age from which a file's times reliably show whether it was modified: file system clocks are
// coarse.
const settled = 2 * time.Second

// FileKey identifies the present state of a file: path, size, times and, if available, inode number. ok is
// false if it was modified so recently that another modification might not change its times.
func FileKey(path string, info fs.FileInfo) (key string, ok bool) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", false
	}
	return fmt.Sprintf("%q %d %d %s", abs, info.Size(), info.ModTime().UnixNano(), inode(info)), time.Since(info.ModTime()) > settled
}
