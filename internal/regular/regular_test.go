package regular

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadFile(path, 4); err != nil || string(got) != "four" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := ReadFile(path, 3); err == nil {
		t.Error("more than it may have")
	}
	if _, err := ReadFile(dir, 10); !errors.Is(err, ErrNot) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
}
