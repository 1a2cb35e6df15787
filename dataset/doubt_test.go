package dataset

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/dicom"
	"melo.example/melo/imaging"
)

// scene is a picture of soft blobs; others follow from the number. Gain and shift change its brightness, and crop takes some of
// its border away.
func scene(number uint64, size int, gain, shift float64, crop int) *image.Gray {
	r := rand.New(rand.NewPCG(number, 7))
	type blob struct{ x, y, s, h float64 }
	var blobs []blob
	for range 12 {
		blobs = append(blobs, blob{r.Float64(), r.Float64(), 0.05 + 0.1*r.Float64(), 150 * r.Float64()})
	}
	m := image.NewGray(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			u, v := (float64(x+crop)+0.5)/float64(size+2*crop), (float64(y+crop)+0.5)/float64(size+2*crop)
			sum := 10.0
			for _, b := range blobs {
				sum += b.h * math.Exp(-((u-b.x)*(u-b.x)+(v-b.y)*(v-b.y))/(2*b.s*b.s))
			}
			m.SetGray(x, y, color.Gray{Y: uint8(min(max(sum*gain+shift, 0), 255))})
		}
	}
	return m
}

func pngOf(t testing.TB, m image.Image) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func jpegOf(t testing.TB, m image.Image) string {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 70}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func opened(t *testing.T, files map[string]string, opt Options) *Dataset {
	t.Helper()
	d, err := Open(write(t, files), opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Scan(t.Context(), ScanOptions{Looks: true}); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestNearCopies: one picture saved as JPEG, scaled, brightened or cropped is found, and no other pair.
func TestNearCopies(t *testing.T) {
	files := map[string]string{}
	for i := range 20 {
		files[fmt.Sprintf("%c/%02d.png", 'a'+i%2, i)] = pngOf(t, scene(uint64(i), 64, 1, 0, 0))
	}
	files["b/jpeg.jpg"] = jpegOf(t, scene(0, 64, 1, 0, 0))
	files["a/scaled.png"] = pngOf(t, scene(1, 96, 1, 0, 0))
	files["a/bright.png"] = pngOf(t, scene(2, 64, 0.7, 20, 0))
	files["b/cropped.png"] = pngOf(t, scene(3, 64, 1, 0, 1)) // a pixel of the border
	files["a/flat1.png"], files["b/flat2.png"] = pngOf(t, image.NewGray(image.Rect(0, 0, 9, 9))), pngOf(t, image.NewGray(image.Rect(0, 0, 8, 9)))
	d := opened(t, files, Options{})
	pairs, all := d.NearCopies(100)
	got := map[string]bool{}
	for _, p := range pairs {
		got[d.Samples[p[0]].Path+" "+d.Samples[p[1]].Path] = true
	}
	for _, want := range []string{"a/00.png b/jpeg.jpg", "b/01.png a/scaled.png", "a/02.png a/bright.png", "b/03.png b/cropped.png"} {
		x, y, _ := strings.Cut(want, " ")
		if !got[want] && !got[y+" "+x] {
			t.Errorf("%s: not found", want)
		}
	}
	if all != 4 || len(pairs) != 4 {
		t.Errorf("%d pairs: %v", all, got)
	}
	if first, all := d.NearCopies(1); len(first) != 1 || all != 4 {
		t.Errorf("%v of %d", first, all)
	}
}

// TestShortcuts: what tells the label is found and strong, what does not is not.
func TestShortcuts(t *testing.T) {
	files := map[string]string{}
	var rows []string
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		class := i % 2
		size := 40 + r.IntN(8) + 10*class // wide: positive
		m := scene(uint64(100+i), size, 1, 0, 0)
		name, data := fmt.Sprintf("%02d.png", i), pngOf(t, m)
		files[name] = data
		rows = append(rows, fmt.Sprintf("%s,%d,%s,%s", name, class, []string{"x", "y"}[r.IntN(2)], []string{"east", "west"}[min(class+r.IntN(8)/7, 1)]))
	}
	files["labels.csv"] = tableText("path,label,ward,site", rows...)
	d := opened(t, files, Options{})
	found := map[string]Shortcut{}
	for _, s := range d.Shortcuts() {
		found[s.Property] = s
	}
	for _, name := range []string{"width", "height"} {
		if s := found[name]; s.AUC != 1 || !s.Strong() {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if s := found["column site"]; s.AUC < 0.85 || s.AUC >= 1 || !s.Strong() {
		t.Errorf("site: %+v", s)
	}
	for _, name := range []string{"column ward", "border brightness", "marks in the corners"} {
		if s := found[name]; s.AUC > 0.75 || s.Strong() {
			t.Errorf("%s: %+v", name, s)
		}
	}
	for _, name := range []string{"format", "channels", "aspect ratio"} {
		if s, ok := found[name]; ok {
			t.Errorf("all images share this: %+v", s)
		}
	}
}

func TestRankAUC(t *testing.T) {
	for _, c := range []struct {
		values []float64
		truth  []bool
		want   float64
	}{
		{[]float64{1, 2, 3, 4}, []bool{false, false, true, true}, 1},
		{[]float64{4, 3, 2, 1}, []bool{false, false, true, true}, 0},
		{[]float64{1, 1, 1, 1}, []bool{false, true, false, true}, 0.5},
		{[]float64{1, 2, 2, 3}, []bool{false, true, false, true}, 0.875},
	} {
		if got := rankAUC(c.values, c.truth); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%v %v: %v, expected %v", c.values, c.truth, got, c.want)
		}
	}
}

// frames is a DICOM object of n frames of 4 x 4 pixels; frame k is of the value 10 (k + 1) but for one pixel.
func frames(n int) string {
	var pixels []byte
	for k := range n {
		f := bytes.Repeat([]byte{byte(10 * (k + 1))}, 16)
		f[0] = 0
		pixels = append(pixels, f...)
	}
	return strings.Repeat("\x00", 128) + "DICM" + implicit(value(dicom.TransferSyntaxUID, string(dicom.ImplicitLittleEndian)+"\x00"),
		value(dicom.SOPClassUID, "1.2.840.10008.5.1.4.1.1.3.1\x00"), number(dicom.SamplesPerPixel, 1), value(dicom.PhotometricInterpretation, "MONOCHROME2 "),
		value(dicom.NumberOfFrames, fmt.Sprint(n)), number(dicom.Rows, 4), number(dicom.Columns, 4), number(dicom.BitsAllocated, 8), number(dicom.BitsStored, 8),
		number(dicom.HighBit, 7), number(dicom.PixelRepresentation, 0), value(dicom.PixelData, string(pixels)))
}

// TestPages: of a file with several frames the first is taken and that is said, another that is asked for, or all, which stay
// on one side of a split.
func TestPages(t *testing.T) {
	root := write(t, map[string]string{"a/1.dcm": frames(3), "a/2.dcm": frames(1), "b/3.dcm": frames(3)})
	level := func(d *Dataset, i int) uint8 {
		m, err := d.Image(t.Context(), i, imaging.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return m.Pix8[5]
	}
	first, err := Open(root, Options{})
	if err != nil || len(first.Samples) != 3 || level(first, 0) != 10 || !strings.Contains(words(first), "2 files have several pages or frames, of which the first is taken (--page)") {
		t.Errorf("%v: %q", err, words(first))
	}
	if _, err := Open(root, Options{Page: 2}); err != nil {
		t.Error(err) // a file of one frame has that one
	}
	second, err := Open(root, Options{Page: 2})
	if err != nil || level(second, 0) != 20 || level(second, 1) != 10 || second.Samples[0].Path != "a/1.dcm[1]" {
		t.Errorf("%v: %+v", err, second.Samples)
	}
	if _, err := Open(root, Options{Page: 4}); err == nil || !strings.Contains(err.Error(), "has 3 pages, of which --page names number 4") {
		t.Error(err)
	}
	all, err := Open(root, Options{Page: AllPages})
	if err != nil || len(all.Samples) != 7 || level(all, 2) != 30 || all.Samples[2].Path != "a/1.dcm[2]" {
		t.Fatalf("%v: %+v", err, all.Samples)
	}
	if g := all.Samples[0].Group; g == "" || all.Samples[1].Group != g || all.Samples[2].Group != g || all.Samples[4].Group == g {
		t.Errorf("%+v", all.Samples)
	}
	if filepath.Base(all.File(1)) != "1.dcm[1]" {
		t.Error(all.File(1))
	}
}
