package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/regular"
	"melo.example/melo/serve"
	"melo.example/melo/vit"
)

// mixedImages is how many images of each task are in the mixed batch.
const mixedImages = 4

// serve puts the adapters into one folder, loads all of them beside one resident base, and switches.
func (j *job) serve(ctx context.Context) error {
	j.note("serving: one resident base, %d adapters", len(j.tasks))
	if err := os.MkdirAll(j.adapters(), 0o777); err != nil {
		return err
	}
	for i, t := range j.tasks {
		text, err := regular.ReadFile(j.runs[i].Methods[0].Runs[0].Adapter.Path, 64<<20)
		if err != nil {
			return err
		}
		if err := atomicfile.Write(j.adapter(t), 0o666, func(w io.Writer) error { _, err := io.Copy(w, bytes.NewReader(text)); return err }); err != nil {
			return err
		}
	}
	engine, err := serve.Open(ctx, serve.Config{Base: j.o.Base, Adapters: j.adapters(), Precision: vit.F32, Workers: j.o.Workers,
		Batch: mixedImages * len(j.tasks)})
	if err != nil {
		return err
	}
	defer engine.Close()
	requests, err := j.requests(ctx)
	if err != nil {
		return err
	}
	if err := j.mixed(ctx, engine, requests); err != nil {
		return err
	}
	return j.switching(engine)
}

// requests asks each task's adapter about some of its test images, in turns.
func (j *job) requests(ctx context.Context) ([]serve.Request, error) {
	var list []serve.Request
	for k := range mixedImages {
		for i, t := range j.tasks {
			r := j.runs[i]
			img, err := r.Judgement.Image(ctx, k)
			if err != nil {
				return nil, err
			}
			list = append(list, serve.Request{Name: t.Name, Input: serve.Input{Image: img}})
		}
	}
	return list, nil
}

// mixed answers all requests at once and one by one, and compares the logits bit by bit.
func (j *job) mixed(ctx context.Context, engine *serve.Engine, requests []serve.Request) error {
	ask := func(r ...serve.Request) ([]serve.Answer, error) {
		answers, errs := engine.Predict(ctx, r...)
		return answers, errors.Join(errs...)
	}
	if _, err := ask(requests...); err != nil { // warm
		return err
	}
	start := time.Now()
	together, err := ask(requests...)
	if err != nil {
		return err
	}
	d := &j.doc.Serving
	d.Adapters, d.Images, d.MixedSeconds = len(j.tasks), len(requests), time.Since(start).Seconds()
	start = time.Now()
	for i, r := range requests {
		alone, err := ask(r)
		if err != nil {
			return err
		}
		if !sameBits(alone[0].Logits, together[i].Logits) {
			return fmt.Errorf("%s: an image in a mixed batch has other logits than by itself: %v and %v", r.Name, together[i].Logits, alone[0].Logits)
		}
	}
	d.SeparateSeconds, d.BitEqual = time.Since(start).Seconds(), true
	return nil
}

func sameBits(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}

// switching measures what a request for another adapter costs beyond its row of a batch.
func (j *job) switching(engine *serve.Engine) error {
	names := make([]string, 1<<15)
	for i := range names {
		names[i] = j.tasks[i%len(j.tasks)].Name
	}
	if err := engine.Switch(names); err != nil {
		return err
	}
	start := time.Now()
	if err := engine.Switch(names); err != nil {
		return err
	}
	j.doc.Serving.SwitchSeconds = time.Since(start).Seconds() / float64(len(names))
	return nil
}
