package oip

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"testing"
	"unicode/utf8"
)

var small = NewCodec(Limits{Rows: 4}, 2)

// sound fails if a tensor that was accepted is not what its shape says, or is above the limits.
func sound(t *testing.T, in *Tensor) {
	t.Helper()
	n := int64(1)
	for _, d := range in.Shape {
		n *= d
	}
	found := int64(len(in.Floats))
	if in.Datatype == BYTES {
		found = int64(len(in.Bytes))
	}
	if found != n || isFloat(in.Datatype) && len(in.Floats) > 4*12 || len(in.Bytes) > 4 {
		t.Fatalf("%s %v: %d floats, %d elements of bytes", in.Datatype, in.Shape, len(in.Floats), len(in.Bytes))
	}
}

func FuzzInferBody(f *testing.F) {
	f.Add([]byte(`{"inputs":[{"name":"pixel_values","datatype":"FP32","shape":[1,3,2,2],"data":[[1,2,3],[4,5,6,7,8,9,-1e3,0,1,2]]}]}`), int64(-1))
	f.Add([]byte(`{"id":"1","parameters":{"timeout":5},"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":["YQ=="]}],"outputs":[{"name":"label","parameters":{"classification":2}}]}`), int64(-1))
	head := `{"inputs":[{"name":"image","datatype":"BYTES","shape":[2],"parameters":{"binary_data_size":9}}]}`
	f.Add(append([]byte(head), 1, 0, 0, 0, 'x', 0, 0, 0, 0), int64(len(head)))
	f.Add([]byte("\x89PNG"), int64(0))
	f.Add([]byte(`{"inputs":[{"shape":[9223372036854775807,9223372036854775807],"datatype":"FP32","data":null}]}`), int64(-1))
	f.Fuzz(func(t *testing.T, body []byte, header int64) {
		r, err := small.ParseJSON(body, header)
		if err != nil {
			if f := FaultOf(err); f.Kind == Internal {
				t.Fatalf("internal: %v", err)
			}
			return
		}
		for i := range r.Inputs {
			if header != 0 {
				sound(t, &r.Inputs[i])
			}
		}
	})
}

func FuzzTensorBytes(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 'x', 0, 0, 0, 0}, int64(2))
	f.Add([]byte{255, 255, 255, 255}, int64(1))
	f.Add([]byte{}, int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, raw []byte, n int64) {
		in := Tensor{Name: "image", Datatype: BYTES, Shape: []int64{n}}
		if in.setRaw(raw, 1<<20) != nil {
			return
		}
		if got := in.AppendRaw(nil); !bytes.Equal(got, raw) || int64(len(in.Bytes)) != n {
			t.Fatalf("%d elements become %x, were %x", len(in.Bytes), got, raw)
		}
	})
}

func FuzzTensorFloats(f *testing.F) {
	f.Add(binary.LittleEndian.AppendUint32(nil, 0x3f800000), int64(1), int64(1))
	f.Add([]byte{0, 0, 0, 0}, int64(1)<<62, int64(4))
	f.Fuzz(func(t *testing.T, raw []byte, a, b int64) {
		in := Tensor{Name: "pixel_values", Datatype: FP32, Shape: []int64{a, b}}
		if in.setRaw(raw, 1<<20) != nil {
			return
		}
		if got := in.AppendRaw(nil); !bytes.Equal(got, raw) || int64(len(in.Floats)) != a*b {
			t.Fatalf("%d elements become %x, were %x", len(in.Floats), got, raw)
		}
	})
}

func FuzzJSONNumbers(f *testing.F) {
	f.Add([]byte(`[1,-2.5,[3e2]]`))
	f.Add([]byte(`{"a":1}`))
	f.Add([]byte(`[1e39,nan]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) {
			return
		}
		for n := range 5 {
			list, err := jsonFloats("x", data, n)
			if err == nil && len(list) != n {
				t.Fatalf("%d numbers, asked for %d", len(list), n)
			}
			for _, v := range list {
				if v-v != 0 {
					t.Fatalf("%v is not finite", v)
				}
			}
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"parameters":{"config":"{}","file:1/model.safetensors":"AAAA"}}`))
	f.Add([]byte(`{"parameters":{"file:/x":5}}`))
	f.Add([]byte(`{"parameters":{"unload_dependents":true}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		files, err := small.ParseLoad(body)
		if err == nil {
			for key, data := range files {
				if len(data) > len(body) {
					t.Fatalf("%s: %d bytes of %d", key, len(data), len(body))
				}
				_, _ = fileVersion(key)
			}
		}
		_ = small.ParseUnload(body)
		_, _ = small.ParseIndex(body)
	})
}

// The walker of JSON finds what encoding/json finds.
func FuzzJSONFields(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"\"]}"}],"c" : {"d":[[],{}]} ,"e":null,"a":-1e3}`))
	f.Add([]byte(` {"":"\\", "\u0041":true} `))
	f.Add([]byte(`[{},{"x":[]}, "y]", 1.5 ,null]`))
	f.Add([]byte("{\"\xff\xff\":true}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := newJSON(data)
		var object map[string]json.RawMessage
		var list []json.RawMessage
		switch {
		case err != nil:
			if json.Valid(data) && utf8.Valid(data) {
				t.Fatal(err)
			}
		case v.is('{') && json.Unmarshal(data, &object) == nil:
			found := map[string]jsonValue{}
			fields, err := v.fields()
			if err != nil {
				t.Fatal(err)
			}
			for name, x := range fields {
				found[name] = x
			}
			if len(found) != len(object) {
				t.Fatalf("%q, want %q", found, object)
			}
			for name, want := range object {
				if got := found[name]; !bytes.Equal(got, want) && !(got == nil && string(want) == "null") {
					t.Fatalf("%q is %q, want %q", name, got, want)
				}
			}
		case v.is('[') && json.Unmarshal(data, &list) == nil:
			n := 0
			_ = v.each("x", func(x jsonValue) error {
				if !bytes.Equal(x, list[n]) {
					t.Fatalf("element %d is %q, want %q", n, x, list[n])
				}
				n++
				return nil
			})
			if n != len(list) {
				t.Fatalf("%d elements, want %d", n, len(list))
			}
		}
	})
}
