package features

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/dataset/parquet"
	"melo.example/melo/internal/npz"
	"melo.example/melo/safetensors"
)

var names = []string{"a.png", "b ü.png", "c.png"}

func open(t *testing.T, out, identity string) *Store {
	t.Helper()
	s, err := Open(out, identity, names, []int{2})
	if err != nil {
		t.Fatal(err)
	}
	s.part = 1
	return s
}

// A run that was cut goes on, and the file is that of a run in one go.
func TestResume(t *testing.T) {
	dir := t.TempDir()
	for _, ext := range []string{".npz", ".safetensors", ".parquet"} {
		out := filepath.Join(dir, "x"+ext)
		s := open(t, out, "id")
		if err := s.Add([]float32{1, 2}); err != nil {
			t.Fatal(err)
		}
		s = &Store{out: out, identity: "id", shape: []int{2}, images: names, part: 1, done: 1}
		if err := s.Add(nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Add([]float32{5, 6}); err != nil {
			t.Fatal(err)
		}
		label, one := Column{Name: "label", Text: []string{"x", "lost", "z"}}, Column{Name: "label:one", Numbers: []float64{1, 0, math.NaN()}}
		if _, err := s.Finish(nil, Column{Name: "short", Text: names[:2]}); err == nil {
			t.Error("a column that is too short was taken")
		}
		if n, err := s.Finish(map[string]string{"base": "b"}, label, one); err != nil || n != 2 {
			t.Fatal(n, err)
		}
		if _, err := os.Stat(out + ".parts"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("parts are left: %v", err)
		}
	}
	f, err := safetensors.Open(filepath.Join(dir, "x.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x, _ := f.Tensor("features")
	if v, err := x.Float32s(nil); err != nil || !slices.Equal(v, []float32{1, 2, 5, 6}) || f.Metadata()["images"] != `["a.png","c.png"]` || f.Metadata()["base"] != "b" {
		t.Errorf("%v %v %v", v, err, f.Metadata())
	}
	if f.Metadata()["label"] != `["x","z"]` {
		t.Errorf("labels %s", f.Metadata()["label"])
	}
	p, err := parquet.Open(filepath.Join(dir, "x.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, c := range p.Columns() {
		got, err := p.Strings(c, 1<<20)
		want := map[string][]string{"image": {"a.png", "c.png"}, "label": {"x", "z"}, "label:one": {"1", "NaN"}, "features": {"1|2", "5|6"}}[c.Name]
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("column %s: %q, %v, expected %q", c.Name, got, err, want)
		}
	}
	z, err := npz.Open(filepath.Join(dir, "x.npz"), npz.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	a, err := z.Array("features")
	if err != nil || !slices.Equal(a.Shape, []int{2, 2}) {
		t.Fatal(a, err)
	}
	row := make([]byte, a.RowBytes())
	if err := a.Row(1, row); err != nil || !bytes.Equal(row, x.Data[8:]) {
		t.Errorf("%v %v", row, err)
	}
}

func TestOther(t *testing.T) {
	out := filepath.Join(t.TempDir(), "x.npz")
	s, err := Open(out, "one", names[:1], []int{2})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Add([]float32{1, 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(out, "two", names[:1], []int{2}); !errors.Is(err, ErrOther) {
		t.Errorf("%v", err)
	}
	if again, err := Open(out, "one", names[:1], []int{2}); err != nil || again.Done() != 1 {
		t.Errorf("%v", err)
	}
	if err := Discard(out); err != nil {
		t.Fatal(err)
	}
	if again, err := Open(out, "two", names[:1], []int{2}); err != nil || again.Done() != 0 {
		t.Errorf("%v", err)
	}
	if _, err := Open("x.csv", "", nil, nil); err == nil || !strings.Contains(err.Error(), ".csv") {
		t.Errorf("%v", err)
	}
}
