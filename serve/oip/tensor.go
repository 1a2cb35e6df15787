package oip

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"melo.example/melo/internal/bf16"
	"melo.example/melo/safetensors"
)

// The supported datatypes of inputs; outputs are FP32 and BYTES. The protocol's others are refused by name.
const (
	FP32  = "FP32"
	FP16  = "FP16"
	BF16  = "BF16"
	BYTES = "BYTES"
)

// floatSize returns the bytes of a number in binary form, or 0 for other datatypes.
func floatSize(datatype string) int {
	switch datatype {
	case FP32:
		return 4
	case FP16, BF16:
		return 2
	}
	return 0
}

func isFloat(datatype string) bool { return floatSize(datatype) > 0 }

// narrow rounds numbers from JSON to the precision of their datatype.
func (t *Tensor) narrow() error {
	for i, v := range t.Floats {
		switch t.Datatype {
		case FP16:
			t.Floats[i] = safetensors.F16ToFloat32(safetensors.Float32ToF16(v))
		case BF16:
			t.Floats[i] = bf16.Widen(bf16.Round(v))
		}
		if w := t.Floats[i]; w-w != 0 && v-v == 0 {
			return Faultf(Invalid, "input %q: element %d is %v, expected a number that fits %s", t.Name, i, v, t.Datatype)
		}
	}
	return nil
}

// Tensor is an input or an output. Its elements, in row-major order, are in Floats (FP32, FP16, BF16) or Bytes
// (BYTES). Their number agrees with Shape.
type Tensor struct {
	Name     string
	Datatype string
	Shape    []int64
	Floats   []float32
	Bytes    [][]byte
}

// maxDimensions limits the length of a shape.
const maxDimensions = 8

// elements returns the product of a tensor's shape. Every dimension must be between 1 and limit, and so must
// the product.
func elements(name string, shape []int64, limit int64) (int64, error) {
	if len(shape) == 0 || len(shape) > maxDimensions {
		return 0, Faultf(Invalid, "input %q: shape of %d dimensions, expected 1 to %d", name, len(shape), maxDimensions)
	}
	if slices.ContainsFunc(shape, func(d int64) bool { return d < 1 }) {
		return 0, Faultf(Invalid, "input %q: shape %s: expected dimensions of at least 1", name, shapeString(shape))
	}
	n := int64(1)
	for _, d := range shape {
		if d > limit/n { // n*d would exceed the limit; checked without overflow
			return 0, Faultf(TooLarge, "input %q: shape %s: the limit is %d elements", name, shapeString(shape), limit)
		}
		n *= d
	}
	return n, nil
}

func shapeString(shape []int64) string {
	parts := make([]string, 0, maxDimensions+1)
	for i, d := range shape {
		if i == maxDimensions {
			parts = append(parts, "...")
			break
		}
		parts = append(parts, strconv.FormatInt(d, 10))
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// setRaw sets the elements from their binary form: little-endian floats, or BYTES elements that are each
// preceded by their length. Elements of BYTES are views of raw.
func (t *Tensor) setRaw(raw []byte, limit int64) error {
	n, err := elements(t.Name, t.Shape, limit)
	if err != nil {
		return err
	}
	switch size := int64(floatSize(t.Datatype)); {
	case size > 0:
		if int64(len(raw)) != size*n {
			return Faultf(Invalid, "input %q: shape %s of %s is %d bytes, found %d", t.Name, shapeString(t.Shape), t.Datatype, size*n, len(raw))
		}
		t.Floats = make([]float32, n)
		widen(t.Floats, raw, t.Datatype)
	case t.Datatype == BYTES:
		t.Bytes, err = splitBytes(t.Name, raw, n)
	default:
		err = unknownDatatype(t)
	}
	return err
}

// widen decodes little-endian numbers.
func widen(dst []float32, raw []byte, datatype string) {
	le := binary.LittleEndian
	for i := range dst {
		switch datatype {
		case FP32:
			dst[i] = math.Float32frombits(le.Uint32(raw[4*i:]))
		case FP16:
			dst[i] = safetensors.F16ToFloat32(le.Uint16(raw[2*i:]))
		default:
			dst[i] = bf16.Widen(le.Uint16(raw[2*i:]))
		}
	}
}

func unknownDatatype(t *Tensor) error {
	return Faultf(Invalid, "input %q: datatype %q, expected FP32, FP16, BF16 or BYTES", t.Name, clip(t.Datatype))
}

// splitBytes splits a BYTES tensor of n elements: 4 bytes of length (little-endian), then the element.
func splitBytes(name string, raw []byte, n int64) ([][]byte, error) {
	if n > int64(len(raw))/4 {
		return nil, Faultf(Invalid, "input %q: %d bytes cannot hold %d elements of BYTES", name, len(raw), n)
	}
	list := make([][]byte, 0, n)
	for rest := raw; len(rest) > 0; {
		at := len(raw) - len(rest)
		if int64(len(list)) == n {
			return nil, Faultf(Invalid, "input %q: %d bytes after the last of %d elements", name, len(rest), n)
		}
		if len(rest) < 4 {
			return nil, Faultf(Invalid, "input %q: %d bytes at byte %d, expected the 4 of a length", name, len(rest), at)
		}
		size := binary.LittleEndian.Uint32(rest)
		rest = rest[4:]
		if uint64(size) > uint64(len(rest)) {
			return nil, Faultf(Invalid, "input %q: element %d says %d bytes, %d are left", name, len(list), size, len(rest))
		}
		list = append(list, rest[:size:size])
		rest = rest[size:]
	}
	if int64(len(list)) != n {
		return nil, Faultf(Invalid, "input %q: %d elements of BYTES, expected %d", name, len(list), n)
	}
	return list, nil
}

// AppendRaw appends the tensor's elements in binary form.
func (t *Tensor) AppendRaw(dst []byte) []byte {
	for _, v := range t.Floats {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
	}
	for _, b := range t.Bytes {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(b)))
		dst = append(dst, b...)
	}
	return dst
}

// checkFinite returns an error if a value is not finite, because the answer would look valid.
func (t *Tensor) checkFinite() error {
	for i, v := range t.Floats {
		if v-v != 0 { // NaN or infinite
			return Faultf(Invalid, "input %q: element %d is %v, expected a finite number", t.Name, i, v)
		}
	}
	return nil
}
