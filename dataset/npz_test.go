package dataset

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/imaging"
)

func openArchive(t testing.TB, path string, opt Options) *Dataset {
	t.Helper()
	d, err := Open(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// goldenPixel is a sample of the archives that tools/golden_npz writes.
func goldenPixel(split string, rowSamples, row, k int) uint8 {
	i := row*rowSamples + k
	return uint8((7*i+3)%251) ^ uint8(row+len(split)*16)
}

func TestOpenNPZ(t *testing.T) {
	for _, c := range []struct {
		file   string
		task   Task
		labels []string
		colour int
	}{{"grey", Binary, []string{"0", "1"}, 1}, {"colour", MultiClass, []string{"0", "1", "2"}, 3}, {"many", MultiLabel, []string{"0", "1", "2"}, 1}} {
		d := openArchive(t, "testdata/"+c.file+".npz", Options{})
		if d.Task != c.task || !slices.Equal(d.Labels, c.labels) || len(d.Samples) != 24 {
			t.Fatalf("%s: %s %v, %d samples", c.file, d.Task, d.Labels, len(d.Samples))
		}
		if err := d.Scan(t.Context(), ScanOptions{}); err != nil {
			t.Fatal(err)
		}
		parts := mustSplit(t, d, SplitOptions{})
		if len(parts[0]) != 12 || len(parts[1]) != 6 || len(parts[2]) != 6 {
			t.Errorf("%s: %d, %d, %d samples", c.file, len(parts[0]), len(parts[1]), len(parts[2]))
		}
		for _, i := range []int{0, 11, 12, 17, 18, 23} {
			m, err := d.Image(t.Context(), i, imaging.Options{})
			if err != nil {
				t.Fatal(err)
			}
			s := d.Samples[i]
			row := i - []int{0, 12, 18}[slices.Index(splitNames[:], s.Split)]
			if m.W != 8 || m.H != 9 || m.C != c.colour || m.Bits != 8 || s.Path != fmt.Sprintf("%s_images[%d]", s.Split, row) {
				t.Errorf("%s: %s: %d x %d x %d", c.file, s.Path, m.W, m.H, m.C)
			}
			for k, v := range m.Pix8 {
				if want := goldenPixel(s.Split, len(m.Pix8), row, k); v != want {
					t.Fatalf("%s: %s: sample %d is %d, expected %d", c.file, s.Path, k, v, want)
				}
			}
			if c.task == MultiLabel {
				for l, v := range s.Targets {
					if want := b2f((row*3+l)%5 == 0); v != want {
						t.Errorf("%s: targets %v", s.Path, s.Targets)
					}
				}
			} else if s.Label != row%len(c.labels) {
				t.Errorf("%s: label %d", s.Path, s.Label)
			}
		}
		epochDigest(t, newLoader(t, d, LoaderOptions{Batch: 5, Augment: allAugment}), 0)
		if x := d.Info(3); x.Format != "npz" || x.W != 8 || x.Err != nil {
			t.Errorf("%+v", x)
		}
		if a, err := d.Digest(); err != nil || len(a) != 64 {
			t.Errorf("digest %q, %v", a, err)
		}
	}
}

func TestNPZLabels(t *testing.T) {
	d := openArchive(t, "testdata/grey.npz", Options{Labels: []string{"healthy", "ill"}})
	if d.Samples[1].Label != 1 || d.Labels[1] != "ill" {
		t.Errorf("got %v, %+v", d.Labels, d.Samples[1])
	}
	d = openArchive(t, "testdata/colour.npz", Options{Labels: []string{"2", "0", "1", "7"}})
	if d.Samples[2].Label != 0 || d.Samples[0].Label != 1 || d.Samples[1].Label != 2 {
		t.Errorf("by value: %+v", d.Samples[:3])
	}
	d = openArchive(t, "testdata/many.npz", Options{Labels: []string{"2", "0"}})
	if s := d.Samples[1].Targets; !slices.Equal(s, []float32{1, 0}) { // columns 5 % 5 == 0 and 3
		t.Errorf("columns by value: %v", s)
	}
}

// npy is an array with its header.
func npy(descr string, shape []int, body []byte) []byte {
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (", descr)
	for _, n := range shape {
		text += fmt.Sprint(n, ", ")
	}
	text += "), }\n"
	head := append([]byte("\x93NUMPY\x01\x00"), 0, 0)
	binary.LittleEndian.PutUint16(head[8:], uint16(len(text)))
	return append(append(head, text...), body...)
}

// archive writes arrays under their names.
func archive(t testing.TB, arrays map[string][]byte) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, data := range arrays {
		w, err := z.Create(name + ".npy")
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "set.npz")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenNPZRefuses(t *testing.T) {
	images, y := npy("|u1", []int{4, 3, 3}, make([]byte, 36)), npy("|u1", []int{4, 1}, []byte{0, 1, 0, 1})
	for _, c := range []struct {
		name   string
		arrays map[string][]byte
		opt    Options
		want   string
	}{
		{"nothing", map[string][]byte{"x": images}, Options{}, "no train_images with train_labels: the arrays are x"},
		{"no labels", map[string][]byte{"train_images": images}, Options{}, "train_images and train_labels: only one"},
		{"no images", map[string][]byte{"train_images": images, "train_labels": y, "test_labels": y}, Options{}, "test_images and test_labels: only one"},
		{"floats", map[string][]byte{"train_images": npy("<f4", []int{4, 3, 3}, make([]byte, 144)), "train_labels": y}, Options{}, "float32[4 3 3]: expected uint8 or uint16"},
		{"volumes", map[string][]byte{"train_images": npy("|u1", []int{4, 3, 3, 4}, make([]byte, 144)), "train_labels": y}, Options{}, "volumes (MedMNIST's 3D sets) are not supported"},
		{"flat", map[string][]byte{"train_images": npy("|u1", []int{4, 9}, make([]byte, 36)), "train_labels": y}, Options{}, "expected images x height x width"},
		{"rows", map[string][]byte{"train_images": images, "train_labels": npy("|u1", []int{3, 1}, make([]byte, 3))}, Options{}, "train_labels is uint8[3 1]: expected a row of numbers for each of 4 images"},
		{"labels as floats", map[string][]byte{"train_images": images, "train_labels": npy("<f4", []int{4, 1}, make([]byte, 16))}, Options{}, "train_labels: float32: expected integers"},
		{"negative", map[string][]byte{"train_images": images, "train_labels": npy("|i1", []int{4}, []byte{0, 1, 255, 1})}, Options{}, "train_labels[2] is -1: expected labels 0, 1"},
		{"one class", map[string][]byte{"train_images": images, "train_labels": npy("|u1", []int{4}, make([]byte, 4))}, Options{}, `have the label "0": at least two`},
		{"gap", map[string][]byte{"train_images": images, "train_labels": npy("|u1", []int{4}, []byte{0, 2, 0, 2})}, Options{}, `label "1" has no images`},
		{"many classes", map[string][]byte{"train_images": images, "train_labels": npy("<i8", []int{4}, append(make([]byte, 24), 255, 255, 255, 255, 255, 255, 255, 127))}, Options{}, "expected labels"},
		{"large class", map[string][]byte{"train_images": images, "train_labels": npy("<u2", []int{4}, []byte{0, 0, 1, 0, 2, 0, 255, 255})}, Options{}, "class number 65535: expected at most 10000"},
		{"targets", map[string][]byte{"train_images": images, "train_labels": npy("|u1", []int{4, 2}, []byte{0, 1, 0, 1, 0, 2, 0, 1})}, Options{}, "train_labels[2] is 2: expected 0 or 1"},
		{"columns", map[string][]byte{"train_images": images, "train_labels": y, "val_images": images, "val_labels": npy("|u1", []int{4, 2}, make([]byte, 8))}, Options{}, "val_labels has 2 columns, another split 1"},
		{"label without column", map[string][]byte{"train_images": images, "train_labels": npy("|u1", []int{4, 2}, make([]byte, 8))}, Options{Labels: []string{"0", "5"}}, `no column for label "5"`},
		{"unknown class", map[string][]byte{"train_images": images, "train_labels": npy("|u1", []int{4}, []byte{0, 1, 2, 2})}, Options{Labels: []string{"a", "b"}}, "train_labels[2] is 2: expected labels a, b"},
		{"columns named", map[string][]byte{"train_images": images, "train_labels": y}, Options{GroupColumn: "patient"}, "columns are named"},
		{"empty", map[string][]byte{"train_images": npy("|u1", []int{0, 3, 3}, nil), "train_labels": npy("|u1", []int{0, 1}, nil)}, Options{}, "no train_images"},
	} {
		path := archive(t, c.arrays)
		d, err := Open(path, c.opt)
		if err == nil {
			d.Close()
		}
		if !errors.Is(err, ErrBadData) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, expected %q", c.name, err, c.want)
		}
	}
	path := filepath.Join(t.TempDir(), "text.npz")
	if err := os.WriteFile(path, []byte("PK?"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, ErrBadData) || !strings.Contains(err.Error(), path) {
		t.Errorf("not a zip file: %v", err)
	}
}

// TestNPZ16: samples of 16 bits keep them.
func TestNPZ16(t *testing.T) {
	body := make([]byte, 4*4*2)
	for i := range body {
		body[i] = byte(37 * i)
	}
	path := archive(t, map[string][]byte{"train_images": npy(">u2", []int{4, 2, 2, 1}, body), "train_labels": npy("|b1", []int{4, 1}, []byte{0, 1, 1, 0})})
	d := openArchive(t, path, Options{})
	m, err := d.Image(t.Context(), 1, imaging.Options{})
	if err != nil || m.Bits != 16 || m.C != 1 || m.Pix16[1] != uint16(body[10])<<8|uint16(body[11]) {
		t.Errorf("%+v, %v", m, err)
	}
}

// FuzzNPZ demands a data set that can be split and loaded, or an error, of labels of any kind.
func FuzzNPZ(f *testing.F) {
	for _, name := range []string{"grey", "colour", "many"} {
		data, err := os.ReadFile("testdata/" + name + ".npz")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, shape := range [][]int{{4, 3, 3}, {4, 3, 3, 3}} {
		path := archive(f, map[string][]byte{"train_images": npy("|u1", shape, make([]byte, 36*shape[len(shape)-1]/3*3)), "train_labels": npy("|u1", []int{4, 1}, []byte{0, 1, 0, 1})})
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, fmt.Sprint(os.Getpid(), ".npz"))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Open(path, Options{})
		if err != nil {
			return
		}
		defer d.Close()
		if err := d.Scan(t.Context(), ScanOptions{MaxBad: -1}); err != nil {
			t.Fatal(err)
		}
		_, _, _, _ = d.Split(SplitOptions{})
	})
}

func TestNPZOptions(t *testing.T) {
	for _, opt := range []Options{{SplitFiles: []string{"train=x"}}, {Layout: "classes"}, {Images: "x"}} {
		if _, err := Open("testdata/grey.npz", opt); !errors.Is(err, ErrBadData) {
			t.Errorf("%+v: %v", opt, err)
		}
	}
}

// TestNPZOneHot: one 1 in every row is one label an image, as in tables; --task multilabel says otherwise.
func TestNPZOneHot(t *testing.T) {
	path := archive(t, map[string][]byte{"train_images": npy("|u1", []int{3, 2, 2}, make([]byte, 12)),
		"train_labels": npy("|u1", []int{3, 3}, []byte{0, 1, 0, 1, 0, 0, 0, 0, 1})})
	d := openArchive(t, path, Options{})
	if d.Task != MultiClass || d.Samples[0].Label != 1 || d.Samples[1].Label != 0 || d.Samples[2].Label != 2 {
		t.Errorf("%s: %+v", d.Task, d.Samples)
	}
	if d := openArchive(t, path, Options{Task: MultiLabel}); d.Task != MultiLabel {
		t.Error(d.Task)
	}
}
