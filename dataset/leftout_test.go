package dataset

import (
	"encoding/csv"
	"strings"
	"testing"
)

// TestWriteLeftOut: each file that a note counts has a row, whatever its name.
func TestWriteLeftOut(t *testing.T) {
	root := write(t, many(map[string]string{"a/0_mask.png": stencil(t), "b/x.png": "broken", "b/y.png": "#1", ".trash/1.png": "#2", "a/notes, old.txt": "n"}, "a/:3", "b/:3"))
	d, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Scan(t.Context(), ScanOptions{MaxBad: -1, Looks: true}); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := d.WriteLeftOut(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, row := range rows {
		if !strings.HasPrefix(row[1], "looks like") {
			got[row[0]] = row[1]
		}
	}
	want := map[string]string{"file": "reason", ".trash/1.png": "hidden", "a/0_mask.png": "masks", "a/notes, old.txt": "not images", "b/x.png": "cannot be read",
		"b/y.png": "the same image as a/0.png"}
	for file, reason := range want {
		if !strings.Contains(got[file], reason) {
			t.Errorf("%s: %q, expected %q", file, got[file], reason)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%q", got)
	}
}
