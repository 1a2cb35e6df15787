package main

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"melo.example/melo/internal/phantom"
)

// lettered writes chest films into class folders, with a letter in the corner of those that letter says. label is the class of a film;
// those without one are left out.
func lettered(t *testing.T, label func(p phantom.Picture, n int) string, letter func(label string) bool) string {
	t.Helper()
	dir := t.TempDir()
	task, err := phantom.Find("tb")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := 0; n < 160; i++ {
		p := task.Draw(11, i)
		class := label(p, n)
		if class == "" {
			continue
		}
		split := "train"
		if n >= 88 {
			split = "val"
		}
		if n >= 112 {
			split = "test"
		}
		b := p.Image.Bounds()
		img := image.NewGray(b)
		for y := range b.Dy() {
			for x := range b.Dx() {
				img.Set(x, y, p.Image.At(x, y))
			}
		}
		if letter(class) {
			x0, y0 := 5+n%4, 5+n/4%4
			for row, line := range []string{"###.", "#..#", "###.", "#.#.", "#..#"} {
				for col, dot := range line {
					for k := 0; k < 4 && dot == '#'; k++ {
						img.SetGray(x0+2*col+k%2, y0+2*row+k/2, color.Gray{255})
					}
				}
			}
		}
		path := filepath.Join(dir, split, class, fmt.Sprintf("%03d.png", n))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, img); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return dir
}

// TestShortcut: an adapter that tells healthy films apart by a letter in the corner is found out, and one that looks for findings on films
// with the letter everywhere is not.
func TestShortcut(t *testing.T) {
	look := func(data string) explainDocument {
		out := filepath.Join(t.TempDir(), "a.safetensors")
		melo(t, "train", "--base", "embedded", "--data", data, "--out", out, "--epochs", "2", "--batch", "8", "--rank", "4", "--sites", "q,k,v,proj,fc1,fc2",
			"--no-augment").want(t, exitDone)
		var doc explainDocument
		maps := filepath.Join(t.TempDir(), "maps")
		melo(t, "--json", "explain", "--adapter", out, "--shortcut", "--out", maps, filepath.Join(data, "test")).want(t, exitDone).decode(t, &doc)
		if found, err := filepath.Glob(filepath.Join(maps, "mean.*.png")); err != nil || len(found) == 0 {
			t.Errorf("mean maps %q, %v", found, err)
		}
		return doc
	}
	reads := look(lettered(t, func(p phantom.Picture, n int) string {
		if p.Label != 0 {
			return ""
		}
		return []string{"left", "right"}[n%2]
	}, func(label string) bool { return label == "right" }))
	corner := false
	for _, x := range reads.Shortcuts.Places {
		corner = corner || x.Suspicious && x.Place == "top left corner"
	}
	if !reads.Shortcuts.Suspicious || !corner {
		t.Errorf("the letter is not found: %+v", reads.Shortcuts.Places)
	}
	looks := look(lettered(t, func(p phantom.Picture, _ int) string { return []string{"normal", "tb"}[p.Label] }, func(string) bool { return true }))
	if looks.Shortcuts.Suspicious {
		t.Errorf("nothing is read: %+v", looks.Shortcuts.Places)
	}
	melo(t, "explain", "--adapter", "x", "--shortcut", "--label", "y", "--out", "z", "i.png").want(t, exitUsage)
}
