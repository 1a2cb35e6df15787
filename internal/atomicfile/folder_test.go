package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type fills = map[string]func(io.Writer) error

func twoFiles(a, b string) fills {
	return fills{"a": fillWith([]byte(a)), "b": fillWith([]byte(b))}
}

// holds asserts the names and contents of a folder's files.
func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(want) {
		t.Fatalf("%s holds %v, expected %d files", dir, entries, len(want))
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != text {
			t.Errorf("%s: %q, %v, expected %q", name, got, err, text)
		}
	}
}

func TestWriteFolder(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "out")
	for _, text := range []string{"one", "two"} { // a new folder, then over the old one
		if err := WriteFolder(dir, 0o644, twoFiles(text, "x"+text)); err != nil {
			t.Fatal(err)
		}
		holds(t, dir, map[string]string{"a": text, "b": "x" + text})
	}
	link := filepath.Join(top, "link")
	if err := os.Symlink("out", link); err != nil {
		t.Skip(err)
	}
	if err := WriteFolder(link, 0o644, twoFiles("three", "xthree")); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, map[string]string{"a": "three", "b": "xthree"})
	if entries, err := os.ReadDir(top); err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestReplaceFolderInTwoSteps is the way of systems that cannot exchange two paths.
func TestReplaceFolderInTwoSteps(t *testing.T) {
	top := t.TempDir()
	a, b := filepath.Join(top, "a"), filepath.Join(top, "b")
	for _, dir := range []string{a, b} {
		if err := WriteFolder(dir, 0o644, fills{"name": fillWith([]byte(dir))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := replaceInTwoSteps(osFS{}, a, b); err != nil {
		t.Fatal(err)
	}
	holds(t, a, map[string]string{"name": b})
	holds(t, b, map[string]string{"name": a})
	if err := replaceInTwoSteps(osFS{}, filepath.Join(top, "missing"), b); err == nil {
		t.Fatal("a missing folder took the place of another")
	}
	holds(t, b, map[string]string{"name": a})
}

// TestWriteFolderFails: whatever fails, the old folder is as it was and nothing is left beside it.
func TestWriteFolderFails(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "out")
	if err := WriteFolder(dir, 0o644, twoFiles("old", "xold")); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left")
	for what, files := range map[string]fills{
		"no space left":        {"a": fillWith([]byte("new")), "b": func(io.Writer) error { return full }},
		`the folder holds "b"`: {"a": fillWith([]byte("new"))},
	} {
		err := WriteFolder(dir, 0o644, files)
		if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v, expected %s", err, what)
		}
		holds(t, dir, map[string]string{"a": "old", "b": "xold"})
	}
	if err := WriteFolder(filepath.Join(dir, "a"), 0o644, twoFiles("x", "y")); err == nil {
		t.Error("a file was replaced by a folder")
	}
	if err := WriteFolder(filepath.Join(top, "none", "out"), 0o644, twoFiles("x", "y")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if entries, err := os.ReadDir(top); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
