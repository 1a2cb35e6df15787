package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"melo.example/melo/internal/bf16"
)

// littleEndian reports whether the host is little-endian, as the format is.
var littleEndian = func() bool {
	x := uint16(1)
	return *(*byte)(unsafe.Pointer(&x)) == 1
}()

// F32View returns the values of an F32 tensor without copying. It returns false if the tensor has another
// dtype, is not aligned, or the host is big-endian. The view is read-only and valid until File.Close.
func (t Tensor) F32View() ([]float32, bool) {
	if t.DType != F32 || !littleEndian || len(t.Data)%4 != 0 {
		return nil, false
	}
	if len(t.Data) == 0 {
		return []float32{}, true
	}
	p := unsafe.Pointer(unsafe.SliceData(t.Data))
	if uintptr(p)%4 != 0 {
		return nil, false
	}
	return unsafe.Slice((*float32)(p), len(t.Data)/4), true
}

// Float32s converts an F64, F32, F16 or BF16 tensor to float32, using dst if its capacity suffices, else new
// memory. F16 and BF16 convert exactly; F64 is rounded to nearest even. It returns an error for other types.
func (t Tensor) Float32s(dst []float32) ([]float32, error) {
	switch t.DType {
	case F64, F32, F16, BF16:
	default:
		return nil, fmt.Errorf("safetensors: %s: tensor %s: dtype %s, expected F32, F16, BF16 or F64",
			t.File, quote(t.Name), t.DType)
	}
	n := t.Len()
	if cap(dst) < n {
		dst = make([]float32, n)
	}
	dst = dst[:n]
	le := binary.LittleEndian
	switch t.DType {
	case F32:
		if view, ok := t.F32View(); ok {
			copy(dst, view)
			break
		}
		for i := range dst {
			dst[i] = math.Float32frombits(le.Uint32(t.Data[4*i:]))
		}
	case F16:
		widenF16(dst, t.Data)
	case BF16:
		widenBF16(dst, t.Data)
	case F64:
		for i := range dst {
			dst[i] = float32(math.Float64frombits(le.Uint64(t.Data[8*i:])))
		}
	}
	return dst, nil
}

// widenF16 converts len(dst) values, four at a time for speed: it is used for whole models.
func widenF16(dst []float32, src []byte) {
	for len(dst) >= 4 && len(src) >= 8 {
		w := binary.LittleEndian.Uint64(src)
		d := (*[4]float32)(dst)
		d[0], d[1] = F16ToFloat32(uint16(w)), F16ToFloat32(uint16(w>>16))
		d[2], d[3] = F16ToFloat32(uint16(w>>32)), F16ToFloat32(uint16(w>>48))
		dst, src = dst[4:], src[8:]
	}
	for i := range dst {
		dst[i] = F16ToFloat32(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

// widenBF16 is widenF16 for bfloat16.
func widenBF16(dst []float32, src []byte) {
	for len(dst) >= 4 && len(src) >= 8 {
		w := binary.LittleEndian.Uint64(src)
		d := (*[4]float32)(dst)
		d[0], d[1] = bf16.Widen(uint16(w)), bf16.Widen(uint16(w>>16))
		d[2], d[3] = bf16.Widen(uint16(w>>32)), bf16.Widen(uint16(w>>48))
		dst, src = dst[4:], src[8:]
	}
	for i := range dst {
		dst[i] = bf16.Widen(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

// F16ToFloat32 converts an IEEE 754 binary16.
func F16ToFloat32(h uint16) float32 {
	// As a float32, exponent and fraction read as the value times 2^-112, including subnormals.
	f := math.Float32bits(math.Float32frombits(uint32(h&0x7fff)<<13) * 0x1p112)
	if f >= 0x47800000 { // 2^16 and above: infinity or NaN
		f |= 0x7f800000
	}
	return math.Float32frombits(f | uint32(h&0x8000)<<16)
}

// Float32ToF16 rounds to nearest even. Values that are too large become infinite; NaN becomes a quiet NaN.
func Float32ToF16(f float32) uint16 {
	b := math.Float32bits(f)
	sign, abs := uint16(b>>16)&0x8000, b&0x7fffffff
	switch {
	case abs > 0x7f800000:
		return sign | 0x7e00 | uint16(abs>>13)&0x3ff
	case abs >= 0x47800000: // 2^16 and above, infinity
		return sign | 0x7c00
	case abs < 0x38800000: // below 2^-14: adding 0.5 leaves the value in units of 2^-24, rounded
		return sign | uint16(math.Float32bits(math.Float32frombits(abs)+0.5)-0x3f000000)
	}
	abs -= (127 - 15) << 23
	return sign | uint16((abs+0xfff+abs>>13&1)>>13) // a carry into the exponent may correctly give infinity
}
