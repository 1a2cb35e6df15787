package golden

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"
)

type file struct {
	tensors map[string]Tensor
	meta    map[string]string
}

type entry struct {
	DType   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}

func read(t testing.TB, path string) file {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := decode(raw)
	if err != nil {
		t.Fatalf("golden: %s: %v", path, err)
	}
	return f
}

// decode reads F32 and I64 tensors: 8 bytes of header length, a JSON header, then the data.
func decode(raw []byte) (file, error) {
	f := file{tensors: map[string]Tensor{}}
	if len(raw) < 8 || binary.LittleEndian.Uint64(raw) > uint64(len(raw)-8) {
		return f, fmt.Errorf("header does not fit into %d bytes", len(raw))
	}
	end := 8 + int(binary.LittleEndian.Uint64(raw))
	var header map[string]json.RawMessage
	if err := json.Unmarshal(raw[8:end], &header); err != nil {
		return f, err
	}
	for name, doc := range header {
		if name == "__metadata__" {
			if err := json.Unmarshal(doc, &f.meta); err != nil {
				return f, err
			}
			continue
		}
		var e entry
		if err := json.Unmarshal(doc, &e); err != nil {
			return f, fmt.Errorf("%s: %w", name, err)
		}
		x, err := e.tensor(raw[end:])
		if err != nil {
			return f, fmt.Errorf("%s: %w", name, err)
		}
		f.tensors[name] = x
	}
	return f, nil
}

func (e entry) tensor(data []byte) (Tensor, error) {
	lo, hi := e.Offsets[0], e.Offsets[1]
	if lo < 0 || hi < lo || hi > len(data) {
		return Tensor{}, fmt.Errorf("offsets %v outside of %d bytes", e.Offsets, len(data))
	}
	data = data[lo:hi]
	n, width := 1, map[string]int{"F32": 4, "I64": 8}[e.DType]
	for _, d := range e.Shape {
		n *= d
	}
	if width == 0 || n*width != len(data) {
		return Tensor{}, fmt.Errorf("%s %v in %d bytes", e.DType, e.Shape, len(data))
	}
	x := Tensor{Shape: e.Shape}
	if e.DType == "I64" {
		x.Ints = make([]int64, n)
		for i := range x.Ints {
			x.Ints[i] = int64(binary.LittleEndian.Uint64(data[8*i:]))
		}
		return x, nil
	}
	x.Data = make([]float32, n)
	for i := range x.Data {
		x.Data[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return x, nil
}
