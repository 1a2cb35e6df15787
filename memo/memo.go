// Package memo remembers small facts between runs of a program: the digest of a file that has not changed
// since, a check that was passed. What it says is only as good as the key: a key names everything that the
// fact depends on.
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

// Cache is a folder with one small file for each fact. A nil Cache remembers nothing. It may be used by
// several processes at once, and deleted at any time.
type Cache struct{ dir string }

// New returns a Cache in dir, which is made when there is something to remember. An empty dir gives nil.
func New(dir string) *Cache {
	if dir == "" {
		return nil
	}
	return &Cache{dir}
}

// maxValue bounds what is read and written.
const maxValue = 1 << 12

// Get returns the value for key, if it is known.
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
	// The key stands in the file, so that a damaged or foreign file is not taken for an answer.
	value, ok = strings.CutPrefix(string(text), key+"\n")
	value, ended := strings.CutSuffix(value, "\n")
	return value, ok && ended
}

// Put remembers value, one line, for key. That it could not is no reason to fail; the error is for tests.
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

// settled is the age from which a file's times tell whether it was written again: clocks of file systems are
// coarse.
const settled = 2 * time.Second

// FileKey names a file as it is now: path, size, times and, where there is one, its number. ok is false if it
// was written just now, so that a later write might not show.
func FileKey(path string, info fs.FileInfo) (key string, ok bool) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", false
	}
	return fmt.Sprintf("%q %d %d %s", abs, info.Size(), info.ModTime().UnixNano(), inode(info)), time.Since(info.ModTime()) > settled
}
