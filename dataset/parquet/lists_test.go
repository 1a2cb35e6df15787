package parquet

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	pq "github.com/parquet-go/parquet-go"
)

type labelled struct {
	Tags  []string `parquet:"tags,list"`
	Plain []int32  `parquet:"plain"`
	Label struct {
		Name string `parquet:"name"`
		Code int32  `parquet:"code"`
	} `parquet:"label"`
}

func rowsOf(t *testing.T, options ...pq.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pq.NewGenericWriter[labelled](&b, options...)
	rows := make([]labelled, 3)
	rows[0].Tags, rows[0].Plain, rows[0].Label.Name = []string{"a", "b"}, []int32{1}, "x"
	rows[2].Tags, rows[2].Plain, rows[2].Label.Code = []string{"b"}, []int32{2, 3}, 1
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestLists: a list without items is told from a value that is missing, and parts of structures are told as such.
func TestLists(t *testing.T) {
	f, err := Open(saved(t, rowsOf(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := map[string][]string{"tags": {"a|b", "[]", "b"}, "plain": {"1", "[]", "2|3"}, "label.name": {"x", "", ""}, "label.code": {"0", "0", "1"}}
	for _, c := range f.Columns() {
		got, err := f.Strings(c, 1000)
		if err != nil || !slices.Equal(got, want[c.Name]) {
			t.Errorf("%s: %q, %v", c.Name, got, err)
		}
		if c.Parts != strings.HasPrefix(c.Name, "label.") || c.List == c.Parts {
			t.Errorf("%s: part %v, list %v", c.Name, c.Parts, c.List)
		}
	}
}

// TestLZ4 is refused by name: the library takes incompressible blocks for empty ones.
func TestLZ4(t *testing.T) {
	_, err := Open(saved(t, rowsOf(t, pq.Compression(&pq.Lz4Raw))))
	if err == nil || !strings.Contains(err.Error(), "LZ4 compression is not read") {
		t.Error(err)
	}
}
