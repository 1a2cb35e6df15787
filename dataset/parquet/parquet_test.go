package parquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func saved(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.parquet")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func example(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, []string{"z", "a"}, []any{[]string{"one", "", "three"}, []float64{1, 0.5, -2}}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestRoundTrip: what is written is read, by column and by row.
func TestRoundTrip(t *testing.T) {
	f, err := Open(saved(t, example(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := map[string][]string{"z": {"one", "", "three"}, "a": {"1", "0.5", "-2"}}
	if f.Rows() != 3 || len(f.Columns()) != 2 {
		t.Fatalf("%d rows, %v", f.Rows(), f.Columns())
	}
	for _, c := range f.Columns() {
		got, err := f.Strings(c, 1000)
		if err != nil || !slices.Equal(got, want[c.Name]) {
			t.Errorf("%s: %q, %v", c.Name, got, err)
		}
		if _, err := f.Strings(c, 2); err == nil {
			t.Errorf("%s: more than two bytes", c.Name)
		}
		if c.Bytes {
			if row, err := f.Row(c, 2); err != nil || string(row) != "three" {
				t.Errorf("row: %q, %v", row, err)
			}
			if _, err := f.Row(c, 3); err == nil {
				t.Error("a row that is not there")
			}
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	if err := Write(&bytes.Buffer{}, []string{"a", "b"}, []any{[]string{"x"}, []float64{}}); err == nil {
		t.Error("columns of different lengths")
	}
	if err := Write(&bytes.Buffer{}, []string{"a"}, []any{[]int{1}}); err == nil {
		t.Error("a column of another type")
	}
}

// TestFooterLength: a footer that is said to be longer than its file is refused before it is allocated.
func TestFooterLength(t *testing.T) {
	data := example(t)
	binary.LittleEndian.PutUint32(data[len(data)-footerTail:], 0xfe000000)
	var before, after runtime.MemStats
	path := saved(t, data)
	runtime.ReadMemStats(&before)
	_, err := Open(path)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), "its footer is said to take 4261412864 of") {
		t.Errorf("got %v", err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated for a file of %d", n, len(data))
	}
	if _, err := Open(saved(t, data[:7])); !errors.Is(err, ErrFile) {
		t.Errorf("7 bytes: %v", err)
	}
}

// FuzzOpen: a damaged file is an error.
func FuzzOpen(f *testing.F) {
	f.Add(example(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := Open(saved(t, data))
		if err != nil {
			return
		}
		defer x.Close()
		for _, c := range x.Columns() {
			_, _ = x.Strings(c, 1<<20)
			if c.Bytes && x.Rows() > 0 {
				_, _ = x.Row(c, 0)
			}
		}
	})
}
