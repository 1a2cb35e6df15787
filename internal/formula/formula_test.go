package formula

import (
	"crypto/sha256"
	"encoding/hex"
	"runtime"
	"slices"
	"testing"
)

// draw returns an image and its facts.
func draw(d *Drawer, side int, seed, index uint64) (pix, facts []float32) {
	pix, facts = make([]float32, 3*side*side), make([]float32, Facts)
	d.Draw(pix, facts, seed, index)
	return pix, facts
}

// TestDigest pins what is drawn: the record of a base that was trained on it would mean nothing otherwise.
func TestDigest(t *testing.T) {
	const side = 48
	d, h := New(side), sha256.New()
	for k := range uint64(64) {
		pix, _ := draw(d, side, 1, k)
		for _, v := range pix {
			h.Write([]byte{uint8(v*255 + 0.5)})
		}
	}
	const want = "48f50996d583855c"
	if got := hex.EncodeToString(h.Sum(nil)[:8]); got != want && runtime.GOARCH == "amd64" { // others fuse products and sums
		t.Errorf("digest %s, expected %s", got, want)
	}
}

// TestDraw: an image does not depend on what was drawn before, images differ, and values are in their range.
func TestDraw(t *testing.T) {
	const side = 48
	d := New(side)
	seen := map[[32]byte]bool{}
	var kinds [fieldKinds]int
	for k := range uint64(150) {
		pix, facts := draw(d, side, 1, k)
		alone, same := draw(New(side), side, 1, k)
		if !slices.Equal(pix, alone) || !slices.Equal(facts, same) {
			t.Fatalf("image %d depends on what was drawn before", k)
		}
		var bytes []byte
		for _, v := range pix {
			if !(v >= 0 && v <= 1) {
				t.Fatalf("image %d has the value %v", k, v)
			}
			bytes = append(bytes, uint8(v*255))
		}
		sum := sha256.Sum256(bytes)
		if seen[sum] {
			t.Errorf("image %d was there before", k)
		}
		seen[sum] = true
		for kind, v := range facts[:fieldKinds] {
			kinds[kind] += int(v)
		}
	}
	for kind, n := range kinds {
		if n == 0 {
			t.Errorf("kind %d was never the ground", kind)
		}
	}
	if a, _ := draw(d, side, 1, 0); !slices.Equal(a, first(t, side)) {
		t.Error("the same number, another image")
	}
	if a, _ := draw(d, side, 2, 0); slices.Equal(a, first(t, side)) {
		t.Error("another seed, the same image")
	}
}

func first(t *testing.T, side int) []float32 {
	t.Helper()
	pix, _ := draw(New(side), side, 1, 0)
	return pix
}
