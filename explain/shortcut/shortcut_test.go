package shortcut

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"melo.example/melo/imaging"
)

// film is a grey picture with noise, a large bright disc in the middle and, if wanted, a white mark of a letter's size at x, y.
func film(w, h, x, y int) *imaging.Image {
	rng := rand.New(rand.NewPCG(1, 1))
	img := &imaging.Image{W: w, H: h, C: 1, Bits: 8, Pix8: make([]uint8, w*h)}
	for i := range img.Pix8 {
		img.Pix8[i] = uint8(40 + rng.IntN(20))
		if dx, dy := float64(i%w-w/2), float64(i/w-h/2); math.Hypot(dx, dy) < float64(w)/5 {
			img.Pix8[i] = 230
		}
	}
	if x >= 0 {
		for dy := range h / 20 {
			for dx := range w / 20 {
				if dx < w/60 || dy < h/60 {
					img.Pix8[(y+dy)*w+x+dx] = 255
				}
			}
		}
	}
	return img
}

// TestZones: corners and border have their areas, a letter near the edge is found where it is, and neither a large bright disc nor a mark
// in the middle is one.
func TestZones(t *testing.T) {
	for _, size := range [][2]int{{120, 120}, {700, 500}, {64, 90}} {
		w, h := size[0], size[1]
		whole := imaging.Region{W: float64(w), H: float64(h)}
		zones, err := Zones(film(w, h, w/12, h/12), whole, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []Place{TopLeft, TopRight, BottomLeft, BottomRight} {
			if a := zones[p].area(); math.Abs(a-4.0/49) > 1e-12 {
				t.Errorf("%s has the area %v", p, a)
			}
		}
		if a := zones[Border].area(); math.Abs(a-24.0/49) > 1e-12 {
			t.Errorf("the border has the area %v", a)
		}
		m := zones[Marks]
		if m == nil || m.area() > 0.02 || slices.ContainsFunc(m.patches(), func(i int) bool { return i%7 > 1 || i/7 > 1 }) {
			t.Errorf("%v: marks %v", size, m)
		}
		for _, none := range []*imaging.Image{film(w, h, -1, 0), film(w, h, w/2-w/40, h/2-h/40)} {
			if zones, err = Zones(none, whole, 7); err != nil || zones[Marks] != nil {
				t.Errorf("%v: marks %v where there are none, %v", size, zones[Marks], err)
			}
		}
	}
	// The middle half of a wide image is seen: the letter at its edge is not.
	if zones, err := Zones(film(800, 400, 20, 20), imaging.Region{X: 200, W: 400, H: 400}, 7); err != nil || zones[Marks] != nil {
		t.Errorf("a mark that is not seen: %v, %v", zones[Marks], err)
	}
	if _, err := Zones(nil, imaging.Region{W: 1, H: 1}, 7); err == nil {
		t.Error("no image has zones")
	}
}

// search looks at n images of two labels: those with the second have their map and their answer in the top left corner if reads.
func search(t *testing.T, n int, reads bool) *Findings {
	t.Helper()
	const grid = 7
	rng := rand.New(rand.NewPCG(3, 3))
	s := NewSearch(2, grid)
	zones, err := Zones(film(112, 112, 8, 8), imaging.Region{W: 112, H: 112}, grid)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		values := make([]float32, grid*grid)
		for k := range values {
			values[k] = rng.Float32()
		}
		label := i % 2
		if reads && label == 1 {
			values[grid+1] = 30
		}
		err := s.Add(Image{Label: label, Map: values, Zones: zones, Cover: func(lists ...[]int) []float64 {
			var p []float64
			for _, list := range lists {
				v := 0.9 - 0.004*float64(len(list)) + 0.05*rng.Float64()
				if reads && label == 1 && slices.Contains(list, grid+1) {
					v = 0.3
				}
				p = append(p, v)
			}
			return p
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s.Findings([]string{"a", "b"}, "attribution")
}

// TestFindings: an adapter that reads the corner is found, for the label that it reads there, and one that does not is not.
func TestFindings(t *testing.T) {
	f := search(t, 40, true)
	found := map[string]bool{}
	for _, x := range f.Places {
		if x.Suspicious {
			found[string(x.Place)+" "+x.Label] = true
		}
		if x.ShareInterval == nil || x.Share < x.ShareInterval[0] || x.Share > x.ShareInterval[1] || x.Images != map[string]int{"": 40, "a": 20, "b": 20}[x.Label] {
			t.Errorf("%+v", x)
		}
	}
	if !f.Suspicious || !found["top left corner b"] || found["top left corner a"] || found["bottom right corner b"] {
		t.Errorf("suspicious: %v", found)
	}
	if len(f.Mean) != 2 || len(f.Mean[1]) != 49 || f.Mean[1][8] < 5*f.Mean[0][8] {
		t.Errorf("mean maps %v", f.Mean)
	}
	if f := search(t, 40, false); f.Suspicious {
		t.Errorf("nothing is read: %+v", f.Places)
	}
	if f := search(t, 10, true); f.Suspicious {
		t.Error("five images of a label are suspicious")
	}
}

// TestAdd: a map that says nothing is left out, and one of another size is an error.
func TestAdd(t *testing.T) {
	s := NewSearch(2, 3)
	if err := s.Add(Image{Label: 0, Map: make([]float32, 9)}); err != nil || s.Findings([]string{"a", "b"}, "").Images != 0 {
		t.Error(err)
	}
	if s.Add(Image{Label: 2, Map: make([]float32, 9)}) == nil || s.Add(Image{Label: 0, Map: make([]float32, 4)}) == nil {
		t.Error("a label that is not there, or a map of another grid, was taken")
	}
}
