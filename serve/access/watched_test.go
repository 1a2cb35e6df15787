package access

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestWatchedFileThatOthersWrite: a file that comes to be writable for everybody is not read again, and the log says why, once.
func TestWatchedFileThatOthersWrite(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing")
	}
	path := filepath.Join(t.TempDir(), "list")
	put := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	put("one", 0o600)
	var told []string
	w, err := Watch(100, func(contents [][]byte) (string, error) { return string(contents[0]), nil }, func(err error) {
		if err != nil {
			told = append(told, err.Error())
		}
	}, path)
	if err != nil {
		t.Fatal(err)
	}
	put("two", 0o606)
	w.checked = w.checked.Add(-2 * checkEvery)
	if got := w.Get(); got != "one" {
		t.Errorf("%q is read of a file that everybody may write", got)
	}
	w.checked = w.checked.Add(-2 * checkEvery)
	w.Get()
	if len(told) != 1 || !strings.Contains(told[0], path) || !strings.Contains(told[0], "everybody on this machine may write it") {
		t.Errorf("told %q", told)
	}
	put("two", 0o640)
	w.Reload()
	if got := w.Get(); got != "two" {
		t.Errorf("%q is read of the file as it should be", got)
	}
	if _, err := Watch(100, func([][]byte) (int, error) { return 0, nil }, nil, filepath.Dir(path)); err == nil {
		t.Error("a folder is watched")
	}
	put("three", 0o602)
	if _, err := Watch(100, func([][]byte) (int, error) { return 0, nil }, nil, path); err == nil {
		t.Error("a file that everybody may write is read at the start")
	}
}
