package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sample has every kind of series, and names that want to be something else.
func sample() *Figure {
	var x, y, low, high []float64
	for i := range 101 {
		v := float64(i) / 100
		x, y = append(x, v), append(y, math.Sqrt(v))
		low, high = append(low, math.Max(0, math.Sqrt(v)-0.1)), append(high, math.Min(1, math.Sqrt(v)+0.07))
	}
	return &Figure{
		Title: `ROC of <b>"malignant"</b> & others`, Square: true,
		X: Axis{Label: "1 − specificity", Min: 0, Max: 1}, Y: Axis{Label: "sensitivity", Min: 0, Max: 1},
		Series: []Series{
			{Name: "chance", X: []float64{0, 1}, Y: []float64{0, 1}, Muted: true},
			{Name: `</svg><script>alert("1")</script>`, X: x, Y: y, Low: low, High: high},
			{Name: "steps", Kind: Steps, X: []float64{0, 0.2, 0.5, 1}, Y: []float64{0, 0.3, 0.6, 1}},
			{Name: "frequency", Kind: Points, X: []float64{0.1, 0.5, 0.9}, Y: []float64{0.2, 0.5, 0.8}, Low: []float64{0.1, 0.4, 0.7}, High: []float64{0.3, 0.6, 0.95}},
			{Name: "share", Kind: Bars, X: []float64{0.25, 0.75}, Y: []float64{0.1, 0.2}, Width: 0.2},
		},
	}
}

// parse reads XML and returns all text, and how often each element occurs.
func parse(t *testing.T, text string) (words string, elements map[string]int) {
	t.Helper()
	elements = map[string]int{}
	dec := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return words, elements
		}
		if err != nil {
			t.Fatalf("not XML: %v\n%s", err, text)
		}
		switch e := token.(type) {
		case xml.StartElement:
			elements[e.Name.Local]++
			for _, a := range e.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("%s has %s=%q", e.Name.Local, a.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			words += string(e)
		}
	}
}

func TestSVG(t *testing.T) {
	f := sample()
	for name, text := range map[string]string{"inline": f.SVG("roc-1"), "file": fileOf(t, f)} {
		words, elements := parse(t, text)
		if elements["script"] != 0 || elements["b"] != 0 {
			t.Errorf("%s: a name became an element: %v", name, elements)
		}
		for _, want := range []string{`<script>alert("1")`, `ROC of <b>"malignant"</b> & others`, "sensitivity", "0.2", "chance: from 0 at 0 to 1 at 1"} {
			if !strings.Contains(words, want) {
				t.Errorf("%s lacks the text %q", name, want)
			}
		}
		if elements["title"] != 1 || elements["desc"] != 1 || elements["polygon"] < 3 {
			t.Errorf("%s has elements %v", name, elements)
		}
	}
	if dir := os.Getenv("MELO_PLOT_DIR"); dir != "" { // to look at
		os.WriteFile(filepath.Join(dir, "sample.svg"), []byte(fileOf(t, f)), 0o666)
		var b bytes.Buffer
		f.WritePNG(&b, 2)
		os.WriteFile(filepath.Join(dir, "sample.png"), b.Bytes(), 0o666)
	}
}

func fileOf(t *testing.T, f *Figure) string {
	t.Helper()
	var b strings.Builder
	if err := f.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPNG: pixels have the colours of the series where their lines run.
func TestPNG(t *testing.T) {
	f := &Figure{X: Axis{Min: 0, Max: 1}, Y: Axis{Min: 0, Max: 1}, Square: true,
		Series: []Series{{Name: "level", X: []float64{0, 1}, Y: []float64{0.55, 0.55}, Color: 1}}}
	var b bytes.Buffer
	if err := f.WritePNG(&b, 2); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	l := f.newLayout(true)
	r, g, bl, _ := img.At(int((l.left+l.right)*1), int(2*l.y.at(0.55))).RGBA()
	if want := tones[1].rgba(); uint8(r>>8) != want.R || uint8(g>>8) != want.G || uint8(bl>>8) != want.B {
		t.Errorf("the middle of the line is %x %x %x, want %v", r>>8, g>>8, bl>>8, want)
	}
	if _, err := f.Image(1e6); err == nil {
		t.Error("an image of a million times the size was made")
	}
}

// TestOddFigures: nothing that a figure may hold panics, hangs, or gets into a file as NaN.
func TestOddFigures(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for name, f := range map[string]*Figure{
		"empty":         {},
		"no points":     {Series: []Series{{Name: "none"}}},
		"one point":     {Series: []Series{{Name: "one", X: []float64{3}, Y: []float64{7}}}},
		"not finite":    {Series: []Series{{X: []float64{0, nan, 2, inf}, Y: []float64{nan, 1, inf, 3}, Low: []float64{nan, nan, 0, 0}, High: []float64{1, 1, inf, 1}}}},
		"constant":      {Series: []Series{{X: []float64{1, 2, 3}, Y: []float64{0, 0, 0}}}},
		"huge":          {Series: []Series{{X: []float64{-1e300, 1e300}, Y: []float64{1e-300, 1e300}}}},
		"tiny":          {Series: []Series{{X: []float64{0, 1e-320}, Y: []float64{1, 1 + 1e-16}}}},
		"log":           {X: Axis{Log: true}, Y: Axis{Log: true}, Series: []Series{{X: []float64{0, 1e-4, 1e-3, 1}, Y: []float64{-1, 1e-5, 2, 300}}}},
		"log of zero":   {Y: Axis{Log: true, Min: 0, Max: 1}, Series: []Series{{Kind: Bars, Width: 1, X: []float64{1}, Y: []float64{5}}}},
		"log, one":      {X: Axis{Log: true}, Series: []Series{{X: []float64{1e-3}, Y: []float64{1}}}},
		"uneven":        {Series: []Series{{X: []float64{1, 2, 3}, Y: []float64{1}, Low: []float64{0, 0}, Kind: Points}}},
		"long names":    {Title: strings.Repeat("t", 5000), Series: []Series{{Name: strings.Repeat("ß", 5000), X: []float64{1}, Y: []float64{1}}}},
		"control":       {Title: "a\x00b\u202ec\xff", Series: []Series{{Name: "\x1b[31m", X: []float64{1}, Y: []float64{1}}}},
		"very small":    {Width: 1, Height: 1, Series: []Series{{Name: "x", X: []float64{1, 2}, Y: []float64{1, 2}}}},
		"whole":         {X: Axis{Whole: true}, Series: []Series{{X: []float64{1, 1, 1}, Y: []float64{1, 2, 3}}}},
		"reverse range": {X: Axis{Min: 5, Max: 1}, Series: []Series{{X: []float64{1, 2}, Y: []float64{1, 2}}}},
	} {
		parse(t, f.SVG("a"))
		parse(t, fileOf(t, f))
		if _, err := f.Image(1); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTicks: nice numbers, not too many, the labels of which say what they are.
func TestTicks(t *testing.T) {
	for _, c := range []struct {
		axis      Axis
		low, high float64
		want      string
	}{
		{Axis{Min: 0, Max: 1}, 5, 5, "0 0.2 0.4 0.6 0.8 1.0"},
		{Axis{}, 0.71, 0.98, "0.70 0.75 0.80 0.85 0.90 0.95 1.00"},
		{Axis{Whole: true}, 1, 20, "5 10 15 20"},
		{Axis{Whole: true}, 1, 3, "1 2 3"},
		{Axis{}, -40, 35, "−40 −20 0 20 40"},
		{Axis{Log: true}, 1e-4, 3e-2, "0.0001 0.001 0.01 0.1"},
		{Axis{Log: true}, 10, 100, "10 20 50 100"},
	} {
		s := newScale(&c.axis, c.low, c.high, 0, 1, 6)
		var got []string
		for _, v := range s.ticks {
			if p := s.at(v); p < -1e-9 || p > 1+1e-9 {
				t.Errorf("%v from %v to %v: tick %v is at %v", c.axis, c.low, c.high, v, p)
			}
			got = append(got, s.format(v))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%+v from %v to %v: %s, want %s", c.axis, c.low, c.high, text, c.want)
		}
	}
}

// TestSimplify: a hundred thousand points of a curve become what a figure can show, and the ends stay.
func TestSimplify(t *testing.T) {
	var x, y []float64
	for i := range 100_000 {
		x, y = append(x, float64(i)/1e5), append(y, math.Sin(float64(i)/1e4))
	}
	f := &Figure{Series: []Series{{X: x, Y: y}}}
	if text := f.SVG("a"); len(text) > 200_000 {
		t.Errorf("%d bytes for 100000 points", len(text))
	}
	corner := simplify([]point{{0, 0}, {5, 0}, {10, 0}, {10, 5}, {10, 10}})
	if len(corner) != 3 || corner[0] != (point{0, 0}) || corner[1] != (point{10, 0}) || corner[2] != (point{10, 10}) {
		t.Errorf("a corner became %v", corner)
	}
}

// TestTones: what is drawn is seen on both grounds (3:1, WCAG 2.1 1.4.11), and text is read (7:1).
func TestTones(t *testing.T) {
	for c := 0; c <= Colors; c++ {
		if r := contrast(tones[c].light, paperTone.light); r < 3 {
			t.Errorf("colour %d has contrast %.2f on light ground", c, r)
		}
		if r := contrast(tones[c].dark, paperTone.dark); r < 3 {
			t.Errorf("colour %d has contrast %.2f on dark ground", c, r)
		}
	}
	if a, b := contrast(inkTone.light, paperTone.light), contrast(inkTone.dark, paperTone.dark); a < 7 || b < 7 {
		t.Errorf("text has contrasts %.2f and %.2f", a, b)
	}
}

// contrast of two colours by WCAG 2.1.
func contrast(a, b uint32) float64 {
	luminance := func(c uint32) float64 {
		sum := 0.0
		for i, w := range []float64{0.0722, 0.7152, 0.2126} {
			v := float64(c>>(8*i)&255) / 255
			if v <= 0.04045 {
				v /= 12.92
			} else {
				v = math.Pow((v+0.055)/1.055, 2.4)
			}
			sum += w * v
		}
		return sum
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}
