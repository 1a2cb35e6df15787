package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// WriteFolder creates a folder at path with the given files, each written by its function, atomically: readers
// see no folder, the old one, or the complete new one. The files are written and synced in a temporary folder
// beside it, which is then renamed. An existing folder is replaced only if it contains no other files than
// those with the same names, so that nothing else is lost. Where possible, the folders are swapped atomically;
// otherwise there is a moment without either. On any error the old folder stays unchanged.
func WriteFolder(path string, perm fs.FileMode, files map[string]func(io.Writer) error) error {
	target, exists, err := resolveFolder(path, files)
	if err != nil {
		return failed(path, "", err)
	}
	temp, err := writeFolder(osFS{}, path, target, exists, perm, files)
	if temp != "" {
		_ = os.RemoveAll(temp) // what is left in it: nothing, part of the new folder, or the old one
	}
	return err
}

// writeFolder writes the files to a temporary folder and moves that to target. path is the path as given by the
// caller. It returns the temporary folder, which is no longer needed.
func writeFolder(fsys fileSystem, path, target string, exists bool, perm fs.FileMode, files map[string]func(io.Writer) error) (temp string, err error) {
	if temp, err = createTempFolder(fsys, filepath.Dir(target)); err != nil {
		return "", failed(path, "create a folder beside it", err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := writeNew(fsys, filepath.Join(temp, name), perm, files[name]); err != nil {
			return temp, failed(path, name, err)
		}
	}
	if err := fsys.SyncDir(temp); err != nil {
		return temp, failed(path, "sync", err)
	}
	if exists {
		err = replaceFolder(fsys, temp, target)
	} else {
		err = fsys.Rename(temp, target)
	}
	if err != nil {
		return temp, failed(path, "rename", err)
	}
	if err := fsys.SyncDir(filepath.Dir(target)); err != nil {
		return temp, failed(path, "written, but its folder could not be synced", err)
	}
	return temp, nil
}

// resolveFolder follows symbolic links. It returns an error if the path is not a folder or contains other
// files.
func resolveFolder(path string, files map[string]func(io.Writer) error) (target string, exists bool, err error) {
	target, err = filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return filepath.Clean(path), false, nil
	}
	if err != nil {
		return "", false, err
	}
	entries, err := os.ReadDir(target)
	if err != nil {
		return "", false, err
	}
	for _, e := range entries {
		if _, ok := files[e.Name()]; !ok || !e.Type().IsRegular() {
			return "", false, fmt.Errorf("the folder holds %q, which replacing it would delete", e.Name())
		}
	}
	return target, true, nil
}

func createTempFolder(fsys fileSystem, dir string) (string, error) {
	for try := 0; ; try++ {
		temp := filepath.Join(dir, fmt.Sprintf(".melo-%016x.tmp", rand.Uint64()))
		err := fsys.Mkdir(temp)
		if err == nil || !errors.Is(err, fs.ErrExist) || try == 100 {
			return temp, err
		}
	}
}

// writeNew creates, fills and syncs a file.
func writeNew(fsys fileSystem, path string, perm fs.FileMode, fill func(io.Writer) error) error {
	f, err := fsys.Create(path, perm)
	if err != nil {
		return err
	}
	buf := bufio.NewWriterSize(f, bufferSize)
	err = fill(buf)
	if err == nil {
		err = buf.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// replaceFolder moves the folder temp to target, and the old folder to temp.
func replaceFolder(fsys fileSystem, temp, target string) error {
	if done, err := fsys.Exchange(temp, target); done || err != nil {
		return err
	}
	return replaceInTwoSteps(fsys, temp, target)
}

// replaceInTwoSteps is replaceFolder with a moment when there is no folder at target.
func replaceInTwoSteps(fsys fileSystem, temp, target string) error {
	old := temp + ".old"
	if err := fsys.Rename(target, old); err != nil {
		return err
	}
	if err := fsys.Rename(temp, target); err != nil {
		return errors.Join(err, fsys.Rename(old, target))
	}
	return fsys.Rename(old, temp)
}

// TryFolder checks that files can be created in a folder.
func TryFolder(dir string) error {
	probe, err := os.CreateTemp(dir, ".melo-*.tmp")
	if err != nil {
		return fmt.Errorf("%s: cannot be written to: %w", dir, errors.Unwrap(err))
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}
