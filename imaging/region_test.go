package imaging

import (
	"math"
	"testing"
)

// TestRegion: a bright spot in an image lies in the input where the region says, for every geometry of a recipe.
func TestRegion(t *testing.T) {
	norm := func(r Recipe) Recipe {
		r.Interpolation, r.Std = Bilinear, [3]float32{1, 1, 1}
		return r
	}
	for name, r := range map[string]Recipe{
		"squashed":             norm(Recipe{Size: 64}),
		"short side, cut":      norm(Recipe{Size: 64, Resize: 72}),
		"short side, floor":    norm(Recipe{Size: 64, Resize: 73, Cut: CutFloor}),
		"whole, then cut":      norm(Recipe{Size: 64, Resize: 80, Fit: FitSquash}),
		"as it is":             norm(Recipe{Size: 64, Fit: FitNone}),
		"short side too small": norm(Recipe{Size: 64, Resize: 48}),
		"longest":              norm(Recipe{Size: 64, Resize: 48, Longest: 60}),
	} {
		for _, size := range [][2]int{{160, 96}, {96, 160}, {100, 100}, {40, 50}} {
			const sx, sy, half = 0.55, 0.45, 6 // the spot, near the middle so that nothing cuts it off
			w, h := size[0], size[1]
			img := newImage(w, h, 1, 8)
			clear(img.Pix8)
			cx, cy := int(sx*float64(w)), int(sy*float64(h))
			for y := cy - half; y < cy+half; y++ {
				for x := cx - half; x < cx+half; x++ {
					img.Pix8[y*w+x] = 255
				}
			}
			region, err := r.Region(w, h)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			out := make([]float32, r.Values())
			if err := r.Apply(img, out); err != nil {
				t.Fatal(err)
			}
			mass, mx, my := 0.0, 0.0, 0.0
			for i, v := range out[:r.Size*r.Size] {
				mass += float64(v)
				mx += float64(v) * (float64(i%r.Size) + 0.5)
				my += float64(v) * (float64(i/r.Size) + 0.5)
			}
			gx := region.X + mx/mass/float64(r.Size)*region.W
			gy := region.Y + my/mass/float64(r.Size)*region.H
			if math.Abs(gx-float64(cx)) > 1 || math.Abs(gy-float64(cy)) > 1 {
				t.Errorf("%s, %d x %d: the spot at %d, %d is found at %.1f, %.1f", name, w, h, cx, cy, gx, gy)
			}
		}
	}
	if _, err := norm(Recipe{Size: 64}).Region(0, 5); err == nil {
		t.Error("an image without pixels has a region")
	}
	if _, err := norm(Recipe{Size: 64, Cut: CutNone, Fit: FitNone}).Region(70, 64); err == nil {
		t.Error("an image that the recipe refuses has a region")
	}
}

// TestShown: samples of 16 bits are shown as the recipe takes them.
func TestShown(t *testing.T) {
	r := Recipe{Size: 2, Interpolation: Bilinear, Std: [3]float32{1, 1, 1}, Depth: "bits=12"}
	img := newImage(2, 1, 1, 16)
	img.Pix16[0], img.Pix16[1] = 4095, 2048
	shown, err := r.Shown(img)
	if err != nil {
		t.Fatal(err)
	}
	if shown.Bits != 8 || shown.Pix8[0] != 255 || shown.Pix8[1] != 128 {
		t.Errorf("%d bits, %v, expected 8 and [255 128]", shown.Bits, shown.Pix8)
	}
	img.Pix16[0] = 5000
	if _, err := r.Shown(img); err == nil {
		t.Error("a sample beyond white is shown")
	}
}
