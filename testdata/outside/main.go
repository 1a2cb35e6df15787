// Command outside is a program of another module: it trains, evaluates, compares, sweeps, predicts and serves with what melo
// exports. Its arguments are a folder to work in and the path of a base.
package main

import (
	"bytes"
	"context"
	"errors"
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
	"melo.example/melo/imaging"
	"melo.example/melo/report/study"
	"melo.example/melo/serve"
	"melo.example/melo/train"
)

// classes of the pictures, by how bright their middle is.
var classes = []string{"dark", "light"}

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir, path string) error {
	data := melo.Data{Path: filepath.Join(dir, "pictures")}
	if err := draw(data.Path, 30); err != nil {
		return err
	}
	base, err := melo.Open(path)
	if err != nil {
		return err
	}
	defer base.Close()

	// A training is stopped, and goes on where it was.
	recipe := melo.Recipe{Method: melo.LowRank, Rank: 2, Epochs: 3, Batch: 8, Out: filepath.Join(dir, "adapters", "brightness.safetensors")}
	if err := os.MkdirAll(filepath.Dir(recipe.Out), 0o777); err != nil {
		return err
	}
	stopping, stop := context.WithCancel(ctx)
	recipe.Progress = func(e melo.Event) {
		if ended, ok := e.(experiment.EpochEnded); ok && ended.Epoch.Epoch == 1 {
			stop()
		}
	}
	if _, err := base.Train(stopping, data, recipe); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("a stopped training: %w", err)
	}
	resumed := false
	recipe.Progress = func(e melo.Event) {
		if r, ok := e.(experiment.Resumed); ok {
			resumed = r.Found
		}
	}
	run, err := base.Train(ctx, data, recipe)
	if err != nil {
		return err
	}
	fmt.Println("resumed:", resumed, "epochs:", run.Result.Epochs, "validation AUC:", run.Result.Validation.Scores[train.AUC] > 0.5)

	ev, err := base.Evaluate(ctx, run.Adapter, data)
	if err != nil {
		return err
	}
	defer ev.Close()
	fmt.Println("test images:", ev.N, "AUC:", *ev.AUC > 0.5, "same data:", ev.Data.Training)
	page, err := study.Evaluation(ctx, ev, study.Options{Pictures: 2, Maps: 2})
	if err != nil {
		return err
	}
	var html bytes.Buffer
	if err := page.Write(&html); err != nil {
		return err
	}
	fmt.Println("report:", html.Len() > 10_000)

	plan := melo.Plan{Methods: []melo.Method{melo.LowRank, melo.Linear}, Seeds: 2, Resamples: 100, Folder: filepath.Join(dir, "comparison"),
		Recipe: melo.Recipe{Epochs: 1, Batch: 8}}
	cmp, err := melo.Compare(ctx, base, data, plan)
	if err != nil {
		return err
	}
	defer cmp.Close()
	fmt.Println("compared:", cmp.Differences[0].First, "and", cmp.Differences[0].Second, "runs:", len(cmp.Methods[0].Runs))

	best, err := melo.Sweep(ctx, base, data, melo.SweepPlan{Try: []string{"rank=1/2"}, Grid: true, Folder: filepath.Join(dir, "sweep"),
		Recipe: melo.Recipe{Epochs: 1, Batch: 8}})
	if err != nil {
		return err
	}
	fmt.Println("candidates:", len(best.Results), "tried:", best.Tried[0].Name)

	// A custom model can be trained, too: its parameters are public.
	var model train.Model
	_ = model

	return serving(ctx, path, filepath.Dir(recipe.Out), base, run.Adapter, data)
}

// serving asks a server, and an engine in this process, what the facade says.
func serving(ctx context.Context, path, adapters string, base *melo.Base, adapter *melo.Adapter, data melo.Data) error {
	file := filepath.Join(data.Path, classes[1], "000.png")
	img, err := imaging.DecodeFile(file)
	if err != nil {
		return err
	}
	want, err := base.Predict(ctx, adapter, img)
	if err != nil {
		return err
	}
	fmt.Println("facade:", want[0].Label)

	engine, err := serve.Open(ctx, serve.Config{Base: path, Adapters: adapters})
	if err != nil {
		return err
	}
	answers, errs := engine.Predict(ctx, serve.Request{Name: "brightness", Input: serve.Input{Image: img}})
	if err := errors.Join(append(errs, engine.Close())...); err != nil {
		return err
	}
	fmt.Println("engine:", answers[0].Label, answers[0].Probability == want[0].Probability)

	serving, stop := context.WithCancel(ctx)
	defer stop()
	done, at := make(chan error, 1), make(chan string, 1)
	go func() {
		done <- melo.Serve(serving, melo.ServeConfig{Base: path, Adapters: adapters, HTTP: "127.0.0.1:0", Ready: func(http, _ string) { at <- http }})
	}()
	select {
	case err := <-done:
		return fmt.Errorf("the server ended: %w", err)
	case address := <-at:
		c, err := client.New(client.Options{Server: "http://" + address})
		if err != nil {
			return err
		}
		bytes, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		got, err := c.Predict(ctx, client.Question{Adapter: "brightness"}, bytes)
		if err != nil {
			return err
		}
		fmt.Println("server:", got.Label)
	}
	stop()
	return <-done
}

// draw writes n pictures of each class.
func draw(dir string, n int) error {
	for class, name := range classes {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o777); err != nil {
			return err
		}
		for i := range n {
			m := image.NewGray(image.Rect(0, 0, 20, 20))
			for y := range 20 {
				for x := range 20 {
					v := 40 + (x*7+y*11+i*13)%60
					if x > 5 && x < 15 && y > 5 && y < 15 {
						v += class * 100
					}
					m.SetGray(x, y, color.Gray{Y: uint8(v)})
				}
			}
			var text bytes.Buffer
			if err := png.Encode(&text, m); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name, fmt.Sprintf("%03d.png", i)), text.Bytes(), 0o666); err != nil {
				return err
			}
		}
	}
	return nil
}
