package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"unicode/utf8"
	"unsafe"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/bf16"
)

// TensorData is a tensor to be written. Data is row-major and little-endian.
type TensorData struct {
	Name  string
	DType DType
	Shape []int
	Data  []byte
	// Fill, if set, replaces Data: whenever the tensor is written it calls use once with the data, which need
	// not remain valid afterwards. So a file larger than memory can be written.
	Fill func(use func(data []byte) error) error
}

// size returns the bytes of a tensor that has passed check.
func (t *TensorData) size() int {
	n := t.DType.Size()
	for _, v := range t.Shape {
		n *= v
	}
	return n
}

// writeTo writes the data.
func (t *TensorData) writeTo(w io.Writer) error {
	use := func(data []byte) error {
		if len(data) != t.size() {
			return fmt.Errorf("tensor %s: %d bytes, expected %d", quote(t.Name), len(data), t.size())
		}
		_, err := w.Write(data)
		return err
	}
	if t.Fill != nil {
		return t.Fill(use)
	}
	return use(t.Data)
}

// FromFloat32s makes a tensor of dtype F32, F16 or BF16 (rounded to nearest even) from values. With F32 on a
// little-endian host the result shares memory with values.
func FromFloat32s(name string, dtype DType, shape []int, values []float32) (TensorData, error) {
	t := TensorData{Name: name, DType: dtype, Shape: shape}
	switch dtype {
	case F32:
		if littleEndian {
			t.Data = unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*len(values))
			break
		}
		t.Data = make([]byte, 4*len(values))
		_, _ = binary.Encode(t.Data, binary.LittleEndian, values) // cannot fail: the sizes match
	case F16, BF16:
		narrow := bf16.Round
		if dtype == F16 {
			narrow = Float32ToF16
		}
		t.Data = make([]byte, 2*len(values))
		for i, v := range values {
			binary.LittleEndian.PutUint16(t.Data[2*i:], narrow(v))
		}
	default:
		return TensorData{}, fmt.Errorf("safetensors: tensor %s: cannot encode as %s, expected F32, F16 or BF16", quote(name), dtype)
	}
	return t, t.check()
}

// check compares shape and data length.
func (t *TensorData) check() error {
	shape := make([]uint64, len(t.Shape))
	for i, v := range t.Shape {
		shape[i] = uint64(v) // a negative size becomes too large, which is an error
	}
	want, ok := byteSize(t.DType, shape)
	switch {
	case t.Name == metadataKey || !utf8.ValidString(t.Name):
		return fmt.Errorf("safetensors: tensor %s: not a possible name", quote(t.Name))
	case t.DType.Size() == 0:
		return fmt.Errorf("safetensors: tensor %s: dtype %s is not supported", quote(t.Name), quote(string(t.DType)))
	case !ok || len(shape) > maxRank || t.Fill == nil && want != uint64(len(t.Data)) || int64(want) < 0:
		return fmt.Errorf("safetensors: tensor %s: shape %d of %s needs %d bytes, got %d", quote(t.Name), t.Shape, t.DType, want, len(t.Data))
	}
	return nil
}

// Write writes a file. The bytes depend only on the tensors and the metadata, not on the order of tensors: they
// are sorted by element size, largest first, so that each is aligned, and then by name. metadata may be nil.
func Write(w io.Writer, tensors []TensorData, metadata map[string]string) error {
	return write(w, tensors, metadata, 8)
}

func write(w io.Writer, tensors []TensorData, metadata map[string]string, align int) error {
	sorted := slices.Clone(tensors)
	slices.SortFunc(sorted, func(a, b TensorData) int {
		return cmp.Or(cmp.Compare(b.DType.Size(), a.DType.Size()), cmp.Compare(a.Name, b.Name))
	})
	header, err := encodeHeader(sorted, metadata, align)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("safetensors: write: %w", err)
	}
	for _, t := range sorted {
		if err := t.writeTo(w); err != nil {
			return fmt.Errorf("safetensors: write: %w", err)
		}
	}
	return nil
}

// WriteFile is Write to the file at path, which is replaced atomically.
func WriteFile(path string, perm fs.FileMode, tensors []TensorData, metadata map[string]string) error {
	return atomicfile.Write(path, perm, func(w io.Writer) error { return Write(w, tensors, metadata) })
}

// WriteAligned is WriteFile with the tensor data starting at a multiple of align bytes. align must be a
// multiple of 8.
func WriteAligned(path string, perm fs.FileMode, tensors []TensorData, metadata map[string]string, align int) error {
	return atomicfile.Write(path, perm, func(w io.Writer) error { return write(w, tensors, metadata, align) })
}

// encodeHeader returns the length and the JSON, padded with spaces so that the data starts at a multiple of
// align bytes.
func encodeHeader(tensors []TensorData, metadata map[string]string, align int) ([]byte, error) {
	type jsonEntry struct {
		DType   DType  `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	b := bytes.NewBuffer(make([]byte, 8, 8+128*len(tensors)))
	field := func(name string, value any) error {
		sep := byte(',')
		if b.Len() == 8 {
			sep = '{'
		}
		b.WriteByte(sep)
		if err := appendJSON(b, name); err != nil {
			return err
		}
		b.WriteByte(':')
		return appendJSON(b, value)
	}
	if metadata != nil {
		for key, value := range metadata {
			if !utf8.ValidString(key) || !utf8.ValidString(value) {
				return nil, fmt.Errorf("safetensors: metadata %s is not UTF-8", quote(key))
			}
		}
		if err := field(metadataKey, metadata); err != nil {
			return nil, err
		}
	}
	seen := make(map[string]bool, len(tensors))
	at := 0
	for _, t := range tensors {
		if err := t.check(); err != nil {
			return nil, err
		}
		if seen[t.Name] {
			return nil, fmt.Errorf("safetensors: tensor %s: appears twice", quote(t.Name))
		}
		seen[t.Name] = true
		shape := append([]int{}, t.Shape...) // a scalar is [], not null
		if err := field(t.Name, jsonEntry{t.DType, shape, [2]int{at, at + t.size()}}); err != nil {
			return nil, err
		}
		at += t.size()
	}
	if b.Len() == 8 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	for b.Len()%align != 0 {
		b.WriteByte(' ')
	}
	header := b.Bytes()
	if len(header)-8 > MaxHeader {
		return nil, fmt.Errorf("safetensors: header of %d bytes, at most %d are allowed", len(header)-8, MaxHeader)
	}
	binary.LittleEndian.PutUint64(header, uint64(len(header)-8))
	return header, nil
}

// appendJSON writes value without HTML escapes and without a newline; map keys are sorted.
func appendJSON(b *bytes.Buffer, value any) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return fmt.Errorf("safetensors: header: %w", err)
	}
	b.Truncate(b.Len() - 1)
	return nil
}
