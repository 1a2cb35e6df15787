package dicom

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpus is real material beside the checkout; tests that need it skip without it.
const corpus = "../../shared/dicom"

// TestCorpus parses every real object: none is refused, and none but those that are known to be cut ends early.
func TestCorpus(t *testing.T) {
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("no corpus")
	}
	n := 0
	err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".csv") {
			return err
		}
		n++
		f, err := Open(path)
		// Of the directory elements were taken out, and its length was not.
		cut := strings.Contains(path, "truncated") || strings.HasSuffix(path, "DICOMDIR-nooffset")
		if err != nil && !(cut && errors.Is(err, ErrTruncated)) {
			t.Errorf("%v", err)
		}
		if f == nil || len(f.Data.Elements()) == 0 {
			t.Errorf("%s: nothing was read", path)
		}
		return nil
	})
	if err != nil || n == 0 {
		t.Fatal(n, err)
	}
}
