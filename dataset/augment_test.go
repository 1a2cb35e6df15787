package dataset

import (
	"math"
	"slices"
	"testing"

	"melo.example/melo/imaging"
)

// plain is a recipe that keeps samples between 0 and 1.
func plainRecipe(size int) imaging.Recipe {
	return imaging.Recipe{Size: size, Interpolation: imaging.Bilinear, Std: [3]float32{1, 1, 1}}
}

func testImage(w, h, c, bits int) *imaging.Image {
	m := &imaging.Image{W: w, H: h, C: c, Bits: bits}
	for i := range w * h * c {
		v := i*37%251 + i%3
		if bits == 16 {
			m.Pix16 = append(m.Pix16, uint16(v*257))
		} else {
			m.Pix8 = append(m.Pix8, uint8(v))
		}
	}
	return m
}

// TestRenderStill: the variation that changes nothing gives the recipe's tensor, but for the rounding of a
// multiplication in place of two divisions (values are of order 3), and, through the warp, of 16-bit weights.
func TestRenderStill(t *testing.T) {
	for _, c := range []int{1, 3} {
		for _, bits := range []int{8, 16} {
			m, r := testImage(9, 9, c, bits), testRecipe
			r.Size = 9
			want, got, warped := make([]float32, r.Values()), make([]float32, r.Values()), make([]float32, r.Values())
			if err := r.Apply(m, want); err != nil {
				t.Fatal(err)
			}
			render(got, m, r, still)
			almost := still
			almost.angle = 1e-12 // takes the general path
			render(warped, m, r, almost)
			for i := range want {
				if math.Abs(float64(got[i]-want[i])) > 2e-6 || math.Abs(float64(warped[i]-want[i])) > 2e-6 {
					t.Fatalf("%d channels, %d bits: value %d is %v and %v, expected %v", c, bits, i, got[i], warped[i], want[i])
				}
			}
		}
	}
}

func TestRenderFlips(t *testing.T) {
	const s = 7
	m := testImage(s, s, 3, 8)
	base, got := make([]float32, 3*s*s), make([]float32, 3*s*s)
	render(base, m, plainRecipe(s), still)
	for _, angle := range []float64{0, 1e-12} {
		v := still
		v.flip, v.flipVertical, v.angle = true, true, angle
		render(got, m, plainRecipe(s), v)
		for c := range 3 {
			for y := range s {
				for x := range s {
					if a, b := got[(c*s+y)*s+x], base[(c*s+s-1-y)*s+s-1-x]; math.Abs(float64(a-b)) > 1e-6 {
						t.Fatalf("angle %v: channel %d (%d, %d): got %v, expected %v", angle, c, x, y, a, b)
					}
				}
			}
		}
	}
}

// TestRenderGeometry: a quarter turn moves pixels, a crop enlarges its part.
func TestRenderGeometry(t *testing.T) {
	const s = 8
	m := testImage(s, s, 1, 8)
	base, got := make([]float32, 3*s*s), make([]float32, 3*s*s)
	render(base, m, plainRecipe(s), still)
	v := still
	v.angle = math.Pi / 2
	render(got, m, plainRecipe(s), v)
	for y := range s {
		for x := range s {
			// An output pixel reads the place a quarter turn further: (x, y) -> (s-1-y, x).
			if a, b := got[y*s+x], base[x*s+s-1-y]; math.Abs(float64(a-b)) > 1e-5 {
				t.Fatalf("turned (%d, %d): got %v, expected %v", x, y, a, b)
			}
		}
	}
	v = still
	v.x, v.y, v.w, v.h = 0.25, 0.5, 0.5, 0.5
	crop := make([]float32, 3*4*4)
	render(crop, m, plainRecipe(4), v)
	for y := range 4 {
		for x := range 4 {
			if a, b := crop[y*4+x], base[(y+4)*s+x+2]; math.Abs(float64(a-b)) > 1e-6 {
				t.Fatalf("cropped (%d, %d): got %v, expected %v", x, y, a, b)
			}
		}
	}
}

func TestRenderTone(t *testing.T) {
	m := &imaging.Image{W: 2, H: 2, C: 1, Bits: 8, Pix8: []uint8{0, 100, 100, 200}} // mean 100
	got := make([]float32, 12)
	v := still
	v.gain, v.spread = 1.2, 0.5
	render(got, m, plainRecipe(2), v)
	for i, p := range []float64{0, 100, 100, 200} {
		want := (1.2*(p-100)*0.5 + 120) / 255
		if math.Abs(float64(got[i])-want) > 1e-6 || got[i] != got[4+i] || got[i] != got[8+i] {
			t.Errorf("sample %v: got %v, expected %v", p, got[i], want)
		}
	}
	v.gain, v.spread = 1.9, 1.9
	render(got, m, plainRecipe(2), v)
	if got[0] != 0 || got[3] != 1 {
		t.Errorf("not clipped: %v", got[:4])
	}
}

// TestDrawRanges: variations stay within their ranges and use them.
func TestDrawRanges(t *testing.T) {
	a := allAugment
	flips, lowest, turned := 0, 1.0, 0.0
	for i := range uint64(2000) {
		v := a.draw(1, 2, i)
		if v.flip {
			flips++
		}
		lowest = min(lowest, v.w*v.h)
		turned = max(turned, math.Abs(v.angle))
		if v.x < 0 || v.y < 0 || v.x+v.w > 1+1e-12 || v.y+v.h > 1+1e-12 || math.Abs(v.gain-1) > 0.3 || math.Abs(v.spread-1) > 0.3 {
			t.Fatalf("out of range: %+v", v)
		}
		if v == a.draw(1, 3, i) || v == a.draw(2, 2, i) || v == a.draw(1, 2, i+1) {
			t.Fatalf("sample %d: seed, epoch and index must all count", i)
		}
	}
	// 2,000 throws of a coin: 5 standard deviations are 112.
	if flips < 888 || flips > 1112 || lowest < 0.43 || lowest > 0.52 || turned > 20*math.Pi/180 || turned < 0.3 {
		t.Errorf("%d flips, least area %v, greatest angle %v", flips, lowest, turned)
	}
	if v := (Augment{}).draw(1, 2, 3); v != still {
		t.Errorf("no augmentation: %+v", v)
	}
}

func TestReflect(t *testing.T) {
	for i, want := range map[int]int{-7: 0, -4: 2, -3: 2, -1: 0, 0: 0, 2: 2, 3: 2, 5: 0, 6: 0, 8: 2} {
		if got := reflect(i, 3); got != want {
			t.Errorf("reflect(%d, 3) is %d, expected %d", i, got, want)
		}
	}
	if reflect(-1000, 1) != 0 || reflect(1000, 1) != 0 {
		t.Error("one pixel")
	}
}

// TestWarpStretches: the fast stretches of a row are what pixel by pixel gives, to the bit.
func TestWarpStretches(t *testing.T) {
	const s = 19
	for i := range uint64(3000) {
		draw := mix(i)
		m := &imaging.Image{W: 1 + int(draw%29), H: 1 + int(draw>>8%31), C: 1 + 2*int(draw>>16&1), Bits: 8}
		m.Pix8 = make([]uint8, m.W*m.H*m.C)
		for k := range m.Pix8 {
			m.Pix8[k] = uint8(mix(uint64(k) + draw))
		}
		var lut [3][256]float32
		for ch := range lut {
			for p := range lut[ch] {
				lut[ch][p] = float32(ch*1000 + p)
			}
		}
		v := Augment{Flip: true, FlipVertical: true, Crop: 0.3, Rotate: float64(draw >> 20 % 181), CropAspect: 2}.draw(draw, 0, i)
		if i%5 == 0 {
			v.angle = float64(i%4) * math.Pi / 2 // steps of exactly zero
		}
		a := affineOf(v, m, s)
		got, want := make([]float32, 3*s*s), make([]float32, 3*s*s)
		warp8(got, m, &lut, a, s)
		for y := range s {
			u, w := a.x0+y*a.yx+1<<(warpDrop-1), a.y0+y*a.yy+1<<(warpDrop-1)
			warpEdge(want[y*s:2*s*s+(y+1)*s], m, &lut, a, u, w, s*s, 0, s)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d x %d x %d, %+v: differs", m.W, m.H, m.C, v)
		}
	}
}

// TestCollapse: a picture that is grey throughout gives the same tensor, stored in colour or not.
func TestCollapse(t *testing.T) {
	for _, bits := range []int{8, 16} {
		grey := &imaging.Image{W: 23, H: 17, C: 1, Bits: bits}
		colour := &imaging.Image{W: 23, H: 17, C: 3, Bits: bits}
		for k := range 23 * 17 {
			v := mix(uint64(k))
			if bits == 16 {
				grey.Pix16 = append(grey.Pix16, uint16(v))
				colour.Pix16 = append(colour.Pix16, uint16(v), uint16(v), uint16(v))
			} else {
				grey.Pix8 = append(grey.Pix8, uint8(v))
				colour.Pix8 = append(colour.Pix8, uint8(v), uint8(v), uint8(v))
			}
		}
		render := func(m *imaging.Image) []float32 {
			var s imaging.Scratch
			var fit imaging.Image
			if err := s.Fit(testRecipe, m, &fit); err != nil {
				t.Fatal(err)
			}
			dst := make([]float32, testRecipe.Values())
			render(dst, &fit, testRecipe, allAugment.draw(1, 2, 3))
			return dst
		}
		want := render(colour)
		collapse(colour)
		if colour.C != 1 || !slices.Equal(render(colour), want) || !slices.Equal(render(grey), want) {
			t.Errorf("%d bits: another tensor", bits)
		}
	}
	tinted := &imaging.Image{W: 2, H: 1, C: 3, Bits: 8, Pix8: []uint8{1, 1, 1, 5, 5, 6}}
	if collapse(tinted); tinted.C != 3 || len(tinted.Pix8) != 6 {
		t.Error("a tinted image became grey")
	}
}
