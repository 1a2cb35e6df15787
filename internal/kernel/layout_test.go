package kernel

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"melo.example/melo/internal/par"
)

// layouts has a digest of what a fixed matrix is packed to, by Layout and type.
var layouts = map[string]string{
	"avx512-32-255-127-1 f32":  "c9decd472a77d099",
	"avx512-32-255-127-1 bf16": "16dc0e2bdb769f62",
	"avx512-32-255-127-1 int8": "9c4fdc2a4d8ee0d1",
	"avx2-16-127-63-2 f32":     "0e07c1921cc4a526",
	"avx2-16-127-63-2 int8":    "6490741ae61b3c5d",
	"neon-8-0-0-0 f32":         "c948226e668cd6d5",
	"portable-16-0-0-0 f32":    "0e07c1921cc4a526",
}

// TestLayout: packed weights are kept between runs of the program (vit.Options.Known), so what a weight is packed to
// must not change under the name of a Layout. If it has to, change keptVersion in package vit and the digests here.
func TestLayout(t *testing.T) {
	pool := par.New(1)
	defer pool.Close()
	before := Name()
	t.Cleanup(func() { Use(before) })
	for _, name := range Names() {
		if err := Use(name); err != nil {
			t.Fatal(err)
		}
		ex := NewExec(pool)
		for e := F32; e < elems; e++ {
			if !Has(e) {
				continue
			}
			w := normalMat(rand.New(rand.NewPCG(1, 2)), 1, 37*29).Clone()
			data, scale, sum := PackAs(ex, e, w.Data, 37, 29).Parts()
			h := sha256.New()
			for _, part := range [][]float32{data, scale, sum} {
				if len(part) > 0 {
					h.Write(unsafe.Slice((*byte)(unsafe.Pointer(&part[0])), 4*len(part)))
				}
			}
			key := fmt.Sprintf("%s %v", Layout(), e)
			got := fmt.Sprintf("%x", h.Sum(nil)[:8])
			if want, known := layouts[key]; !known {
				t.Logf("%q: %q, is not in the list yet", key, got)
			} else if got != want {
				t.Errorf("%s: packed to %s, expected %s", key, got, want)
			}
		}
	}
}
