package imaging

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// emptyScans is a progressive JPEG of w x h grey pixels whose scans hold hardly anything: each is a run of blocks
// without coefficients, which takes a few bytes.
func emptyScans(w, h, scans int) []byte {
	segment := func(marker byte, body ...byte) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(body)+2)), body...)
	}
	b := []byte{0xff, 0xd8}
	quant := make([]byte, 65)
	for i := range 64 {
		quant[1+i] = 1
	}
	b = append(b, segment(0xdb, quant...)...)
	b = append(b, segment(0xc2, 8, byte(h>>8), byte(h), byte(w>>8), byte(w), 1, 1, 0x11, 0)...)
	// AC table 0: the code 0 of one bit means a run of 2^14 blocks, with 14 bits that say how many more.
	table := append([]byte{0x10, 1}, make([]byte, 15)...)
	b = append(b, segment(0xc4, append(table, 0xe0)...)...)
	// DC table 0: the code 0 means no difference. The first scan has one bit for each block.
	blocks := ((w + 7) / 8) * ((h + 7) / 8)
	b = append(b, segment(0xc4, append(append([]byte{0, 1}, make([]byte, 15)...), 0)...)...)
	b = append(b, segment(0xda, 1, 1, 0, 0, 0, 0)...)
	b = append(b, make([]byte, (blocks+7)/8)...)
	for range scans {
		b = append(b, segment(0xda, 1, 1, 0, 1, 63, 0)...)
		for n := blocks; n > 0; n -= 16384 { // 0, then fourteen zeros, padded to sixteen bits: a run of 2^14
			b = append(b, 0, 0)
		}
	}
	return append(b, 0xff, 0xd9)
}

func TestScansAreBudgeted(t *testing.T) {
	data := emptyScans(8000, 6000, 4000)
	before := allocated()
	_, err := Decode(data, "slow.jpg")
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "4001 scans") {
		t.Errorf("empty scans: got %v", err)
	}
	if got := allocated() - before; got > 1<<20 {
		t.Errorf("%d bytes allocated for a file that is refused", got)
	}
}

// TestDecodeEndsWithContext: a context that is done stops decoding inside.
func TestDecodeEndsWithContext(t *testing.T) {
	for _, c := range []struct {
		name string
		data []byte
	}{{"JPEG", emptyScans(8000, 6000, 20)}} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := DecodeContext(ctx, c.data, "x", Options{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	for _, file := range []string{"rgb.png", "jpeg_420_61x45.jpg", "rgb.gif", "rgb_raw.tif", "lossless.webp", "rgb.bmp"} {
		data, err := os.ReadFile(filepath.Join("testdata/files", file))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := DecodeContext(ctx, data, file, Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", file, err)
		}
	}
}

func TestCostLimits(t *testing.T) {
	data, err := os.ReadFile("testdata/files/rgb16.png")
	if err != nil {
		t.Fatal(err)
	}
	info, err := Inspect(data, "x", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if info.Format != "PNG" || info.Bits != 16 || info.Pages != 1 || info.Bytes < int64(6*info.W*info.H) || info.Work < int64(3*info.W*info.H) {
		t.Errorf("got %+v", info)
	}
	for _, lim := range []Limits{{MaxBytes: info.Bytes - 1}, {MaxWork: info.Work - 1}, {MaxSide: 3}} {
		if _, err := DecodeLimits(data, "x", lim); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%+v: got %v", lim, err)
		}
	}
	if _, err := DecodeLimits(data, "x", Limits{MaxBytes: info.Bytes, MaxWork: info.Work}); err != nil {
		t.Errorf("exactly at the limits: %v", err)
	}
	if _, err := DecodeContext(t.Context(), data, "x", Options{Page: 1}); err == nil || !strings.Contains(err.Error(), "page 1") {
		t.Errorf("page 1 of a PNG: got %v", err)
	}
	if _, err := Decode(pngHeader(49_000_000, 1), "wide.png"); !errors.Is(err, ErrTooLarge) {
		t.Errorf("49 million pixels in a row: got %v", err)
	}
}

// TestSource: an image says where it comes from.
func TestSource(t *testing.T) {
	for file, want := range map[string]Info{
		"l16.png":            {Format: "PNG", C: 1, Bits: 16},
		"rgb.png":            {Format: "PNG", C: 3, Bits: 8},
		"jpeg_420_61x45.jpg": {Format: "JPEG", C: 3, Bits: 8},
	} {
		m, err := DecodeFile(filepath.Join("testdata/files", file))
		if err != nil {
			t.Fatal(err)
		}
		if s := m.Source; s.Format != want.Format || s.C != want.C || s.Bits != want.Bits || s.Pages != 1 {
			t.Errorf("%s: got %+v", file, s)
		}
	}
}
