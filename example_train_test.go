package melo_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log"
	"os"
	"path/filepath"

	"melo.example/melo"
	"melo.example/melo/client"
	"melo.example/melo/experiment"
	"melo.example/melo/lora/adapterfile"
)

// ExampleOpen opens a base: a folder, a file, or "embedded", the small base that is part of the program.
func ExampleOpen() {
	base, err := melo.Open("testdata/golden/hf_vit")
	if err != nil {
		log.Fatal(err)
	}
	defer base.Close()
	m := base.Model()
	fmt.Printf("%d blocks of width %d, %d pixels\n", m.Depth, m.Width, m.Image)
	// Output: 3 blocks of width 32, 16 pixels
}

// A training is one call. The same call goes on after an interrupted one.
func ExampleBase_Train() {
	dir := pictures()
	defer os.RemoveAll(dir)
	base, err := melo.Open("testdata/golden/hf_vit")
	if err != nil {
		log.Fatal(err)
	}
	defer base.Close()

	epochs := 0
	run, err := base.Train(context.Background(), melo.Data{Path: filepath.Join(dir, "pictures")}, melo.Recipe{
		Method: melo.LowRank, Rank: 2, Epochs: 2, Batch: 8, Out: filepath.Join(dir, "brightness.safetensors"),
		Progress: func(e melo.Event) {
			if _, ok := e.(experiment.EpochEnded); ok {
				epochs++
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d epochs, labels %v, %d parameters\n", epochs, run.Adapter.Labels(), run.Result.Params.Trained)
	// Output: 2 epochs, labels [dark light], 768 parameters
}

// An evaluation has intervals; the images for testing are those that the training has not seen.
func ExampleBase_Evaluate() {
	dir := pictures()
	defer os.RemoveAll(dir)
	base, adapter, data := trained(dir)
	defer base.Close()
	ev, err := base.Evaluate(context.Background(), adapter, data)
	if err != nil {
		log.Fatal(err)
	}
	defer ev.Close()
	fmt.Printf("%d images of the data that it was trained on: %v, an interval: %v\n", ev.N, ev.Data.Training, ev.AUCInterval != nil)
	// Output: 9 images of the data that it was trained on: true, an interval: true
}

// A comparison trains every method on the same split, and measures the differences on the test images.
func ExampleCompare() {
	dir := pictures()
	defer os.RemoveAll(dir)
	base, err := melo.Open("testdata/golden/hf_vit")
	if err != nil {
		log.Fatal(err)
	}
	defer base.Close()
	c, err := melo.Compare(context.Background(), base, melo.Data{Path: filepath.Join(dir, "pictures")}, melo.Plan{
		Methods: []melo.Method{melo.LowRank, melo.Linear}, Seeds: 2, Resamples: 100, Folder: filepath.Join(dir, "comparison"),
		Recipe: melo.Recipe{Epochs: 1, Batch: 8},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for _, m := range c.Methods {
		fmt.Printf("%s: %d runs\n", m.Method, len(m.Runs))
	}
	d := c.Differences[0]
	fmt.Printf("%s less %s: a p-value between 0 and 1: %v\n", d.First, d.Second, *d.AUC.P > 0 && *d.AUC.P <= 1)
	// Output:
	// melo: 2 runs
	// linear: 2 runs
	// melo less linear: a p-value between 0 and 1: true
}

// A server answers until its context ends. Clients are any that speak the Open Inference Protocol, or package client.
func ExampleServe() {
	dir := pictures()
	defer os.RemoveAll(dir)
	base, adapter, _ := trained(dir)
	defer base.Close()

	ctx, stop := context.WithCancel(context.Background())
	at, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- melo.Serve(ctx, melo.ServeConfig{Base: base.Path(), Adapters: filepath.Dir(adapter.Path()), HTTP: "127.0.0.1:0",
			Ready: func(http, _ string) { at <- http }})
	}()
	c, err := client.New(client.Options{Server: "http://" + <-at})
	if err != nil {
		log.Fatal(err)
	}
	scan, err := os.ReadFile(filepath.Join(dir, "pictures", "light", "00.png"))
	if err != nil {
		log.Fatal(err)
	}
	answer, err := c.Predict(ctx, client.Question{Adapter: "brightness"}, scan)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Adapter.Name, answer.Labels)
	stop()
	if err := <-done; err != nil {
		log.Fatal(err)
	}
	// Output: brightness [dark light]
}

// An adapter is written as a PEFT folder, and read back.
func Example_convert() {
	dir := pictures()
	defer os.RemoveAll(dir)
	base, adapter, _ := trained(dir)
	defer base.Close()
	f, err := adapterfile.Read(adapter.Path())
	if err != nil {
		log.Fatal(err)
	}
	peft := filepath.Join(dir, "peft")
	if err := f.WritePEFT(peft, adapterfile.PEFTOptions{}); err != nil {
		log.Fatal(err)
	}
	back, err := adapterfile.ReadPEFT(peft, adapterfile.Import{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(back.Adapter.Deltas) == len(f.Adapter.Deltas))
	// Output: true
}

// trained is a base, and an adapter in dir that was trained for an epoch.
func trained(dir string) (*melo.Base, *melo.Adapter, melo.Data) {
	base, err := melo.Open("testdata/golden/hf_vit")
	if err != nil {
		log.Fatal(err)
	}
	data := melo.Data{Path: filepath.Join(dir, "pictures")}
	out := filepath.Join(dir, "adapters", "brightness.safetensors")
	if err := os.MkdirAll(filepath.Dir(out), 0o777); err != nil {
		log.Fatal(err)
	}
	run, err := base.Train(context.Background(), data, melo.Recipe{Rank: 2, Epochs: 1, Batch: 8, Out: out})
	if err != nil {
		log.Fatal(err)
	}
	return base, run.Adapter, data
}

// pictures makes a folder with small pictures of two classes.
func pictures() string {
	dir, err := os.MkdirTemp("", "melo-example-")
	if err != nil {
		log.Fatal(err)
	}
	for class, name := range []string{"dark", "light"} {
		folder := filepath.Join(dir, "pictures", name)
		if err := os.MkdirAll(folder, 0o777); err != nil {
			log.Fatal(err)
		}
		for i := range 30 {
			m := image.NewGray(image.Rect(0, 0, 20, 20))
			for at := range m.Pix {
				m.SetGray(at%20, at/20, color.Gray{Y: uint8(40 + at*(i+3)%60 + 100*class)})
			}
			f, err := os.Create(filepath.Join(folder, fmt.Sprintf("%02d.png", i)))
			if err != nil {
				log.Fatal(err)
			}
			if err := png.Encode(f, m); err != nil {
				log.Fatal(err)
			}
			if err := f.Close(); err != nil {
				log.Fatal(err)
			}
		}
	}
	return dir
}
