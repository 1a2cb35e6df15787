package onnx

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/internal/golden"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/checkpoint"

	"google.golang.org/protobuf/encoding/protowire"
)

// TestGolden: every golden base, written and read back by an interpreter of the operators that are used, computes what
// PyTorch computed; in one file and in two, to the same bits.
func TestGolden(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join(golden.Root(t), "*", "golden.safetensors"))
	if err != nil || len(folders) < 30 {
		t.Fatalf("%d folders, %v", len(folders), err)
	}
	seen := 0
	for _, path := range folders {
		dir := filepath.Dir(path)
		if _, err := os.Stat(filepath.Join(dir, "model.safetensors")); err != nil {
			continue
		}
		f, err := safetensors.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		input, ok := f.Tensor("input")
		if !ok {
			continue
		}
		seen++
		t.Run(filepath.Base(dir), func(t *testing.T) {
			c, err := checkpoint.Open(dir, checkpoint.Options{Image: input.Shape[3]})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			m := &Model{Config: c.Config, Exclusive: true, Read: func(name string) ([]float32, error) { return c.Read(name, nil) }}
			m.Config.Projected = 0
			whole, begin, rest := encode(t, m)
			x := tensorOf(t, input)
			got := run(t, whole, nil, x)
			for name, to := range map[string]string{"features": "tap.pooled", "logits": "logits"} {
				w, ok := f.Tensor(to)
				if !ok || len(w.Shape) != 2 || got[name].size() != w.Len() {
					continue
				}
				// 1e-5: float32 through a few blocks, in the order of sums of a plain loop
				if d := distance(got[name].x, tensorOf(t, w).x); !(d <= 1e-5) {
					t.Errorf("%s: off by %g", name, d)
				}
			}
			again := run(t, begin, rest, x)
			for name, v := range got {
				if distance(again[name].x, v.x) != 0 {
					t.Errorf("%s: other numbers from two files", name)
				}
			}
		})
	}
	if seen < 30 {
		t.Errorf("%d bases", seen)
	}
}

// TestMirror: the logits are the mean of those of the image and of its mirror image, the features those of the image.
func TestMirror(t *testing.T) {
	c, err := checkpoint.Open(filepath.Join(golden.Root(t), "timm_vit"), checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := &Model{Config: c.Config, Read: func(name string) ([]float32, error) { return c.Read(name, nil) }}
	plain, _, _ := encode(t, m)
	m.Mirror, m.Temperatures = true, []float64{1, 2, 3, 4, 0}
	mirrored, _, _ := encode(t, m)
	s := c.Image
	x, flipped := zeros(2, 3, s, s), zeros(2, 3, s, s)
	for i := range x.x {
		x.x[i] = math.Sin(float64(i) * 0.7)
	}
	for r := range 2 * 3 * s {
		for i := range s {
			flipped.x[r*s+i] = x.x[r*s+s-1-i]
		}
	}
	a, b, got := run(t, plain, nil, x), run(t, plain, nil, flipped), run(t, mirrored, nil, x)
	if distance(got["features"].x, a["features"].x) > 1e-6 {
		t.Error("other features")
	}
	for i, v := range got["logits"].x {
		want := (a["logits"].x[i] + b["logits"].x[i]) / 2
		if math.Abs(v-want) > 1e-6 {
			t.Errorf("logit %d: %g, expected %g", i, v, want)
		}
		temperature := []float64{1, 2, 3, 4, 1}[i%5]
		if p := 1 / (1 + math.Exp(-want/temperature)); math.Abs(got["probabilities"].x[i]-p) > 1e-6 {
			t.Errorf("probability %d: %g, expected %g", i, got["probabilities"].x[i], p)
		}
	}
}

// TestOneHead: an adapter's head on a network with two heads sees the features of both tokens.
func TestOneHead(t *testing.T) {
	c, err := checkpoint.Open(filepath.Join(golden.Root(t), "timm_deit_distilled"), checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	head := map[string][]float32{"head.weight": make([]float32, 3*2*c.Width), "head.bias": {1, 2, 3}}
	for i := range head["head.weight"] {
		head["head.weight"][i] = float32(math.Cos(float64(i)))
	}
	m := &Model{Config: c.Config, OneHead: true, Read: func(name string) ([]float32, error) {
		if v := head[name]; v != nil {
			return v, nil
		}
		return c.Read(name, nil)
	}}
	m.Config.Classes = 3
	whole, _, _ := encode(t, m)
	x := zeros(1, 3, c.Image, c.Image)
	for i := range x.x {
		x.x[i] = math.Sin(float64(i) * 0.3)
	}
	got := run(t, whole, nil, x)
	for k := range 3 {
		want := float64(head["head.bias"][k])
		for i, v := range got["features"].x {
			want += v * float64(head["head.weight"][k*2*c.Width+i])
		}
		if math.Abs(got["logits"].x[k]-want) > 1e-5 {
			t.Errorf("logit %d: %g, expected %g", k, got["logits"].x[k], want)
		}
	}
}

// TestRefused: what cannot be written is an error.
func TestRefused(t *testing.T) {
	c, err := checkpoint.Open(filepath.Join(golden.Root(t), "timm_vit"), checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := &Model{Config: c.Config, Read: func(string) ([]float32, error) { return make([]float32, 3), nil }}
	if err := m.Write(new(bytes.Buffer), nil, ""); err == nil || !strings.Contains(err.Error(), "numbers, expected") {
		t.Errorf("numbers that do not fit: %v", err)
	}
	m.Config.Width, m.Config.MLP, m.Config.Heads, m.Config.Depth = 4096, 16384, 32, 32
	if err := m.Write(new(bytes.Buffer), nil, ""); err == nil || !strings.Contains(err.Error(), "one file") {
		t.Errorf("more than a file holds: %v", err)
	}
	if err := m.Write(new(bytes.Buffer), new(bytes.Buffer), ""); err == nil {
		t.Error("a file without a name")
	}
	m.Config.Pooling = 4 // all tokens: an objective's, not a model's
	if _, err := m.Size(); err == nil {
		t.Error("a pooling that is not written")
	}
}

// encode writes a model in one file, and in two.
func encode(t *testing.T, m *Model) (whole, begin, rest []byte) {
	m.Producer, m.Version, m.Metadata = "melo", "test", map[string]string{"melo.recipe": "{}"}
	var a, b, data bytes.Buffer
	if err := m.Write(&a, nil, ""); err != nil {
		t.Fatal(err)
	}
	if err := m.Write(&b, &data, "x.data"); err != nil {
		t.Fatal(err)
	}
	size, err := m.Size()
	if err != nil || int64(a.Len()) < size || data.Len() == 0 {
		t.Fatalf("%d bytes, %d beside, of %d numbers, %v", a.Len(), data.Len(), size, err)
	}
	return a.Bytes(), b.Bytes(), data.Bytes()
}

func tensorOf(t *testing.T, x safetensors.Tensor) *tensor {
	v, err := x.Float32s(nil)
	if err != nil {
		t.Fatal(err)
	}
	y := zeros(x.Shape...)
	for i, f := range v {
		y.x[i] = float64(f)
	}
	return y
}

// distance is the greatest difference over the greatest number.
func distance(got, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	worst, size := 0.0, 1e-30
	for i, w := range want {
		worst, size = max(worst, math.Abs(got[i]-w)), max(size, math.Abs(w))
	}
	return worst / size
}

// fields calls do with every field of a message.
func fields(t *testing.T, b []byte, do func(field protowire.Number, number uint64, bytes []byte)) {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		b = b[n:]
		switch kind {
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			b = b[n:]
			do(field, v, nil)
		case protowire.Fixed32Type:
			v, n := protowire.ConsumeFixed32(b)
			b = b[n:]
			do(field, uint64(v), nil)
		default:
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				t.Fatal(protowire.ParseError(n))
			}
			b = b[n:]
			do(field, 0, v)
		}
	}
}

// constantOf reads a TensorProto.
func constantOf(t *testing.T, b, data []byte) (string, *tensor) {
	var dims []int
	var name, location string
	var raw []byte
	kind, offset, length := 0, 0, 0
	fields(t, b, func(field protowire.Number, v uint64, text []byte) {
		switch field {
		case 1:
			dims = append(dims, int(v))
		case 2:
			kind = int(v)
		case 8:
			name = string(text)
		case 9:
			raw = text
		case 13:
			key, value := "", ""
			fields(t, text, func(field protowire.Number, _ uint64, text []byte) {
				if field == 1 {
					key = string(text)
				} else {
					value = string(text)
				}
			})
			switch key {
			case "location":
				location = value
			case "offset":
				offset = atoi(t, value)
			case "length":
				length = atoi(t, value)
			}
		}
	})
	if location != "" {
		if location != "x.data" || offset%4096 != 0 {
			t.Fatalf("%s: at %d of %q", name, offset, location)
		}
		raw = data[offset : offset+length]
	}
	x := zeros(dims...)
	for i := range x.x {
		if kind == typeInt64 {
			x.x[i] = float64(int64(binary.LittleEndian.Uint64(raw[8*i:])))
		} else {
			x.x[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])))
		}
	}
	return name, x
}
