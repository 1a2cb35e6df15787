package safetensors

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"melo.example/melo/internal/bf16"
)

// roundTrip writes, reads back, compares, and returns the bytes.
func roundTrip(t *testing.T, tensors []TensorData, metadata map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	f, err := Parse(b.Bytes(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(f.Metadata(), metadata) || len(f.Names()) != len(tensors) {
		t.Fatalf("metadata %q, names %q", f.Metadata(), f.Names())
	}
	for _, want := range tensors {
		got, _ := f.Tensor(want.Name)
		if got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("%q: got %+v, expected %+v", want.Name, got, want)
		}
	}
	return b.Bytes()
}

func TestWrite(t *testing.T) {
	wide, _ := FromFloat32s("z", F32, []int{1, 2}, []float32{1, 2})
	half, _ := FromFloat32s("a<&>\"\u2028é", BF16, []int{3}, []float32{1, 2, 3})
	tensors := []TensorData{half, wide, {Name: "empty", DType: I64, Shape: []int{0, 5}, Data: nil}, {Name: "scalar", DType: U8, Shape: []int{}, Data: []byte{7}}}
	first := roundTrip(t, tensors, map[string]string{"b": "1", "a": "{\"x\": [1]}"})
	slices.Reverse(tensors)
	if second := roundTrip(t, tensors, map[string]string{"a": "{\"x\": [1]}", "b": "1"}); !bytes.Equal(first, second) {
		t.Error("bytes depend on the order of tensors")
	}
	want := `{"__metadata__":{"a":"{\"x\": [1]}","b":"1"},"empty":{"dtype":"I64","shape":[0,5],"data_offsets":[0,0]},"z":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},`
	if !strings.HasPrefix(string(first[8:]), want) {
		t.Errorf("header %s", first[8:])
	}
	f, _ := Parse(first, "x")
	z, _ := f.Tensor("z")
	body := bytes.LastIndexByte(first, '}') + 1
	body += len(first[body:]) - len(bytes.TrimLeft(first[body:], " "))
	if body%8 != 0 || len(z.Data) != 8 || &z.Data[0] != &first[body] {
		t.Errorf("data begins at %d, expected a multiple of 8 with the widest tensor first", body)
	}
	if got := roundTrip(t, nil, nil); string(got[8:]) != "{}      " {
		t.Errorf("empty file %q", got)
	}
}

func TestWriteRefuses(t *testing.T) {
	good := TensorData{Name: "w", DType: F32, Shape: []int{1}, Data: make([]byte, 4)}
	for what, tensors := range map[string][]TensorData{
		"twice":    {good, good},
		"name":     {{Name: "__metadata__", DType: F32, Shape: []int{1}, Data: make([]byte, 4)}},
		"UTF-8":    {{Name: "\xff", DType: F32, Shape: []int{1}, Data: make([]byte, 4)}},
		"dtype":    {{Name: "w", DType: "F31", Shape: []int{1}, Data: make([]byte, 4)}},
		"short":    {{Name: "w", DType: F32, Shape: []int{2}, Data: make([]byte, 4)}},
		"negative": {{Name: "w", DType: F32, Shape: []int{-1}, Data: make([]byte, 4)}},
		"rank":     {{Name: "w", DType: F32, Shape: slices.Repeat([]int{1}, 17), Data: make([]byte, 4)}},
	} {
		if err := Write(io.Discard, tensors, nil); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if err := Write(io.Discard, nil, map[string]string{"a": "\xff"}); err == nil {
		t.Error("metadata that is not UTF-8 accepted")
	}
	if _, err := FromFloat32s("w", I64, []int{1}, []float32{1}); err == nil {
		t.Error("I64 accepted")
	}
	if _, err := FromFloat32s("w", F16, []int{2}, []float32{1}); err == nil {
		t.Error("wrong shape accepted")
	}
}

type failingWriter struct{ left int }

var errFull = errors.New("disk full")

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left--; w.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriteFails(t *testing.T) {
	tensors := []TensorData{{Name: "a", DType: U8, Shape: []int{1}, Data: []byte{1}}, {Name: "b", DType: U8, Shape: []int{1}, Data: []byte{1}}}
	for k := range 3 {
		if err := Write(&failingWriter{k}, tensors, nil); !errors.Is(err, errFull) {
			t.Errorf("write %d fails: %v", k, err)
		}
	}
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, 0o644, append(tensors, tensors...), nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Errorf("old file now holds %q", b)
	}
}

// nearestEven is the definition: of the representable values around f, the closer, or the even one.
func nearestEven(f float32, widen func(uint16) float32, inf uint16) uint16 {
	a := math.Abs(float64(f))
	lo, hi := uint16(0), inf // bit patterns of non-negative values ascend like the values
	for hi-lo > 1 {
		if mid := lo + (hi-lo)/2; float64(widen(mid)) <= a {
			lo = mid
		} else {
			hi = mid
		}
	}
	below, above := float64(widen(lo)), float64(widen(hi))
	if hi == inf { // the step continues past the largest finite value
		above = 2*below - float64(widen(lo-1))
	}
	best := lo
	if d := (a - below) - (above - a); d > 0 || d == 0 && lo&1 == 1 {
		best = hi
	}
	if math.Signbit(float64(f)) {
		best |= 0x8000
	}
	return best
}

func TestHalves(t *testing.T) {
	for h := range 1 << 16 {
		h := uint16(h)
		if exp, frac := int(h>>10&31), float64(h&0x3ff); exp < 31 { // IEEE 754-2008, 3.4
			want := math.Ldexp(frac, -24)
			if exp > 0 {
				want = math.Ldexp(frac+1024, exp-25)
			}
			if got := float64(F16ToFloat32(h &^ 0x8000)); got != want {
				t.Fatalf("F16 %#04x is %v, expected %v", h, got, want)
			}
		}
		if f := F16ToFloat32(h); f == f && Float32ToF16(f) != h {
			t.Fatalf("F16 %#04x -> %v -> %#04x", h, f, Float32ToF16(f))
		} else if f != f && (h&0x7c00 != 0x7c00 || h&0x3ff == 0 || Float32ToF16(f)&0x7e00 != 0x7e00) {
			t.Fatalf("F16 %#04x -> NaN", h)
		}
		if f := bf16.Widen(h); f == f && bf16.Round(f) != h {
			t.Fatalf("BF16 %#04x -> %v -> %#04x", h, f, bf16.Round(f))
		} else if f != f && bf16.Round(f)&0x7fc0 != 0x7fc0 {
			t.Fatalf("BF16 %#04x -> NaN", h)
		}
	}
	known := map[uint16]float32{0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 0x0001: 0x1p-24, 0x0400: 0x1p-14, 0x3555: 0.333251953125}
	for h, f := range known {
		if F16ToFloat32(h) != f {
			t.Errorf("F16 %#04x is %v, expected %v", h, F16ToFloat32(h), f)
		}
	}
	// Steps through the bit patterns, and each pattern's neighbours: ties and what lies beside them.
	for b := uint64(0); b < 1<<32; b += 0xfff {
		for _, bits := range []uint32{uint32(b), uint32(b) &^ 0xfff, uint32(b)&^0xfff | 1} {
			f := math.Float32frombits(bits)
			if f != f || math.IsInf(float64(f), 0) {
				continue
			}
			if got, want := Float32ToF16(f), nearestEven(f, F16ToFloat32, 0x7c00); got != want {
				t.Fatalf("F16 of %v (%#x): %#04x, expected %#04x", f, bits, got, want)
			}
			if got, want := bf16.Round(f), nearestEven(f, bf16.Widen, 0x7f80); got != want {
				t.Fatalf("BF16 of %v (%#x): %#04x, expected %#04x", f, bits, got, want)
			}
		}
	}
}

func TestFloat32s(t *testing.T) {
	values := []float32{0, 1, -1.5, 0.25, 65504, float32(math.Inf(-1))} // exact in each type but 65504 in BF16
	for _, dtype := range []DType{F32, F16, BF16} {
		td, err := FromFloat32s("w", dtype, []int{2, 3}, values)
		if err != nil {
			t.Fatal(err)
		}
		tensor := Tensor{Name: "w", DType: dtype, Shape: td.Shape, Data: td.Data}
		want := slices.Clone(values)
		if dtype == BF16 {
			want[4] = 65536 // 8 bits of precision
		}
		dst := make([]float32, 10)
		got, err := tensor.Float32s(dst)
		if err != nil || !slices.Equal(got, want) || &got[0] != &dst[0] {
			t.Errorf("%s: %v, %v", dtype, got, err)
		}
		if _, ok := tensor.F32View(); ok != (dtype == F32 && littleEndian) {
			t.Errorf("%s: F32View %v", dtype, ok)
		}
	}
	f64 := Tensor{DType: F64, Shape: []int{1}, Data: []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x3f}}
	if got, err := f64.Float32s(nil); err != nil || got[0] != 1.5 {
		t.Errorf("F64: %v %v", got, err)
	}
	if _, err := (Tensor{Name: "ids", DType: I64, File: "x"}).Float32s(nil); err == nil || !strings.Contains(err.Error(), `"ids"`) {
		t.Errorf("I64: %v", err)
	}
}

// Every length of the four-at-a-time loops gives what the single conversions give.
func TestWidenLengths(t *testing.T) {
	data := make([]byte, 2*11)
	for i := range data {
		data[i] = byte(37*i + 11)
	}
	for n := range 12 {
		for dtype, widen := range map[DType]func(uint16) float32{F16: F16ToFloat32, BF16: bf16.Widen} {
			got, err := Tensor{DType: dtype, Data: data[:2*n]}.Float32s(nil)
			if err != nil || len(got) != n {
				t.Fatalf("%d values, %v, expected %d", len(got), err, n)
			}
			for i, v := range got {
				h := uint16(data[2*i]) | uint16(data[2*i+1])<<8
				if math.Float32bits(v) != math.Float32bits(widen(h)) {
					t.Errorf("%s value %d of %d: %v, expected %v", dtype, i, n, v, widen(h))
				}
			}
		}
	}
}

func BenchmarkFloat32s(b *testing.B) {
	const n = 1 << 16
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(i%100)/100 - 0.5
	}
	dst := make([]float32, n)
	for _, dtype := range []DType{F32, F16, BF16} {
		td, _ := FromFloat32s("w", dtype, []int{n}, values)
		b.Run(string(dtype), func(b *testing.B) {
			b.SetBytes(4 * n)
			for b.Loop() {
				if _, err := (Tensor{DType: dtype, Shape: td.Shape, Data: td.Data}).Float32s(dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestUnalignedView(t *testing.T) {
	words := make([]uint64, 3)
	buf := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 24)
	tensor := Tensor{DType: F32, Shape: []int{2}, Data: buf[1:9]}
	if _, ok := tensor.F32View(); ok {
		t.Error("a view of unaligned floats")
	}
	if got, err := tensor.Float32s(nil); err != nil || len(got) != 2 {
		t.Errorf("%v %v", got, err)
	}
	if view, ok := (Tensor{DType: F32, Shape: []int{0}}).F32View(); littleEndian && (!ok || view == nil) {
		t.Error("an empty tensor should have an empty view")
	}
}

// TestFill: data that is made when it is written gives the same file, is asked for once a file, and must have the size that
// the shape says.
func TestFill(t *testing.T) {
	plain := TensorData{Name: "a", DType: F32, Shape: []int{2}, Data: []byte{1, 2, 3, 4, 5, 6, 7, 8}}
	asked := 0
	later := TensorData{Name: "a", DType: F32, Shape: []int{2}, Fill: func(use func([]byte) error) error {
		asked++
		return use(plain.Data)
	}}
	var want, got bytes.Buffer
	if err := errors.Join(Write(&want, []TensorData{plain}, nil), Write(&got, []TensorData{later}, nil)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) || asked != 1 {
		t.Errorf("%x after %d calls, expected %x", got.Bytes(), asked, want.Bytes())
	}
	later.Shape = []int{3}
	if err := Write(io.Discard, []TensorData{later}, nil); err == nil {
		t.Error("data of another size was written")
	}
	failure := errors.New("no data")
	later.Fill = func(func([]byte) error) error { return failure }
	if err := Write(io.Discard, []TensorData{later}, nil); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}
