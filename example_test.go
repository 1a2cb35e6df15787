package melo_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"melo.example/melo"
	"melo.example/melo/imaging"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
)

// One resident base answers for two tasks, one call after the other; nothing is copied in between.
func Example() {
	base, err := melo.Open("testdata/golden/hf_vit")
	if err != nil {
		log.Fatal(err)
	}
	defer base.Close()

	scan := gradient(40, 30)
	files, remove := exampleAdapters(base)
	defer remove()
	for _, file := range files {
		task, err := base.Adapter(file)
		if err != nil {
			log.Fatal(err)
		}
		answers, err := base.Predict(context.Background(), task, scan)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %d probabilities for %v\n", filepath.Base(file), len(answers[0].Probabilities), task.Labels())
	}
	// Output:
	// tumour.safetensors: 3 probabilities for [benign malignant normal]
	// pneumonia.safetensors: 2 probabilities for [normal pneumonia]
}

// Without an adapter, the head that the base came with answers.
func ExampleBase_Predict() {
	base, err := melo.Open("testdata/golden/hf_vit", melo.Workers(1))
	if err != nil {
		log.Fatal(err)
	}
	defer base.Close()
	answers, err := base.Predict(context.Background(), nil, gradient(40, 30))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %.2f\n", answers[0].Label, answers[0].Probability)
	// Output: class 4 0.51
}

// gradient is a grey image that gets brighter to the lower right.
func gradient(w, h int) *imaging.Image {
	img := &imaging.Image{W: w, H: h, C: 1, Bits: 8, Pix8: make([]uint8, w*h)}
	for i := range img.Pix8 {
		img.Pix8[i] = uint8(i%w + i/w)
	}
	return img
}

// exampleAdapters writes two untrained adapters for the base.
func exampleAdapters(base *melo.Base) (paths []string, remove func()) {
	dir, err := os.MkdirTemp("", "melo-example-")
	if err != nil {
		log.Fatal(err)
	}
	digest, err := base.Digest()
	if err != nil {
		log.Fatal(err)
	}
	for _, task := range []struct {
		name   string
		labels []string
	}{
		{"tumour", []string{"benign", "malignant", "normal"}},
		{"pneumonia", []string{"normal", "pneumonia"}},
	} {
		a, err := lora.New(&base.Model().Config, lora.Config{}, len(task.labels), 1)
		if err != nil {
			log.Fatal(err)
		}
		f := &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{
			Base:   adapterfile.NewBase(&base.Model().Config, "example", base.Path(), digest),
			Method: lora.MeLo, Task: adapterfile.Multiclass, Labels: adapterfile.Labels(task.labels...),
		}}
		path := filepath.Join(dir, task.name+".safetensors")
		if err := f.Write(path, safetensors.F32); err != nil {
			log.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths, func() { os.RemoveAll(dir) }
}

// Which part of an image an answer rests on.
func ExampleAdapter_Explain() {
	base, err := melo.Open("testdata/golden/hf_vit", melo.Workers(1))
	if err != nil {
		log.Fatal(err)
	}
	defer base.Close()
	own, err := base.OwnHead()
	if err != nil {
		log.Fatal(err)
	}
	scan := gradient(400, 300)
	maps, err := own.Explain(context.Background(), melo.ExplainOptions{Method: "attribution"}, scan)
	if err != nil {
		log.Fatal(err)
	}
	x := maps[0]
	strongest := 0
	for i, v := range x.Map.Values {
		if v > x.Map.Values[strongest] {
			strongest = i
		}
	}
	fmt.Printf("%s %.2f: most in patch %d of %d\n", x.Label, x.Probability, strongest, len(x.Map.Values))
	if err := x.WritePNG(io.Discard); err != nil {
		log.Fatal(err)
	}
	// Output: class 4 0.58: most in patch 12 of 16
}
