package jpeg2000

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// budget is plenty for every picture of testdata.
const budget = 8 << 20

// known reports whether an error is of a kind that the package announces.
func known(err error) bool {
	return errors.Is(err, ErrFormat) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrUnsupported) || errors.Is(err, ErrLimit)
}

// decodeDamaged decodes what may be no codestream any more, both ways.
func decodeDamaged(t *testing.T, what string, data []byte) {
	t.Helper()
	for _, partial := range []bool{false, true} {
		start := time.Now()
		img, err := Decode(data, Options{MaxBytes: budget, Partial: partial})
		if took := time.Since(start); took > 20*time.Second { // a hang; the machine may be busy
			t.Fatalf("%s: %v", what, took)
		}
		if err != nil {
			if !known(err) {
				t.Fatalf("%s: an error of no kind: %v", what, err)
			}
			continue
		}
		for i, c := range img.Components {
			if len(c.Samples) != c.Width*c.Height {
				t.Fatalf("%s: component %d has %d samples, want %d x %d", what, i, len(c.Samples), c.Width, c.Height)
			}
		}
	}
}

func TestCutCodestreams(t *testing.T) {
	for _, g := range readGolden(t, "testdata") {
		data, err := os.ReadFile(filepath.Join("testdata", g.File))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 12 {
			cut := data[:len(data)*i/12]
			if _, err := Decode(cut, Options{MaxBytes: budget}); err == nil {
				t.Errorf("%s: %d of %d bytes are decoded without an error", g.File, len(cut), len(data))
			}
			decodeDamaged(t, g.File, cut)
		}
	}
}

func TestFlippedBits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, g := range readGolden(t, "testdata") {
		data, err := os.ReadFile(filepath.Join("testdata", g.File))
		if err != nil {
			t.Fatal(err)
		}
		head := min(len(data), 160) // headers are where most can go wrong
		for i := range 30 {
			bad := append([]byte(nil), data...)
			for range 1 + i%3 {
				n := len(bad)
				if i%2 == 0 {
					n = head
				}
				bad[r.IntN(n)] ^= 1 << r.IntN(8)
			}
			decodeDamaged(t, g.File, bad)
		}
	}
}

// TestPartial checks that more data never make less of a picture, and that the whole is marked as whole.
func TestPartial(t *testing.T) {
	data, err := os.ReadFile("testdata/order_LRCP.j2k")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Decode(data, Options{Partial: true})
	if err != nil || whole.Truncated {
		t.Fatalf("the whole codestream: %v, truncated %v", err, whole.Truncated)
	}
	part, err := Decode(data[:len(data)*3/4], Options{Partial: true})
	if err != nil || !part.Truncated {
		t.Fatalf("three quarters: %v, not marked as truncated", err)
	}
	if _, err := Decode(data[:len(data)*3/4], Options{}); !errors.Is(err, ErrTruncated) {
		t.Fatalf("three quarters: got %v, want an error of truncated data", err)
	}
}

// TestBudget checks that a header that asks for much is refused before much is allocated.
func TestBudget(t *testing.T) {
	data, err := os.ReadFile("testdata/plain.j2k")
	if err != nil {
		t.Fatal(err)
	}
	huge := append([]byte(nil), data...)
	for _, at := range []int{8, 12, 24, 28} { // Xsiz, Ysiz, XTsiz, YTsiz
		copy(huge[at:], []byte{0x00, 0x01, 0x00, 0x00})
	}
	got := testing.AllocsPerRun(1, func() {
		if _, err := Decode(huge, Options{}); !errors.Is(err, ErrLimit) {
			t.Fatalf("65536 x 65536 samples: got %v, want the memory limit", err)
		}
	})
	if got > 200 {
		t.Errorf("%v allocations", got)
	}
	if _, err := Decode(data, Options{MaxBytes: 20000}); !errors.Is(err, ErrLimit) {
		t.Errorf("a budget of 20,000 bytes for 61 x 53 samples: got %v, want the memory limit", err)
	}
	if _, err := Decode(data, Options{MaxBytes: 100000}); err != nil {
		t.Errorf("a budget of 100,000 bytes: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"plain.j2k", "mode63.j2k", "order_CPRL.j2k", "poc_layers.j2k", "tiles_offset.j2k", "boxed.jp2",
		"ht_5x7.j2c", "ht_rgb.j2c", "htref_33x18_2_0.j2c", "irreversible.j2k", "roi.j2k", "sopeph.j2k"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, false)
		f.Add(data[:len(data)/2], true)
	}
	f.Fuzz(func(t *testing.T, data []byte, partial bool) {
		img, err := Decode(data, Options{MaxBytes: 4 << 20, Partial: partial})
		if err != nil && !known(err) {
			t.Fatalf("an error of no kind: %v", err)
		}
		config, errConfig := DecodeConfig(data, Options{MaxBytes: 4 << 20})
		if err == nil && (errConfig != nil || len(config.Components) != len(img.Components)) {
			t.Fatalf("the header alone: %v, %+v", errConfig, config)
		}
	})
}
