package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// picture is a PNG whose content follows from its number.
func picture(t testing.TB, number, w, h int) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = uint8(i*7 + number*31)
	}
	m.SetGray(0, 0, color.Gray{Y: uint8(number)})
	m.SetGray(1, 0, color.Gray{Y: uint8(number >> 8)})
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// write makes files below a new folder: the text given, or, where it is "#7", picture number 7.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		data := []byte(text)
		var number int
		if n, _ := fmt.Sscanf(text, "#%d", &number); n == 1 {
			data = picture(t, number, 8, 6)
		}
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestOpenClassFolders(t *testing.T) {
	root := write(t, map[string]string{"dog/a.png": "#1", "cat/b.PNG": "#2", "cat/deep/c.jpg": "#3",
		"cat/notes.txt": "x", ".git/d/x.png": "#4"})
	d, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Task != Binary || !slices.Equal(d.Labels, []string{"cat", "dog"}) {
		t.Errorf("got %s %v", d.Task, d.Labels)
	}
	var got []string
	for _, s := range d.Samples {
		got = append(got, fmt.Sprint(s.Path, s.Label, s.Split))
	}
	if want := []string{"cat/b.PNG0", "cat/deep/c.jpg0", "dog/a.png1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, expected %v", got, want)
	}
	want := []LeftOut{{Name: ".git/d/x.png", Reason: "hidden, or left behind by a system"}, {Name: "cat/notes.txt", Reason: "not images by their names"}}
	if !slices.Equal(d.LeftOut, want) {
		t.Errorf("left out: %v", d.LeftOut)
	}
}

func TestOpenSplitFolders(t *testing.T) {
	root := write(t, map[string]string{
		"train/a/1.png": "#1", "train/b/2.png": "#2", "train/c/3.png": "#3",
		"Validation/a/4.png": "#4", "test/b/5.png": "#5"})
	d, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	splits := map[string]string{}
	for _, s := range d.Samples {
		splits[s.Path] = s.Split
	}
	if d.Task != MultiClass || splits["Validation/a/4.png"] != Val || splits["test/b/5.png"] != Test || splits["train/c/3.png"] != Train {
		t.Errorf("got %s %v", d.Task, splits)
	}
}

func TestOpenCSV(t *testing.T) {
	root := write(t, map[string]string{
		"labels.csv": "\xef\xbb\xbfpath,label,split,patient,age\nx/1.png,yes,train,p1,40\nx/2.png,no,valid,p2,\n\"x/3,3.png\",no,test,p3,7\n",
		"x/1.png":    "#1", "x/2.png": "#2", "x/3,3.png": "#3", "x/4.png": "#4"})
	d, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := d.Samples[1]
	if s.Path != "x/2.png" || s.Label != 0 || s.Split != Val || s.Group != "p2" || s.Source != "labels.csv:3" {
		t.Errorf("got %+v", s)
	}
	if d.Samples[0].Attr["age"] != "40" || len(d.Samples[0].Attr) != 1 {
		t.Errorf("attributes: %v", d.Samples[0].Attr)
	}
	if left := d.LeftOutWords(); len(left) != 1 || !strings.Contains(left[0], "4.png") || len(d.Warnings) != 0 {
		t.Errorf("left out: %v, warnings: %v", left, d.Warnings)
	}
	if _, err := os.Stat(d.File(2)); err != nil {
		t.Error(err)
	}
	// The same table by its own path, with the labels in another order.
	d, err = Open(filepath.Join(root, "labels.csv"), Options{Labels: []string{"yes", "no", "unsure"}, GroupColumn: "age"})
	if err != nil {
		t.Fatal(err)
	}
	if d.Samples[0].Label != 0 || d.Task != MultiClass || d.Samples[0].Group != "40" {
		t.Errorf("got %+v", d.Samples[0])
	}
}

func TestOpenMultiLabel(t *testing.T) {
	root := write(t, map[string]string{
		"labels.csv": "image;edema;effusion;site;mass\n1.png;1;0;A;0\n2.png;0;1.0;B;1\n3.png;0;0;A;1\n",
		"1.png":      "#1", "2.png": "#2", "3.png": "#3"})
	d, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Task != MultiLabel || !slices.Equal(d.Labels, []string{"edema", "effusion", "mass"}) {
		t.Fatalf("got %s %v", d.Task, d.Labels)
	}
	if s := d.Samples[1]; s.Label != -1 || !slices.Equal(s.Targets, []float32{0, 1, 1}) || s.Attr["site"] != "B" {
		t.Errorf("got %+v", s)
	}
	if got := d.Counts([]int{0, 1}); !slices.Equal(got, []int{1, 1, 1}) {
		t.Errorf("counts: %v", got)
	}
	d, err = Open(root, Options{LabelColumns: []string{"mass", "edema"}, Task: MultiLabel})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(d.Labels, []string{"mass", "edema"}) || !slices.Equal(d.Samples[2].Targets, []float32{1, 0}) || d.Samples[1].Attr["effusion"] != "1.0" {
		t.Errorf("got %v %+v", d.Labels, d.Samples)
	}
}

// TestOpenRefuses wants every error to name the file or row, and what is wrong with it.
func TestOpenRefuses(t *testing.T) {
	two := map[string]string{"1.png": "#1", "2.png": "#2"}
	table := func(text string) map[string]string {
		return map[string]string{"labels.csv": text, "1.png": two["1.png"], "2.png": two["2.png"]}
	}
	for _, c := range []struct {
		name  string
		files map[string]string
		opt   Options
		want  []string
	}{
		{"empty folder", nil, Options{}, []string{"neither labels.csv nor class folders"}},
		{"empty class", map[string]string{"a/1.png": "#1", "b/x.txt": ""}, Options{}, []string{`"a"`, "two labels"}},
		{"one class", map[string]string{"a/1.png": "#1"}, Options{}, []string{`"a"`, "two labels"}},
		{"empty split", map[string]string{"train/a/1.png": "#1", "test/x.txt": ""}, Options{}, []string{`"a"`, "two labels"}},
		{"unknown class", map[string]string{"a/1.png": "#1", "b/2.png": "#2"}, Options{Labels: []string{"a", "c"}}, []string{`"b"`, "expected one of a, c"}},
		{"columns without table", map[string]string{"a/1.png": "#1", "b/2.png": "#2"}, Options{GroupColumn: "patient"}, []string{"no table of labels"}},
		{"no path column", table("name,label\nx,a\n"), Options{}, []string{`no column "path"`, "name, label"}},
		{"no label column", table("path,age\n1.png,40\n"), Options{}, []string{`neither a column "label"`}},
		{"no rows", table("path,label\n"), Options{}, []string{"labels.csv", "no rows"}},
		{"ragged", table("path,label\n1.png\n"), Options{}, []string{"line 2", "fields"}},
		{"quotes", table("path,label\n\"1.png,a\n"), Options{}, []string{"quote"}},
		{"twice the column", table("path,label,label\n1.png,a,b\n"), Options{}, []string{`two columns are named "label"`}},
		{"missing files", table("path,label\n1.png,a\n2.png,b\n3.png,b\n"), Options{}, []string{"1 of 3 rows", "labels.csv:4: 3.png"}},
		{"no such kind", map[string]string{"a.h5": "x"}, Options{}, []string{"1 .h5 files", "HDF5 is not read"}},
		{"no label", table("path,label\n1.png,a\n2.png,\n"), Options{}, []string{"labels.csv:3", "2.png has no label"}},
		{"unknown label", table("path,label\n1.png,a\n2.png,b\n"), Options{Labels: []string{"a", "x"}}, []string{"labels.csv:3", `label "b"`}},
		{"same path", table("path,label\n1.png,a\n1.png,b\n"), Options{}, []string{"labels.csv:3", "line 2 already"}},
		{"bad split", table("path,label,split\n1.png,a,train\n2.png,b,later\n"), Options{}, []string{"labels.csv:3", `split "later"`}},
		{"no group column", table("path,label\n1.png,a\n2.png,b\n"), Options{GroupColumn: "who"}, []string{`no column "who"`}},
		{"bad target", table("path,x\n1.png,1\n2.png,-1\n"), Options{LabelColumns: []string{"x"}}, []string{"labels.csv:3", `"-1"`}},
		{"empty label", table("path,x,y\n1.png,1,0\n2.png,0,0\n"), Options{}, []string{`"y" has no images`}},
		{"label without column", table("path,x,y\n1.png,1,0\n2.png,0,1\n"), Options{Labels: []string{"x", "z"}}, []string{`label "z"`}},
	} {
		_, err := Open(write(t, c.files), c.opt)
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		if !errors.Is(err, ErrBadData) {
			t.Errorf("%s: %q is not ErrBadData", c.name, err)
		}
		for _, text := range c.want {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %q does not say %q", c.name, err, text)
			}
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
	root := write(t, map[string]string{"x.zip": "PK"})
	if _, err := Open(filepath.Join(root, "x.zip"), Options{}); err == nil || !strings.Contains(err.Error(), "not a valid zip file") {
		t.Errorf("zip: %v", err)
	}
}

// TestImagesWithoutRows: those beside the images of the rows are named, and those of a class that no row names.
func TestImagesWithoutRows(t *testing.T) {
	root := write(t, map[string]string{"labels.csv": "path,label\nimages/a/1.png,x\nimages/b/2.png,y\nimages/b/3.png,y\nimages/a/4.png,x\n",
		"images/a/1.png": "#1", "images/b/2.png": "#2", "images/b/3.png": "#3", "images/a/4.png": "#4",
		"images/a/left.png": "#5", "images/c/forgotten.png": "#6", "images/.trash/5.png": "#7", "other/6.png": "#8"})
	d, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(d.LeftOutWords(), "\n")
	for name, want := range map[string]bool{"left.png": true, "forgotten.png": true, ".trash": false, "other": false, "2 left out, images without a row in labels.csv": true} {
		if strings.Contains(all, name) != want {
			t.Errorf("%q stands in %q: expected %v", name, all, want)
		}
	}
}
