package main

import (
	"bytes"
	"context"
	endian "encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"melo.example/melo/experiment"
)

// The tests of this file are the promises about bad input, from the command line: a line that names the file, the
// documented exit status, and nothing lost.

// picturePNG encodes a grey picture by a formula.
func picturePNG(t *testing.T, w, h int, level func(x, y int) uint8) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetGray(x, y, color.Gray{Y: level(x, y)})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// put writes a file below a folder.
func put(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// rowsFor is a labels.csv of the images of trainingSet with further columns.
func rowsFor(classes, n int, head string, more func(class, i int) string) []byte {
	text := "path,label," + head + "\n"
	for c := range classes {
		for i := range n {
			text += fmt.Sprintf("class_%c/%02d.png,class_%c,%s\n", 'a'+c, i, 'a'+c, more(c, i))
		}
	}
	return []byte(text)
}

// TestBadSplits: a split of one class, and a patient on both sides, stop training, comparison and data alike.
func TestBadSplits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, head string
		more       func(class, i int) string
		says       []string
	}{
		{"one class to validate", "split", func(class, i int) string {
			return map[bool]string{true: "val", false: "train"}[class == 1 && i < 4]
		}, []string{"all 4 samples of val have the same label", `"class_b"`}},
		{"one class to train", "split", func(class, i int) string {
			return map[bool]string{true: "train", false: "test"}[class == 0]
		}, []string{"the same label", `"class_a"`}},
		{"a patient on both sides", "split,group", func(class, i int) string {
			split := map[bool]string{true: "test", false: "train"}[i < 3]
			return fmt.Sprintf("%s,%d", split, map[bool]int{true: 777, false: 100*class + i}[i == 2 || i == 5])
		}, []string{"777"}},
	} {
		data := trainingSet(t, 2, 10)
		put(t, data, "labels.csv", rowsFor(2, 10, c.head, c.more))
		out := filepath.Join(t.TempDir(), "a.safetensors")
		for _, args := range [][]string{trainArgs(data, out, "--val-split", "0"), compareArgs(data, filepath.Join(t.TempDir(), "c"), "--val-split", "0"), {"data", "--val-split", "0", data}} {
			r := melo(t, args...).want(t, exitBadInput)
			for _, text := range append(c.says, data) {
				if !strings.Contains(r.err, text) {
					t.Errorf("%s, melo %s: stderr %q does not say %q", c.name, args[0], r.err, text)
				}
			}
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: an adapter was written", c.name)
		}
	}
}

// TestFilesWithoutLabels: images that the table does not name are counted in a note, and not used.
func TestFilesWithoutLabels(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 12)
	table(t, data, "label")
	put(t, data, "class_a/forgotten.png", picturePNG(t, 5, 5, func(x, y int) uint8 { return uint8(50 * x) }))
	out := filepath.Join(t.TempDir(), "a.safetensors")
	var doc experiment.Result
	r := melo(t, trainArgs(data, out, "--json")...).want(t, exitDone)
	r.decode(t, &doc)
	if n := doc.Data.Train + doc.Data.Val + doc.Data.Test; n != 24 || !strings.Contains(r.err, "forgotten.png") {
		t.Errorf("%d images, stderr %q", n, r.err)
	}
}

// TestOddPictures: one pixel, and one colour everywhere, are trained on and answered for, with a note.
func TestOddPictures(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 12)
	flat, pixel := picturePNG(t, 30, 20, func(x, y int) uint8 { return 7 }), picturePNG(t, 1, 1, func(x, y int) uint8 { return 200 })
	put(t, data, "class_a/flat.png", flat)
	put(t, data, "class_b/pixel.png", pixel)
	out := filepath.Join(t.TempDir(), "a.safetensors")
	r := melo(t, trainArgs(data, out)...).want(t, exitDone)
	for _, text := range []string{"the same colour everywhere: class_a/flat.png", "class_b/pixel.png (1 x 1)"} {
		if !strings.Contains(r.err, text) {
			t.Errorf("stderr %q does not say %q", r.err, text)
		}
	}
	doc := evaluate(t, out, data, "--split", "all", "--html", filepath.Join(t.TempDir(), "r.html"))
	if doc.N != 26 {
		t.Errorf("%d images", doc.N)
	}
	melo(t, "predict", "--adapter", out, filepath.Join(data, "class_a", "flat.png"), filepath.Join(data, "class_b", "pixel.png")).want(t, exitDone)
}

// TestBombs: what claims to be larger than the limit, or holds less than it claims, is refused by name by every command.
func TestBombs(t *testing.T) {
	t.Parallel()
	small := picturePNG(t, 8, 8, func(x, y int) uint8 { return uint8(20*x + y) })
	claim := func(w, h uint32) []byte {
		b := slices.Clone(small)
		endian.BigEndian.PutUint32(b[16:], w)
		endian.BigEndian.PutUint32(b[20:], h)
		crc := pngCRC(b[12:29])
		endian.BigEndian.PutUint32(b[29:], crc)
		return b
	}
	data := trainingSet(t, 2, 12)
	adapter := trained(t, data)
	for name, c := range map[string]struct {
		bytes []byte
		says  string
	}{
		"large.png": {claim(20_000, 20_000), "20000 x 20000 pixels"},
		"bomb.png":  {claim(9_000, 9_000), "bomb.png"},
		"cut.png":   {small[:40], "cut.png"},
	} {
		bad := trainingSet(t, 2, 12)
		put(t, bad, "class_a/"+name, c.bytes)
		out := filepath.Join(t.TempDir(), "a.safetensors")
		for _, args := range [][]string{trainArgs(bad, out), compareArgs(bad, filepath.Join(t.TempDir(), "c")), {"data", bad},
			{"eval", "--adapter", adapter, "--data", bad, "--split", "all"}, {"predict", "--adapter", adapter, filepath.Join(bad, "class_a", name)}} {
			r := melo(t, args...).want(t, exitBadInput)
			if !strings.Contains(r.err, name) || !strings.Contains(r.err, c.says) {
				t.Errorf("melo %s: stderr %q, want %q", args[0], r.err, c.says)
			}
		}
		r := melo(t, trainArgs(bad, out, "--max-bad", "1")...).want(t, exitDone)
		if !strings.Contains(r.err, "left out") || !strings.Contains(r.err, name) {
			t.Errorf("%s: stderr %q", name, r.err)
		}
	}
}

// pngCRC is the checksum of a chunk's name and content.
func pngCRC(b []byte) uint32 {
	c := ^uint32(0)
	for _, v := range b {
		c ^= uint32(v)
		for range 8 {
			c = c>>1 ^ 0xedb88320*(c&1)
		}
	}
	return ^c
}

// TestDataDisappearsDuringTraining: the folder is named, and what was trained until then is kept.
func TestDataDisappearsDuringTraining(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 12)
	away := data + ".away"
	out := filepath.Join(t.TempDir(), "a.safetensors")
	whole := trained(t, data)
	vanish := func() {
		if err := os.Rename(data, away); err != nil {
			t.Error(err)
		}
	}
	// After the images were looked at, and before the first of them is loaded.
	r := meloWatched(t.Context(), "images to train", vanish, trainArgs(data, out)...).want(t, exitBadInput)
	if !strings.Contains(r.err, data+": the data has disappeared") {
		t.Errorf("stderr %q", r.err)
	}
	if err := os.Rename(away, data); err != nil {
		t.Fatal(err)
	}
	melo(t, trainArgs(data, out, "--resume")...).want(t, exitDone)
	if adapterDigest(t, out) != adapterDigest(t, whole) {
		t.Error("the file differs from that of a run without trouble")
	}
	if r := melo(t, "eval", "--adapter", out, "--data", away).want(t, exitBadInput); !strings.Contains(r.err, away) {
		t.Errorf("stderr %q", r.err)
	}
}

// TestInterruptedAtAnyTime: however early or late, a command ends with its status and a line, leaves no half of a file,
// and the same command is done the next time.
func TestInterruptedAtAnyTime(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 16)
	adapter := trained(t, data)
	for _, c := range []struct {
		name string
		args func(dir string) []string
	}{
		{"data", func(dir string) []string { return []string{"data", data, "--sheet", filepath.Join(dir, "sheet.png")} }},
		{"train", func(dir string) []string {
			return trainArgs(data, filepath.Join(dir, "a.safetensors"), "--resume")
		}},
		{"eval", func(dir string) []string {
			return []string{"eval", "--adapter", adapter, "--data", data, "--split", "all", "--html", filepath.Join(dir, "r.html"), "--predictions", filepath.Join(dir, "p.csv")}
		}},
		{"compare", func(dir string) []string {
			return compareArgs(data, filepath.Join(dir, "c"), "--seeds", "1", "--methods", "melo,linear")
		}},
	} {
		dir := t.TempDir()
		for k := range 8 {
			ctx, cancel := context.WithCancel(t.Context())
			timer := time.AfterFunc(time.Duration(k*k)*4*time.Millisecond, cancel)
			r := meloContext(t, ctx, c.args(dir)...)
			timer.Stop()
			cancel()
			if r.status == exitDone {
				break
			}
			r.want(t, exitInterrupted)
			if !strings.Contains(r.err, "interrupted") {
				t.Errorf("%s: stderr %q", c.name, r.err)
			}
			filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
				if err != nil || strings.Contains(path, ".tmp") {
					t.Errorf("%s left %s, %v", c.name, path, err)
				}
				return nil
			})
		}
		melo(t, c.args(dir)...).want(t, exitDone)
	}
}
