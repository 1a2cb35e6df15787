package imaging

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestParseDepth(t *testing.T) {
	for in, want := range map[string]string{"": "", "stored": "", "max": "max", "bits=12": "bits=12", "bits=16": "bits=16"} {
		if got, err := ParseDepth(in); err != nil || got != want {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"12", "bits=7", "bits=17", "bits=", "bits=012", "bits=+12", "Max", "auto"} {
		if _, err := ParseDepth(in); err == nil || !strings.Contains(err.Error(), "expected stored, max, or bits=8") {
			t.Errorf("%q: got %v", in, err)
		}
	}
}

// TestDepth: 12-bit samples in 16 bits reach the range that the recipe says, by way of Apply and of Fit.
func TestDepth(t *testing.T) {
	deep := &Image{W: 2, H: 2, C: 1, Bits: 16, Pix16: []uint16{0, 1000, 2000, 4000}}
	for depth, white := range map[string]float64{"": 65535, "max": 4000, "bits=12": 4095, "bits=16": 65535} {
		r := testRecipeOf(2, 0)
		r.Depth = depth
		got, again := make([]float32, r.Values()), make([]float32, r.Values())
		if err := r.Apply(deep, got); err != nil {
			t.Fatal(depth, err)
		}
		var s Scratch
		var fit Image
		if err := s.Fit(r, deep, &fit); err != nil {
			t.Fatal(depth, err)
		}
		if err := r.Normalize(&fit, again); err != nil {
			t.Fatal(depth, err)
		}
		for i, v := range deep.Pix16 {
			want := (float64(v)/white - 0.5) / 0.5
			if math.Abs(float64(got[i])-want) > 2.0/65535 { // the stretched sample is rounded to 16 bits
				t.Errorf("%q: sample %d: got %v, expected %v", depth, v, got[i], want)
			}
			if got[i] != again[i] {
				t.Errorf("%q: Apply gives %v, Fit and Normalize %v", depth, got[i], again[i])
			}
		}
		if deep.Pix16[3] != 4000 {
			t.Fatal("the image was changed")
		}
	}
}

func TestDepthRefusesMoreBits(t *testing.T) {
	r := testRecipeOf(1, 0)
	r.Depth = "bits=12"
	dst := make([]float32, r.Values())
	bright := &Image{W: 2, H: 1, C: 1, Bits: 16, Pix16: []uint16{4096, 0}}
	if err := r.Apply(bright, dst); err == nil || !strings.Contains(err.Error(), "4096") {
		t.Errorf("a sample of 13 bits: got %v", err)
	}
	plain := &Image{W: 1, H: 1, C: 1, Bits: 8, Pix8: []uint8{255}}
	if err := r.Apply(plain, dst); err != nil || dst[0] != 1 {
		t.Errorf("8 bits: got %v, %v", dst[0], err)
	}
	r.Depth = "bits=99"
	if err := r.Validate(); err == nil || !strings.Contains(err.Error(), "depth") {
		t.Errorf("got %v", err)
	}
}

// TestColoursTimesAlpha: as Pillow divides them; a pixel without alpha is black.
func TestColoursTimesAlpha(t *testing.T) {
	m := &Image{W: 3, H: 1, C: 4, Bits: 8, Pix8: []uint8{10, 20, 30, 0, 10, 20, 30, 60, 10, 20, 255, 255}}
	if got, want := divided(m).Pix8, []uint8{0, 0, 0, 42, 85, 127, 10, 20, 255}; !slices.Equal(got, want) {
		t.Errorf("%v, expected %v", got, want)
	}
}
