package safetensors

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// raw assembles a file from a header text and data bytes, however wrong.
func raw(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	return append(b, make([]byte, data)...)
}

// one is the header of a single tensor.
func one(dtype, shape, offsets string) string {
	return fmt.Sprintf(`{"w":{"dtype":%s,"shape":%s,"data_offsets":%s}}`, dtype, shape, offsets)
}

const two = `{"a":{"dtype":"F32","shape":[2],"data_offsets":[%d,%d]},"b":{"dtype":"F32","shape":[2],"data_offsets":[%d,%d]}}`

var hostile = []struct {
	name string
	file []byte
	want string // part of the message
}{
	{"empty", nil, "0 bytes"},
	{"seven bytes", make([]byte, 7), "7 bytes"},
	{"header longer than file", binary.LittleEndian.AppendUint64(nil, 10), "only 0 bytes after it"},
	{"header beyond cap", append(binary.LittleEndian.AppendUint64(nil, 1<<40), '{'), "not a safetensors file: it begins with a header length of 1099511627776"},
	{"header length wraps", append(binary.LittleEndian.AppendUint64(nil, 1<<63), '{'), "header length"},
	{"empty header", raw("", 0), "start with"},
	{"leading space", raw(" {}", 0), "start with"},
	{"not an object", raw("[]", 0), "start with"},
	{"cut JSON", raw(`{"w":{"dtype":"F32"`, 0), "JSON"},
	{"JSON syntax", raw(`{"w" 1}`, 0), "JSON"},
	{"two documents", raw("{}{}", 0), "after the JSON"},
	{"NUL padding", raw("{}\x00\x00", 0), "after the JSON"},
	{"pointer of Git LFS", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"), "Git LFS"},
	{"not UTF-8", raw("{\"\xff\":1}", 0), "UTF-8"},
	{"tensor is a number", raw(`{"w":3}`, 0), `tensor "w"`},
	{"tensor is null", raw(`{"w":null}`, 0), `tensor "w"`},
	{"deep nesting", raw(`{"w":`+strings.Repeat("[", 100000)+strings.Repeat("]", 100000)+"}", 0), `tensor "w"`},
	{"duplicate tensor", raw(`{"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, 0), `"w" appears twice`},
	{"duplicate by escape", raw(`{"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\u0077":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, 0), `"w" appears twice`},
	{"duplicate field", raw(`{"w":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, 0), `"dtype" appears twice`},
	{"unknown field", raw(`{"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}}`, 0), `unknown field "x"`},
	{"missing field", raw(`{"w":{"dtype":"U8","shape":[0]}}`, 0), "expected dtype, shape and data_offsets"},
	{"unknown dtype", raw(one(`"F31"`, "[1]", "[0,4]"), 4), `dtype "F31"`},
	{"dtype is a number", raw(one(`4`, "[1]", "[0,4]"), 4), "expected a string"},
	{"negative shape", raw(one(`"F32"`, "[-1]", "[0,4]"), 4), `"-1"`},
	{"fractional shape", raw(one(`"F32"`, "[1.5]", "[0,4]"), 4), `"1.5"`},
	{"exponent in shape", raw(one(`"F32"`, "[1e0]", "[0,4]"), 4), `"1e0"`},
	{"string in shape", raw(one(`"F32"`, `["1"]`, "[0,4]"), 4), "expected an integer"},
	{"shape beyond 64 bits", raw(one(`"F32"`, "[18446744073709551616]", "[0,4]"), 4), `"18446744073709551616"`},
	{"shape product wraps", raw(one(`"F32"`, "[4294967296,4294967296,4]", "[0,0]"), 0), "too large"},
	{"shape product wraps with zero", raw(one(`"F32"`, "[18446744073709551615,0]", "[0,0]"), 0), "too large"},
	{"rank", raw(one(`"F32"`, "["+strings.Repeat("1,", 16)+"1]", "[0,4]"), 4), "more than 16"},
	{"shape against offsets", raw(one(`"F32"`, "[2]", "[0,4]"), 4), "needs 8 bytes"},
	{"one offset", raw(one(`"F32"`, "[1]", "[0]"), 4), "begin <= end"},
	{"three offsets", raw(one(`"F32"`, "[1]", "[0,4,8]"), 4), "more than 2"},
	{"offsets descend", raw(one(`"F32"`, "[1]", "[4,0]"), 4), "begin <= end"},
	{"negative offset", raw(one(`"F32"`, "[1]", "[-4,0]"), 4), `"-4"`},
	{"out of range", raw(one(`"F32"`, "[2]", "[0,8]"), 4), "beyond the 4 bytes"},
	{"far out of range", raw(one(`"F32"`, "[1]", "[18446744073709551611,18446744073709551615]"), 4), "beyond the 4 bytes"},
	{"hole at the start", raw(one(`"F32"`, "[1]", "[4,8]"), 8), "expected to begin at 0 (a hole)"},
	{"hole between", raw(fmt.Sprintf(two, 0, 8, 12, 20), 20), `tensor "b": data offsets [12, 20], expected to begin at 8`},
	{"overlap", raw(fmt.Sprintf(two, 0, 8, 4, 12), 12), `overlap those of "a", which end at 8`},
	{"same bytes twice", raw(fmt.Sprintf(two, 0, 8, 0, 8), 8), "overlap"},
	{"trailing bytes", raw(one(`"F32"`, "[1]", "[0,4]"), 5), "1 bytes after the last tensor"},
	{"data without tensors", raw("{}", 1), "1 bytes after the last tensor"},
	{"metadata value", raw(`{"__metadata__":{"a":1}}`, 0), `__metadata__: "a"`},
	{"metadata twice", raw(`{"__metadata__":{},"__metadata__":{}}`, 0), "appears twice"},
	{"metadata key twice", raw(`{"__metadata__":{"a":"","a":""}}`, 0), `"a" appears twice`},
}

func TestHostile(t *testing.T) {
	for _, c := range hostile {
		t.Run(c.name, func(t *testing.T) {
			f, err := Parse(c.file, "x.safetensors")
			if err == nil {
				t.Fatalf("accepted with tensors %v", f.Names())
			}
			for _, part := range []string{"safetensors: x.safetensors: ", c.want} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("message %q lacks %q", err, part)
				}
			}
			if len(err.Error()) > 500 {
				t.Errorf("message of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestParse(t *testing.T) {
	file := raw(`{"__metadata__":{"format":"pt"},`+
		`"b":{"dtype":"F32","shape":[1,2],"data_offsets":[6,14]},`+
		`"a":{"data_offsets":[0,6],"shape":[3],"dtype":"BF16"},`+
		`"none":{"dtype":"I64","shape":[4,0],"data_offsets":[6,6]}, "s":{"dtype":"U8","shape":[],"data_offsets":[14,15]}}   `, 15)
	copy(file[len(file)-15:], "abcdefghijklmno")
	f, err := Parse(file, "x")
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Names(); !slices.Equal(got, []string{"a", "b", "none", "s"}) {
		t.Errorf("names %v", got)
	}
	if f.Metadata()["format"] != "pt" {
		t.Errorf("metadata %v", f.Metadata())
	}
	for name, want := range map[string]string{"a": "abcdef", "b": "ghijklmn", "none": "", "s": "o"} {
		got, ok := f.Tensor(name)
		if !ok || string(got.Data) != want || cap(got.Data) != len(want) || got.File != "x" {
			t.Errorf("%s: %q, expected %q", name, got.Data, want)
		}
	}
	if s, _ := f.Tensor("s"); s.Len() != 1 || len(s.Shape) != 0 {
		t.Errorf("scalar has %d elements, shape %v", s.Len(), s.Shape)
	}
	if _, ok := f.Tensor("c"); ok {
		t.Error("found a tensor that is not there")
	}
}

// What parsing allocates is bounded by the size of the file, whatever the file claims. A header of many
// tiny entries is the worst case: some hundred bytes of bookkeeping for each 50 bytes of text.
func TestAllocationCeiling(t *testing.T) {
	var dense strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&dense, `,"%x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, i)
	}
	files := [][]byte{
		raw("{"+dense.String()[1:]+"}", 0),
		raw(one(`"F32"`, "[9007199254740992]", "[0,36028797018963968]"), 4),
		raw(`{"__metadata__":{"`+strings.Repeat("x", 1<<20)+`":""}}`, 0),
		raw(one(`"F32"`, "["+strings.Repeat("1,", 1<<20)+"1]", "[0,4]"), 4),
	}
	for _, c := range hostile {
		files = append(files, c.file)
	}
	for i, file := range files {
		if got, most := allocated(func() { Parse(file, "x") }), uint64(36*len(file)+16<<10); got > most { // 32, and some of the race detector's own
			t.Errorf("file %d of %d bytes: %d bytes allocated, expected at most %d", i, len(file), got, most)
		}
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "w.safetensors")
	values := []float32{1, -2, 3}
	td, err := FromFloat32s("w", F32, []int{3}, values)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, 0o644, []TensorData{td}, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	w, _ := f.Tensor("w")
	if view, ok := w.F32View(); littleEndian && (!ok || !slices.Equal(view, values)) {
		t.Errorf("view %v %v", view, ok)
	}
	if f.Path() != path || f.Metadata() != nil {
		t.Errorf("path %s, metadata %v", f.Path(), f.Metadata())
	}
	// A view survives replacement of the file.
	if err := WriteFile(path, 0o644, nil, nil); err != nil {
		t.Fatal(err)
	}
	if got, _ := w.Float32s(nil); !slices.Equal(got, values) {
		t.Errorf("after replacement %v", got)
	}
	if err := f.Close(); err != nil || f.Close() != nil {
		t.Error("close:", err)
	}
	for _, bad := range []string{dir, filepath.Join(dir, "none"), os.DevNull} {
		if _, err := Open(bad); err == nil || strings.Count(err.Error(), bad) != 1 {
			t.Errorf("error %v should name %s once", err, bad)
		}
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil {
		t.Error("empty file accepted")
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range hostile {
		f.Add(c.file)
	}
	f.Add(raw(fmt.Sprintf(two, 0, 8, 8, 16)+"  ", 16))
	f.Add(raw(`{"__metadata__":{"format":"pt"}}`, 0))
	f.Fuzz(func(t *testing.T, file []byte) {
		parsed, err := Parse(file, "x")
		if err != nil {
			return
		}
		total := 0
		var back []TensorData
		for _, name := range parsed.Names() {
			tensor, _ := parsed.Tensor(name)
			n := tensor.DType.Size()
			for _, d := range tensor.Shape {
				n *= d
			}
			if n != len(tensor.Data) {
				t.Fatalf("%q: shape %v of %s against %d bytes", name, tensor.Shape, tensor.DType, len(tensor.Data))
			}
			total += n
			tensor.Float32s(nil)
			back = append(back, TensorData{Name: name, DType: tensor.DType, Shape: tensor.Shape, Data: tensor.Data})
		}
		if total > len(file) {
			t.Fatalf("%d bytes of tensors in a file of %d", total, len(file))
		}
		roundTrip(t, back, parsed.Metadata())
	})
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":[1]},"weight_map":{"a":"b.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../b.safetensors"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		weights, err := parseIndex(text)
		if err == nil && len(weights) == 0 {
			t.Fatal("an index of nothing")
		}
		for _, name := range weights {
			if strings.ContainsAny(name, `/\`) {
				t.Fatalf("shard %q leaves the folder", name)
			}
		}
	})
}

// A forgotten tensor reads as before, whether its file is mapped or in memory.
func TestForget(t *testing.T) {
	values := make([]float32, 1<<15) // some pages
	for i := range values {
		values[i] = float32(i)
	}
	x, err := FromFloat32s("x", F32, []int{len(values)}, values)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := WriteFile(path, 0o644, []TensorData{x}, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	inMemory, err := Parse(data, path)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []*File{f, inMemory} {
		view, _ := file.Tensor("x")
		for range 2 {
			if got, err := view.Float32s(nil); err != nil || !slices.Equal(got, values) {
				t.Fatalf("values differ: %v", err)
			}
			view.Forget()
		}
	}
}
