package bases

import (
	"encoding/json"
	"io/fs"
	"math"
	"testing"

	"melo.example/melo/vit"
)

// TestEmbedded: the base that is part of the program opens, and tells images apart.
func TestEmbedded(t *testing.T) {
	m, err := Open(Embedded, vit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Path != Embedded || m.Recipe.Size != m.Image {
		t.Errorf("path %q, recipe %+v, image %d", m.Path, m.Recipe, m.Image)
	}
	values := m.Recipe.Values()
	images := make([]float32, 2*values)
	for i := range values {
		images[i] = float32(math.Sin(float64(i) / 7))
		images[values+i] = float32(math.Sin(float64(i) / 11))
	}
	f := m.NewEngine(2).Features(images, 2)
	var size, apart float64
	for k := range m.Features() {
		a, b := float64(f[k]), float64(f[m.Features()+k])
		size, apart = size+a*a+b*b, apart+(a-b)*(a-b)
	}
	if !(size > 0) || !(apart > 1e-4*size) {
		t.Errorf("features of squared size %g lie %g apart", size, apart)
	}
	digest, err := Digest(nil, Embedded)
	if err != nil || len(digest) != len("sha256:")+64 {
		t.Errorf("digest %q, %v", digest, err)
	}
	if text, err := Licence(); err != nil || text == "" {
		t.Errorf("licence %q, %v", text, err)
	}
	if m, err = Open(Embedded, vit.Options{Image: 128}); err != nil || m.Image != 128 {
		t.Errorf("at another size: %v", err)
	}
}

// TestRecord: the weights are those that the record beside them tells of.
func TestRecord(t *testing.T) {
	text, err := fs.ReadFile(Files(), "pretrain.json")
	if err != nil {
		t.Fatal(err)
	}
	var record struct {
		Digest string
		Config struct{ Width, Depth, Image, Patch int }
		Epochs []struct{ Loss float64 }
	}
	if err := json.Unmarshal(text, &record); err != nil {
		t.Fatal(err)
	}
	digest, err := Digest(nil, Embedded)
	if err != nil || digest != record.Digest {
		t.Errorf("digest %s, the record has %s, %v", digest, record.Digest, err)
	}
	m, err := Open(Embedded, vit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c := record.Config; c.Width != m.Width || c.Depth != m.Depth || c.Image != m.Image || c.Patch != m.Patch {
		t.Errorf("the record has the shape %+v, the base %+v", c, m.Config)
	}
	if n := len(record.Epochs); n == 0 || !(record.Epochs[n-1].Loss < record.Epochs[0].Loss) {
		t.Errorf("epochs %+v", record.Epochs)
	}
}

func TestOpenPath(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir, vit.Options{}); err == nil {
		t.Error("an empty folder was opened")
	}
	if _, err := Digest(nil, dir); err == nil {
		t.Error("an empty folder has a digest")
	}
}
