package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"melo.example/melo/dataset/parquet"
	"melo.example/melo/experiment"
)

// TestFeatures: the features of a data set are those of its images by name, with labels and the splits of a training; what
// cannot be read is left out; nothing to do and too much are refused.
func TestFeatures(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	images := pictures(t, 8)
	for i, image := range images {
		label := []string{"a", "b"}[i%2]
		if err := os.MkdirAll(filepath.Join(data, label), 0o777); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(data, label, filepath.Base(image))
		if err := os.Rename(image, to); err != nil {
			t.Fatal(err)
		}
		images[i] = to
	}
	slices.Sort(images)
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.parquet"), filepath.Join(dir, "two.parquet")
	r := melo(t, "--json", "features", "--base", goldenDir("timm_vit"), "--data", data, "--out", one).want(t, exitDone)
	var doc featuresDocument
	if err := json.Unmarshal([]byte(r.out), &doc); err != nil || doc.Images != 8 || doc.Digest == "" {
		t.Errorf("%v: %s", err, r.out)
	}
	melo(t, append([]string{"features", "--base", goldenDir("timm_vit"), "--out", two}, images...)...).want(t, exitDone)
	a, b := parquetTable(t, one), parquetTable(t, two)
	if !slices.Equal(a["features"], b["features"]) || len(a["features"]) != 8 {
		t.Error("other features from a data set than from its files")
	}
	if a["image"][0] != "a/"+filepath.Base(images[0]) || a["label"][0] != "a" || a["label"][7] != "b" || !slices.Contains(a["split"], "train") {
		t.Errorf("columns %v, %v, %v", a["image"], a["label"], a["split"])
	}
	broken := filepath.Join(dir, "broken.png")
	if err := os.WriteFile(broken, []byte("no image"), 0o666); err != nil {
		t.Fatal(err)
	}
	melo(t, "features", "--base", goldenDir("timm_vit"), "--out", two, images[0], broken, images[1]).want(t, exitBadInput)
	if b := parquetTable(t, two); !slices.Equal(b["features"], a["features"][:2]) {
		t.Errorf("features beside an image that cannot be read: %v", b["image"])
	}
	melo(t, "features", "--base", goldenDir("timm_vit"), "--out", two).want(t, exitUsage)
	melo(t, "features", "--base", goldenDir("timm_vit"), "--out", two, "--data", data, images[0]).want(t, exitUsage)
	melo(t, "features", "--base", goldenDir("timm_vit"), "--out", two, "--data", data, "--folds", "3").want(t, exitUsage)
	melo(t, "features", "--base", goldenDir("timm_vit"), "--out", filepath.Join(dir, "x.csv"), images[0]).want(t, exitUsage)
}

// parquetTable reads all columns of a Parquet file as text.
func parquetTable(t *testing.T, path string) map[string][]string {
	t.Helper()
	f, err := parquet.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	columns := map[string][]string{}
	for _, c := range f.Columns() {
		if columns[c.Name], err = f.Strings(c, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	return columns
}

// TestFeaturesIdentity: parts of a run are not taken for those of images that have the same names only.
func TestFeaturesIdentity(t *testing.T) {
	images := pictures(t, 2)
	// Both may have been written within one tick of the file system's clock.
	if err := os.Chtimes(images[1], time.Time{}, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	of := func(names ...string) string {
		id, err := experiment.FeaturesOfFiles(names).Identity()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := of(images[0])
	t.Chdir(filepath.Dir(images[0]))
	name := filepath.Base(images[0])
	if of(name) != first {
		t.Error("the same file by another name is another one")
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if of(name) == first {
		t.Error("a file that is gone is the same")
	}
	if err := os.Rename(images[1], images[0]); err != nil {
		t.Fatal(err)
	}
	if of(name) == first {
		t.Error("another image of the same name is the same")
	}
}
