package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// faultFS passes operations on to the real file system and makes the k-th one fail.
type faultFS struct {
	osFS
	failAt, count int
	err           error
}

func (f *faultFS) fault() error {
	f.count++
	if f.count == f.failAt {
		return f.err
	}
	return nil
}

func (f *faultFS) Create(path string, perm fs.FileMode) (file, error) {
	if err := f.fault(); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	inner, err := f.osFS.Create(path, perm)
	return &faultFile{inner, f}, err
}

func (f *faultFS) Rename(from, to string) error {
	if err := f.fault(); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return f.osFS.Rename(from, to)
}

func (f *faultFS) SyncDir(path string) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.osFS.SyncDir(path)
}

type faultFile struct {
	file
	fs *faultFS
}

// Write fails like a disk that fills up: half of the bytes are written.
func (f *faultFile) Write(p []byte) (int, error) {
	if err := f.fs.fault(); err != nil {
		n, _ := f.file.Write(p[:len(p)/2])
		return n, &fs.PathError{Op: "write", Path: "temp", Err: err}
	}
	return f.file.Write(p)
}

func (f *faultFile) Sync() error {
	if err := f.fs.fault(); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *faultFile) Close() error {
	if err := f.fs.fault(); err != nil {
		f.file.Close()
		return err
	}
	return f.file.Close()
}

func fillWith(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// only asserts that dir holds exactly the file name with the given content.
func only(t *testing.T, dir, name string, want []byte) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Fatalf("folder holds %v, expected only %s", entries, name)
	}
	got, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s holds %d bytes (%v), expected %d", name, len(got), err, len(want))
	}
}

func TestWriteReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, strings.Repeat("n", 255)) // the longest name most systems allow
	for _, content := range []string{"first", "", "third, longer"} {
		if err := Write(path, 0o644, fillWith([]byte(content))); err != nil {
			t.Fatal(err)
		}
		only(t, dir, filepath.Base(path), []byte(content))
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&^0o644 != 0 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Every operation fails once, for a file of several buffers: the folder holds the old file alone, or,
// after the rename, the new one alone.
func TestEveryOperationFails(t *testing.T) {
	old, fresh := []byte("old content"), bytes.Repeat([]byte("new"), bufferSize)
	for k := 1; ; k++ {
		dir := t.TempDir()
		path := filepath.Join(dir, "a.safetensors")
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		fsys := &faultFS{failAt: k, err: syscall.ENOSPC}
		err := write(fsys, path, path, 0o644, fillWith(fresh))
		if fsys.count < k {
			if err != nil {
				t.Fatalf("no fault, yet %v", err)
			}
			if k < 6 { // create, write, sync, close, rename, sync folder
				t.Fatalf("only %d operations were tried", k-1)
			}
			only(t, dir, "a.safetensors", fresh)
			return
		}
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), ".tmp") {
			t.Errorf("operation %d: error %q should wrap ENOSPC and name the file", k, err)
		}
		if strings.Contains(fmt.Sprint(err), "folder could not be synced") {
			only(t, dir, "a.safetensors", fresh)
		} else {
			only(t, dir, "a.safetensors", old)
		}
	}
}

func TestFillFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := errors.New("no more data")
	err := Write(path, 0o644, func(w io.Writer) error {
		io.WriteString(w, "half")
		return want
	})
	if !errors.Is(err, want) {
		t.Errorf("error %v", err)
	}
	only(t, dir, "a", []byte("old"))
	func() {
		defer func() { recover() }()
		Write(path, 0o644, func(io.Writer) error { panic("bug") })
	}()
	only(t, dir, "a", []byte("old"))
}

func TestRefusedTargets(t *testing.T) {
	dir := t.TempDir()
	fill := func(io.Writer) error { t.Error("fill was called"); return nil }
	targets := map[string]string{"folder": dir, "no such folder": filepath.Join(dir, "none", "a")}
	if runtime.GOOS == "linux" {
		targets["device"] = "/dev/full"
	}
	for what, path := range targets {
		if err := Write(path, 0o644, fill); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v should name %s", what, err, path)
		}
	}
}

func TestUnwritableFolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	if f, err := os.Create(filepath.Join(dir, "probe")); err == nil {
		f.Close()
		os.Remove(f.Name())
		t.Skip("permissions do not bind this user")
	}
	if err := Write(path, 0o644, fillWith([]byte("new"))); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error %v, expected a permission error", err)
	}
	only(t, dir, "a", []byte("old"))
}

func TestSymlink(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	target, link := filepath.Join(elsewhere, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Skip(err)
	}
	if err := Write(link, 0o644, fillWith([]byte("new"))); err != nil {
		t.Fatal(err)
	}
	only(t, elsewhere, "real", []byte("new"))
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v %v", info, err)
	}
}
