package processor

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"melo.example/melo/imaging"
)

// goldenCase is one description, and what the library makes of some images (tools/golden_imaging/processors.py).
type goldenCase struct {
	ModelType string            `json:"model_type"`
	Files     map[string]string `json:"files"`
	Timm      *TimmConfig       `json:"timm"`
	OpenCLIP  json.RawMessage   `json:"open_clip"`
	Side      int               `json:"side"`
	Images    []struct {
		W, H, Side     int
		Square         bool
		SHA256, Values string
	}
}

func (c *goldenCase) recipe() (imaging.Recipe, error) {
	switch {
	case c.Timm != nil:
		return c.Timm.Recipe()
	case c.OpenCLIP != nil:
		return OpenCLIP(c.OpenCLIP, c.Side)
	}
	text := func(name string) []byte {
		if s, ok := c.Files[name]; ok {
			return []byte(s)
		}
		return nil
	}
	r, given, err := Transformers(c.ModelType, text(PreprocessorName), text(ProcessorName))
	if err == nil && !given {
		err = fmt.Errorf("not given")
	}
	if r.Size == 0 {
		r.Size = 33 // as the model's config would say
	}
	return r, err
}

// pattern is the formula of the generator.
func pattern(w, h int) *imaging.Image {
	m := &imaging.Image{W: w, H: h, C: 3, Bits: 8}
	state := uint32(w*1000 + h)
	for y := range h {
		for x := range w {
			for ch := range 3 {
				state = state*1664525 + 1013904223
				v := int(state >> 24)
				if (x/5+y/3)%2 == 0 {
					v = (x*5 + y*(3+ch) + ch*40 + v/16) % 256
				}
				m.Pix8 = append(m.Pix8, uint8(v))
			}
		}
	}
	return m
}

// Every sample of every processor's picture is the library's own; where that does not round to bytes, within the
// rounding to 16 bits. What cannot become the model's square is refused.
func TestGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Cases []goldenCase }
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Cases) < 30 {
		t.Fatalf("%d cases", len(doc.Cases))
	}
	for i, c := range doc.Cases {
		r, err := c.recipe()
		if err != nil {
			t.Errorf("case %d, %s: %v", i, c.ModelType, err)
			continue
		}
		for _, m := range c.Images {
			what := fmt.Sprintf("case %d, %s%s, %d x %d, recipe %+v", i, c.ModelType, c.OpenCLIP, m.W, m.H, r)
			dst := make([]float32, r.Values())
			err := r.Apply(pattern(m.W, m.H), dst)
			if fits := m.Square && m.Side == r.Size; (err == nil) != fits {
				t.Errorf("%s: the library makes an input of side %d (square: %t); here: %v", what, m.Side, m.Square, err)
				continue
			}
			if err != nil {
				continue
			}
			if m.Values != "" {
				compareValues(t, what, dst, m.Values)
				continue
			}
			if got := samplesHash(r, dst); got != m.SHA256 {
				t.Errorf("%s: samples differ", what)
			}
		}
	}
}

// samplesHash undoes the normalisation, which gives the bytes again, and hashes them.
func samplesHash(r imaging.Recipe, dst []float32) string {
	bytes := make([]byte, len(dst))
	n := len(dst) / 3
	for i, v := range dst {
		c := i / n
		bytes[i] = uint8(math.Round((float64(v)*float64(r.Std[c]) + float64(r.Mean[c])) * 255))
	}
	sum := sha256.Sum256(bytes)
	return hex.EncodeToString(sum[:])
}

func compareValues(t *testing.T, what string, got []float32, values string) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(values)
	if err != nil || len(raw) != 4*len(got) {
		t.Fatalf("%s: %d bytes, %v", what, len(raw), err)
	}
	const tolerance = 1.5 / 65535 / 0.224 // two passes round to 16 bits, then the smallest deviation divides
	for i := range got {
		want := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		if math.Abs(float64(got[i]-want)) > tolerance {
			t.Errorf("%s: value %d is %v, expected %v", what, i, got[i], want)
			return
		}
	}
}
