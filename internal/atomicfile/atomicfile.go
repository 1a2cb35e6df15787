// Package atomicfile replaces a file atomically: readers, even after a crash or on a full disk, see the old
// file or the complete new one, never a part.
package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// file lists the methods of an open temporary file that Write needs.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

// fileSystem lists the operations that Write performs, so that tests can make each of them fail.
type fileSystem interface {
	// Create creates a new file and fails with fs.ErrExist if there is one.
	Create(path string, perm fs.FileMode) (file, error)
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes creations, renames and removals inside the folder durable.
	SyncDir(path string) error
	// Mkdir creates a folder and fails with fs.ErrExist if the path exists.
	Mkdir(path string) error
	// Exchange swaps two paths atomically. It returns false if the system cannot.
	Exchange(a, b string) (bool, error)
}

const bufferSize = 1 << 18

// Write calls fill with a buffered writer and makes what it wrote the content of the file at path, with
// permissions perm (before the umask). The bytes go to a temporary file in the same folder, which is synced,
// closed and renamed; then the folder is synced. On any error before the rename the temporary file is removed
// and an existing file is not changed. If only the last step fails, the complete new file is in place but may
// not survive a power failure; the error says so. A symbolic link is followed: the file that it points to is
// replaced. Write refuses a path that exists and is not a regular file (a folder or a device).
func Write(path string, perm fs.FileMode, fill func(io.Writer) error) error {
	target, err := resolve(path)
	if err != nil {
		return failed(path, "", err)
	}
	return write(osFS{}, path, target, perm, fill)
}

// resolve follows symbolic links and returns an error for paths that must not be replaced by a file.
func resolve(path string) (string, error) {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil // a new file, or a missing folder, which Create reports
	}
	if err != nil {
		return "", err
	}
	info, err := os.Stat(target)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("exists and is not a regular file")
	}
	return target, nil
}

// write replaces target. name is the path as given by the caller, for messages.
func write(fsys fileSystem, name, target string, perm fs.FileMode, fill func(io.Writer) error) error {
	dir := filepath.Dir(target)
	f, temp, err := createTemp(fsys, dir, perm)
	if err != nil {
		return failed(name, "create a file in its folder", err)
	}
	renamed := false
	defer func() { // also when fill panics
		if !renamed {
			_ = f.Close()
			_ = fsys.Remove(temp)
		}
	}()
	buf := bufio.NewWriterSize(f, bufferSize)
	if err := fill(buf); err != nil {
		return failed(name, "", err)
	}
	if err := buf.Flush(); err != nil {
		return failed(name, "write", err)
	}
	if err := f.Sync(); err != nil {
		return failed(name, "sync", err)
	}
	if err := f.Close(); err != nil {
		return failed(name, "close", err)
	}
	if err := fsys.Rename(temp, target); err != nil {
		return failed(name, "rename", err)
	}
	renamed = true
	if err := fsys.SyncDir(dir); err != nil {
		return failed(name, "written, but its folder could not be synced", err)
	}
	return nil
}

// Finish makes a file that was written piece by piece, such as a download, the content of the file at path in
// the same folder. It syncs and renames the file, then syncs the folder. f is the open file at partial; it is
// not closed.
func Finish(f *os.File, partial, path string) error { return finish(osFS{}, f, partial, path) }

func finish(fsys fileSystem, f file, partial, path string) error {
	if err := f.Sync(); err != nil {
		return failed(path, "sync", err)
	}
	if err := fsys.Rename(partial, path); err != nil {
		return failed(path, "rename", err)
	}
	if err := fsys.SyncDir(filepath.Dir(path)); err != nil {
		return failed(path, "written, but its folder could not be synced", err)
	}
	return nil
}

// createTemp creates a hidden file with a new name. The name does not contain the target's, which may already
// have the maximum length.
func createTemp(fsys fileSystem, dir string, perm fs.FileMode) (file, string, error) {
	for try := 0; ; try++ {
		temp := filepath.Join(dir, fmt.Sprintf(".melo-%016x.tmp", rand.Uint64()))
		f, err := fsys.Create(temp, perm)
		if err == nil {
			return f, temp, nil
		}
		if !errors.Is(err, fs.ErrExist) || try == 100 {
			return nil, "", err
		}
	}
}

// failed replaces the temporary file's name in err by the name of the file that the caller asked for.
func failed(name, step string, err error) error {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &pathErr):
		err = pathErr.Err
	case errors.As(err, &linkErr):
		err = linkErr.Err
	}
	if step != "" {
		return fmt.Errorf("atomicfile: %s: %s: %w", name, step, err)
	}
	return fmt.Errorf("atomicfile: %s: %w", name, err)
}

// osFS is the real file system.
type osFS struct{}

func (osFS) Create(path string, perm fs.FileMode) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(path string) error     { return os.Remove(path) }
func (osFS) SyncDir(path string) error    { return syncDir(path) }
func (osFS) Mkdir(path string) error      { return os.Mkdir(path, 0o777) }

func (osFS) Exchange(a, b string) (bool, error) { return exchange(a, b) }
