package dataset

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/imaging"
)

// encode is an image as PNG.
func encode(t testing.TB, m image.Image) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// mottled has different pixels everywhere.
func mottled(w, h, seed int) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = uint8(mix(uint64(i + 1000*seed)))
	}
	return m
}

func scanned(t testing.TB, files map[string]string, opt ScanOptions) (*Dataset, error) {
	t.Helper()
	d, err := Open(write(t, files), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d, d.Scan(t.Context(), opt)
}

// TestScanFindsPixels: two files with different bytes and the same pixels are copies, in colour or not.
func TestScanFindsPixels(t *testing.T) {
	grey := mottled(9, 8, 1)
	colour, deep := image.NewNRGBA(grey.Rect), image.NewGray16(grey.Rect)
	for y := range 8 {
		for x := range 9 {
			colour.Set(x, y, grey.GrayAt(x, y))
			deep.SetGray16(x, y, color.Gray16{Y: uint16(grey.GrayAt(x, y).Y) << 8})
		}
	}
	tinted := image.NewNRGBA(grey.Rect)
	copy(tinted.Pix, colour.Pix)
	tinted.SetNRGBA(8, 7, color.NRGBA{1, 2, 3, 255})
	d, err := scanned(t, map[string]string{
		"a/grey.png": encode(t, grey), "b/colour.png": encode(t, colour), "a/deep.png": encode(t, deep), "b/tinted.png": encode(t, tinted),
		"a/other.png": encode(t, mottled(8, 9, 1)),
	}, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	copies := d.Copies()
	if len(copies) != 1 || len(copies[0]) != 2 {
		t.Fatalf("copies: %v", copies)
	}
	if a, b := d.Samples[copies[0][0]].Path, d.Samples[copies[0][1]].Path; a != "a/grey.png" || b != "b/colour.png" {
		t.Errorf("copies: %s and %s", a, b)
	}
	if x := d.Info(1); d.Samples[1].Path != "a/grey.png" || x.W != 9 || x.H != 8 || x.Channels != 1 || x.Bits != 8 || x.Format != "PNG" || x.Bytes == 0 || x.Constant {
		t.Errorf("%s: %+v", d.Samples[1].Path, x)
	}
	for seed := range uint64(10) {
		parts, err := d.Folds(2, SplitOptions{Seed: seed, Val: -1})
		if err != nil {
			continue // five images leave little choice
		}
		if h := parts[0].Held; slices.Contains(h, copies[0][0]) != slices.Contains(h, copies[0][1]) {
			t.Errorf("seed %d: copies are on two sides", seed)
		}
	}
}

func TestScanBad(t *testing.T) {
	files := map[string]string{"a/1.png": "#1", "a/2.png": "#2", "a/3.png": "#3", "b/4.png": "#4", "b/5.png": "#5", "b/6.png": "#6",
		"a/broken.png": "\x89PNG\r\n\x1a\nbroken", "b/empty.png": "", "b/empty2.png": ""}
	d, err := scanned(t, files, ScanOptions{MaxBad: 2})
	if !errors.Is(err, ErrBadData) {
		t.Fatalf("got %v", err)
	}
	for _, text := range []string{d.Root, "3 of 9 images cannot be read, 2 are allowed", "a/broken.png: PNG header", "b/empty.png: empty file"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
	if err := d.Scan(t.Context(), ScanOptions{MaxBad: 3}); err != nil {
		t.Fatal(err)
	}
	if bad := d.Bad(); len(bad) != 3 || d.Samples[bad[0].Index].Path != "a/broken.png" || bad[1].Err == nil {
		t.Errorf("bad: %v", bad)
	}
	parts := mustSplit(t, d, SplitOptions{Val: 0.3, Test: -1})
	if n := len(parts[0]) + len(parts[1]); n != 6 {
		t.Errorf("%d samples are used, expected 6", n)
	}
	for _, i := range slices.Concat(parts[:]...) {
		if d.Info(i).Err != nil {
			t.Errorf("%s cannot be read and is used", d.Samples[i].Path)
		}
	}
	if all := strings.Join(d.Warnings, "\n"); strings.Contains(all, "empty") {
		t.Errorf("unreadable files are copies: %s", all)
	}
	// Two more that become unreadable later: one is one too many.
	l := newLoader(t, d, LoaderOptions{MaxBad: 4})
	l.indices = slices.Concat(parts[:]...)
	l.order = slices.Clone(l.indices)
	for _, i := range l.indices[:2] {
		if err := os.WriteFile(d.File(i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var failure error
	for _, err := range l.Epoch(t.Context(), 0) {
		failure = err
	}
	if failure == nil || !strings.Contains(failure.Error(), "5 unreadable images, 4 are allowed") {
		t.Errorf("got %v", failure)
	}
}

// TestScanAllOfALabelBad: a label that only unreadable images have is missing.
func TestScanAllOfALabelBad(t *testing.T) {
	d, err := scanned(t, map[string]string{"a/1.png": "#1", "a/2.png": "#2", "b/4.png": "#4", "b/5.png": "#5", "c/x.png": "x"}, ScanOptions{MaxBad: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := d.Split(SplitOptions{Val: -1, Test: -1}); err == nil || !strings.Contains(err.Error(), `train has no samples of "c"`) {
		t.Errorf("got %v", err)
	}
}

// TestOddImages: one pixel, and one colour everywhere, are warned of and give finite numbers.
func TestOddImages(t *testing.T) {
	flat := image.NewGray(image.Rect(0, 0, 20, 10))
	d, err := scanned(t, map[string]string{"a/flat.png": encode(t, flat), "b/pixel.png": encode(t, mottled(1, 1, 1)),
		"a/good.png": encode(t, mottled(20, 20, 2)), "b/line.png": encode(t, mottled(2000, 1, 3))}, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(d.Warnings, "\n")
	for _, text := range []string{"1 images have the same colour everywhere: a/flat.png", "2 images have a side of fewer than 8 pixels: b/line.png (2000 x 1), b/pixel.png (1 x 1)"} {
		if !strings.Contains(all, text) {
			t.Errorf("warnings %q do not say %q", all, text)
		}
	}
	for _, augment := range []Augment{{}, allAugment} {
		l := newLoader(t, d, LoaderOptions{Augment: augment})
		for b, err := range l.Epoch(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range b.Images {
				if !(v >= -2 && v <= 4) { // no NaN either
					t.Fatalf("%+v: value %v", augment, v)
				}
			}
		}
	}
}

// TestDataDisappears: whatever number of unreadable images is allowed, a folder that is gone is an error.
func TestDataDisappears(t *testing.T) {
	d := folderOf(t, 40)
	l := newLoader(t, d, LoaderOptions{Batch: 4, Workers: 2, MaxBad: 1000})
	var failure error
	n := 0
	for _, err := range l.Epoch(t.Context(), 0) {
		if n++; n == 1 {
			if err := os.RemoveAll(d.Root); err != nil {
				t.Fatal(err)
			}
		}
		failure = err
	}
	if failure == nil || !strings.Contains(failure.Error(), d.Root+": the data has disappeared") || n > 6 {
		t.Errorf("after %d batches: %v", n, failure)
	}
	if err := d.Scan(t.Context(), ScanOptions{MaxBad: -1}); !errors.Is(err, ErrBadData) || !strings.Contains(err.Error(), "disappeared") {
		t.Errorf("scan: %v", err)
	}
}

func TestScanStops(t *testing.T) {
	d := folderOf(t, 40)
	ctx, cancel := context.WithCancel(t.Context())
	err := d.Scan(ctx, ScanOptions{Progress: func(done, total int) {
		if total != 40 || done < 1 || done > 40 {
			t.Errorf("progress %d of %d", done, total)
		}
		cancel()
	}})
	if !errors.Is(err, context.Canceled) || d.infos != nil {
		t.Errorf("got %v", err)
	}
	if err := d.Scan(t.Context(), ScanOptions{}); err != nil {
		t.Error(err)
	}
}

// TestHugeImages: 100 megapixels are read, more are refused, and what claims to be is refused as well.
func TestHugeImages(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	huge := func(w, h int) string {
		return encode(t, &image.Paletted{Pix: make([]uint8, w*h), Stride: w, Rect: image.Rect(0, 0, w, h),
			Palette: color.Palette{color.Black, color.White}})
	}
	bomb := []byte(encode(t, mottled(8, 8, 1)))
	copy(bomb[16:], "\x00\x00\x23\x28\x00\x00\x23\x28") // 9000 x 9000, with the old checksum
	d, err := scanned(t, map[string]string{"a/1.png": huge(10_000, 10_000), "b/2.png": huge(10_001, 10_000), "b/3.png": string(bomb), "b/4.png": "#4"},
		ScanOptions{MaxBad: -1})
	if err != nil {
		t.Fatal(err)
	}
	bad := d.Bad()
	if len(bad) != 2 || !strings.Contains(bad[0].Err.Error(), "b/2.png: 10001 x 10000 pixels: image too large: the limit is 100000000") || !strings.Contains(bad[1].Err.Error(), "b/3.png") {
		t.Errorf("bad: %v", bad)
	}
	if x := d.Info(0); x.W != 10_000 || x.Err != nil {
		t.Errorf("%+v", x)
	}
}

// cancelling is a source that gives up while the last image is read.
type cancelling struct {
	Source
	cancel func()
}

func (c cancelling) Read(i int, limits imaging.Limits) ([]byte, error) {
	if i == c.Len()-1 {
		c.cancel()
	}
	return c.Source.Read(i, limits)
}

// TestScanInterrupted: an interruption, even in the last image, is not an image that cannot be read.
func TestScanInterrupted(t *testing.T) {
	d, err := Open(write(t, map[string]string{"a/x.png": encode(t, mottled(9, 8, 1)), "b/y.png": encode(t, mottled(9, 8, 2))}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	d.source = cancelling{d.source, cancel}
	if err := d.Scan(ctx, ScanOptions{}); !errors.Is(err, context.Canceled) || len(d.Bad()) != 0 {
		t.Errorf("error %v, bad images %v", err, d.Bad())
	}
}
