package store

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// files are what each kind of store is made of in the tests.
var files = map[string]string{"a/1.png": "one", "a.b/2.png": "two", "a/b/3.png": "three"}

func folderOf(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func zipOf(t testing.TB, method uint16) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range files {
		f, err := w.CreateHeader(&zip.FileHeader{Name: "./" + name, Method: method})
		if err == nil {
			_, err = f.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarOf(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o600, Typeflag: tar.TypeReg})
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func saved(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestStores: the same files, in the same order, wherever they lie.
func TestStores(t *testing.T) {
	for kind, path := range map[string]string{
		"folder": folderOf(t), "stored": saved(t, "x.zip", zipOf(t, zip.Store)), "deflated": saved(t, "x.ZIP", zipOf(t, zip.Deflate)),
		"tar": saved(t, "x.tar", tarOf(t)),
	} {
		s, err := Open(path)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		var names []string
		for _, f := range s.Files() {
			names = append(names, f.Name)
			if head, err := s.Head(f.Name, 2); err != nil || string(head) != files[f.Name][:2] {
				t.Errorf("%s: %s begins with %q, %v", kind, f.Name, head, err)
			}
			data, err := s.Read(f.Name, 100)
			if err != nil || string(data) != files[f.Name] || f.Size != int64(len(data)) {
				t.Errorf("%s: %s: %q, %v", kind, f.Name, data, err)
			}
		}
		if want := []string{"a/1.png", "a/b/3.png", "a.b/2.png"}; !slices.Equal(names, want) {
			t.Errorf("%s: %v, expected %v", kind, names, want)
		}
		if _, err := s.Read("a/b/3.png", 4); err == nil {
			t.Errorf("%s: five bytes within four", kind)
		}
		if _, err := s.Read("none", 4); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", kind, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestLinksInCircles: a folder that links to one above it is walked once.
func TestLinksInCircles(t *testing.T) {
	root := folderOf(t)
	if err := os.Symlink(root, filepath.Join(root, "a", "up")); err != nil {
		t.Skip(err)
	}
	s, err := Open(root)
	if err != nil || len(s.Files()) != len(files) {
		t.Errorf("%v, %v", s, err)
	}
}

// FuzzArchives: nothing in an archive makes reading it panic, or take more than the limit.
func FuzzArchives(f *testing.F) {
	f.Add(zipOf(f, zip.Deflate), true)
	f.Add(tarOf(f), false)
	f.Fuzz(func(t *testing.T, data []byte, zipped bool) {
		name := "x.tar"
		if zipped {
			name = "x.zip"
		}
		s, err := Open(saved(t, name, data))
		if err != nil {
			return
		}
		defer s.Close()
		for _, f := range s.Files() {
			if b, err := s.Read(f.Name, 1000); err == nil && len(b) > 1000 {
				t.Fatalf("%d bytes", len(b))
			}
		}
	})
}
