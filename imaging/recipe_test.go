package imaging

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func testRecipeOf(size, resize int) Recipe {
	return Recipe{Size: size, Resize: resize, Interpolation: Bicubic,
		Mean: [3]float32{0.5, 0.5, 0.5}, Std: [3]float32{0.5, 0.25, 0.125}}
}

func TestRecipeValidate(t *testing.T) {
	if err := testRecipeOf(224, 256).Validate(); err != nil {
		t.Error(err)
	}
	nan := float32(math.NaN())
	for _, c := range []struct {
		text string
		edit func(*Recipe)
	}{
		{"size 0", func(r *Recipe) { r.Size = 0 }},
		{"size 100000", func(r *Recipe) { r.Size = 100000 }},
		{"resize 100000", func(r *Recipe) { r.Resize = 100000 }},
		{`fit "fill"`, func(r *Recipe) { r.Fit = "fill" }},
		{`cut "left"`, func(r *Recipe) { r.Cut = "left" }},
		{`resampling "opencv"`, func(r *Recipe) { r.Resampling = "opencv" }},
		{"resize 0 with fit", func(r *Recipe) { r.Fit = FitSquash }},
		{"resize 9 with fit", func(r *Recipe) { r.Fit, r.Resize = FitNone, 9 }},
		{"longest 100", func(r *Recipe) { r.Resize, r.Longest = 224, 100 }},
		{"resize -1", func(r *Recipe) { r.Resize = -1 }},
		{`interpolation ""`, func(r *Recipe) { r.Interpolation = "" }},
		{`interpolation "nearest"`, func(r *Recipe) { r.Interpolation = "nearest" }},
		{"mean[1]", func(r *Recipe) { r.Mean[1] = nan }},
		{"std[2]", func(r *Recipe) { r.Std[2] = 0 }},
		{"std[0]", func(r *Recipe) { r.Std[0] = nan }},
	} {
		r := testRecipeOf(224, 0)
		c.edit(&r)
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v", c.text, err)
		}
	}
}

func TestRecipeJSON(t *testing.T) {
	r := testRecipeOf(224, 0)
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"size":224,"interpolation":"bicubic","mean":[0.5,0.5,0.5],"std":[0.5,0.25,0.125]}`
	if string(b) != want {
		t.Errorf("got %s", b)
	}
}

// TestApplyDepth checks that grey fills three channels and that 16 bits survive until normalisation.
func TestApplyDepth(t *testing.T) {
	r := testRecipeOf(2, 0)
	dst := make([]float32, r.Values())
	grey := &Image{W: 2, H: 2, C: 1, Bits: 16, Pix16: []uint16{0, 1, 65534, 65535}}
	if err := r.Apply(grey, dst); err != nil {
		t.Fatal(err)
	}
	for c := range 3 {
		for i, v := range grey.Pix16 {
			if want := (float32(v)/65535 - r.Mean[c]) / r.Std[c]; dst[4*c+i] != want {
				t.Errorf("channel %d sample %d: got %v, expected %v", c, i, dst[4*c+i], want)
			}
		}
	}
	if dst[0] == dst[1] {
		t.Error("the last bit of 16 is lost")
	}
}

func TestApplyRefuses(t *testing.T) {
	r := testRecipeOf(4, 0)
	dst := make([]float32, r.Values())
	for _, m := range []*Image{
		{},
		{W: 2, H: 2, C: 2, Bits: 8, Pix8: make([]uint8, 8)},
		{W: 2, H: 2, C: 1, Bits: 8, Pix8: make([]uint8, 3)},
		{W: 2, H: 2, C: 1, Bits: 12, Pix8: make([]uint8, 4)},
		{W: 4, H: 4, C: 3, Bits: 16, Pix16: make([]uint16, 16)},
	} {
		if err := r.Apply(m, dst); err == nil {
			t.Errorf("%+v: no error", m)
		}
	}
	if err := r.Apply(newImage(4, 4, 3, 8), dst[1:]); err == nil {
		t.Error("short output: no error")
	}
	if err := (Recipe{Size: 4}).Apply(newImage(4, 4, 3, 8), dst); err == nil {
		t.Error("invalid recipe: no error")
	}
}

// TestExtremeShapes: memory must follow the size of the image and of the input, not of the full resize.
func TestExtremeShapes(t *testing.T) {
	r := testRecipeOf(224, 256)
	dst := make([]float32, r.Values())
	for _, s := range [][2]int{{1, 200_000}, {200_000, 1}, {1, 1}} {
		for _, resize := range []int{0, 256} {
			r.Resize = resize
			before := allocated()
			var scratch Scratch
			if err := scratch.Apply(r, newImage(s[0], s[1], 1, 8), dst); err != nil {
				t.Error(err)
			}
			if got := allocated() - before; got > 64<<20 {
				t.Errorf("%v with resize %d: %d bytes allocated", s, resize, got)
			}
		}
	}
}

func TestScratchSteadyState(t *testing.T) {
	r := testRecipeOf(64, 72)
	dst := make([]float32, r.Values())
	var s Scratch
	for _, m := range []*Image{pattern(100, 80, 3, 8), pattern(80, 300, 1, 8), pattern(90, 90, 3, 16)} {
		apply := func() {
			if err := s.Apply(r, m, dst); err != nil {
				t.Fatal(err)
			}
		}
		apply()
		if n := testing.AllocsPerRun(5, apply); n > 4 {
			t.Errorf("%d x %d: %v allocations per image", m.W, m.H, n)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	for _, c := range []struct {
		name  string
		side  int
		chans int
	}{{"224rgb", 224, 3}, {"256rgb", 256, 3}, {"256grey", 256, 1}, {"1024rgb", 1024, 3}} {
		b.Run(c.name, func(b *testing.B) {
			r := Recipe{Size: 224, Interpolation: Bilinear, Std: [3]float32{1, 1, 1}}
			dst := make([]float32, r.Values())
			m := pattern(c.side, c.side, c.chans, 8)
			var s Scratch
			for b.Loop() {
				if err := s.Apply(r, m, dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
