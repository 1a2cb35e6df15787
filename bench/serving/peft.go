package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve"
)

// peftResult is one way to answer requests that each have their own adapter.
type peftResult struct {
	Way             string  `json:"way"`
	ImagesPerSecond float64 `json:"images_per_second"` // median of the rounds
	Ratio           float64 `json:"ratio"`             // of melo's rate in the same round to this, median
	SwitchSeconds   float64 `json:"switch_seconds"`    // of one switch by itself; 0 where it is part of the pass
	Failed          string  `json:"failed,omitempty"`
	rates           []float64
	switching       []float64
}

// way is how one of the two answers n requests; it returns the time of all, and that of switching alone.
type way struct {
	name     string
	requests int
	rival    int // the way of melo that it is compared with
	run      func(n int) (seconds, switching float64, err error)
}

// measurePEFT lets melo and PEFT take turns on the same adapters.
func measurePEFT(ctx context.Context, o *options) (any, error) {
	b, err := newBench(ctx, o)
	if err != nil {
		return nil, err
	}
	folders := filepath.Join(o.dir, "peft")
	for _, name := range b.names {
		if _, err := os.Stat(filepath.Join(folders, name)); err == nil {
			continue
		}
		f, err := adapterfile.Read(filepath.Join(o.dir, name+".safetensors"))
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(folders, 0o700); err != nil {
			return nil, err
		}
		if err := f.WritePEFT(filepath.Join(folders, name), adapterfile.PEFTOptions{Names: adapterfile.NamesHF5, Base: &b.model.Config}); err != nil {
			return nil, err
		}
	}
	e, err := b.engine(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	if err := loadAll(ctx, e); err != nil {
		return nil, err
	}
	p, err := startPeer(ctx, o, folders)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	if err := b.sameWork(ctx, e, p); err != nil {
		return nil, err
	}
	n := o.requests
	one := func(n int) (float64, float64, error) { return b.oneByOne(ctx, e, n) }
	all := func(n int) (float64, float64, error) { return b.together(ctx, e, n) }
	peer := func(command string) func(n int) (float64, float64, error) {
		return func(n int) (float64, float64, error) { return p.timed(command, n) }
	}
	ways := []*way{
		{"melo, one request after the other", n, 0, one}, {"melo, requests together", n, 1, all},
		{"PEFT, no switch, one after the other", n, 0, peer("stay")}, {"PEFT, set_adapter, one after the other", n, 0, peer("set")},
		{"PEFT, hot-swap from files, one after the other", n, 0, peer("hotswap")},
		{"PyTorch, whole model anew, one after the other", max(1, n/8), 0, peer("reload")},
		{"PEFT, batch with one adapter", n, 1, peer("uniform")}, {"PEFT, mixed batch (adapter_names)", n, 1, peer("mixed")},
	}
	results := make([]*peftResult, len(ways))
	for i, w := range ways {
		results[i] = &peftResult{Way: w.name}
	}
	for round := range o.rounds + 1 {
		for turn := range ways {
			i := (round + turn) % len(ways)
			if err := results[i].turn(ctx, ways[i], round > 0); err != nil {
				return nil, err
			}
		}
	}
	fmt.Printf("%-50s %10s %12s %14s\n", fmt.Sprintf("%d adapters, r = %d", len(b.names), rank), "images/s", "melo faster", "one switch")
	for i, r := range results {
		r.finish(results[ways[i].rival])
		if r.Failed != "" {
			fmt.Printf("%-50s failed: %s\n", r.Way, r.Failed)
			continue
		}
		fmt.Printf("%-50s %10.2f %11.2fx %11.6f ms\n", r.Way, r.ImagesPerSecond, r.Ratio, 1e3*r.SwitchSeconds)
	}
	if bytes, err := p.ask("bytes"); err == nil && len(b.names) > 1 {
		fmt.Printf("an adapter takes %.2f MB in PEFT, %.2f MB in melo\n", float64(bytes.Bytes)/float64(len(b.names)-1)/1e6,
			float64(e.Stats().ResidentBytes)/float64(len(b.names))/1e6)
	}
	return results, nil
}

// turn runs a way once; warm-up rounds do not count.
func (r *peftResult) turn(ctx context.Context, w *way, counts bool) error {
	if r.Failed != "" {
		return ctx.Err()
	}
	seconds, switching, err := w.run(w.requests)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		r.Failed = err.Error()
	case counts:
		r.rates = append(r.rates, float64(w.requests)/seconds)
		r.switching = append(r.switching, switching/float64(w.requests))
	}
	return nil
}

// finish compares with melo's way, round by round.
func (r *peftResult) finish(melo *peftResult) {
	if r.Failed != "" {
		return
	}
	var ratios []float64
	for i := range r.rates {
		ratios = append(ratios, melo.rates[i]/r.rates[i])
	}
	r.ImagesPerSecond, r.Ratio, r.SwitchSeconds = median(r.rates), median(ratios), median(r.switching)
}

// oneByOne answers n requests, each with the next adapter. The switches are measured by themselves, apart.
func (b *bench) oneByOne(ctx context.Context, e *serve.Engine, n int) (seconds, switching float64, err error) {
	start := time.Now()
	for i := range n {
		if _, errs := e.Predict(ctx, b.request(i)); errs[0] != nil {
			return 0, 0, errs[0]
		}
	}
	seconds = time.Since(start).Seconds()
	const often = 1000
	order := make([]string, often*n)
	for i := range order {
		order[i] = b.names[i%len(b.names)]
	}
	start = time.Now()
	if err := e.Switch(order); err != nil {
		return 0, 0, err
	}
	return seconds, time.Since(start).Seconds() / often, nil
}

// together answers n requests in one call.
func (b *bench) together(ctx context.Context, e *serve.Engine, n int) (seconds, switching float64, err error) {
	requests := make([]serve.Request, n)
	for i := range requests {
		requests[i] = b.request(i)
	}
	start := time.Now()
	_, errs := e.Predict(ctx, requests...)
	return time.Since(start).Seconds(), 0, errors.Join(errs...)
}

func (b *bench) request(i int) serve.Request {
	return serve.Request{Name: b.names[i%len(b.names)], Input: serve.Input{Tensor: b.tensor}}
}

// sameWork compares the logits of the two, in float32.
func (b *bench) sameWork(ctx context.Context, e *serve.Engine, p *peer) error {
	for _, i := range []int{0, len(b.names) - 1} {
		theirs, err := p.ask(fmt.Sprintf("logits %d", i))
		if err != nil {
			return err
		}
		ours, errs := e.Predict(ctx, b.request(i))
		if errs[0] != nil {
			return errs[0]
		}
		worst, size := 0.0, 0.0
		for j, v := range ours[0].Logits {
			worst = max(worst, math.Abs(float64(v)-theirs.Logits[j]))
			size = max(size, math.Abs(theirs.Logits[j]))
		}
		fmt.Printf("adapter %d: logits differ by %.1e of the largest\n", i, worst/size)
		if !(worst <= 1e-3*size) && b.o.precision == "f32" {
			return errors.New("the two do not compute the same")
		}
	}
	return nil
}

// peer is the Python process.
type peer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// peerAnswer is one line of it.
type peerAnswer struct {
	Seconds, Switching float64
	Logits             []float64
	Bytes              int64
	Error              string
}

func startPeer(ctx context.Context, o *options, folders string) (*peer, error) {
	workers := o.workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	cmd := exec.CommandContext(ctx, o.python, "bench/serving/peft_peer.py", "--base", o.base, "--adapters", folders, "--threads", fmt.Sprint(workers))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &peer{cmd, in, bufio.NewReader(out)}, cmd.Start()
}

func (p *peer) stop() {
	p.in.Close()
	p.cmd.Wait()
}

func (p *peer) ask(command string) (a peerAnswer, err error) {
	if _, err := fmt.Fprintln(p.in, command); err != nil {
		return a, err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("peft_peer.py: %w", err)
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

func (p *peer) timed(command string, n int) (seconds, switching float64, err error) {
	a, err := p.ask(fmt.Sprintf("%s %d", command, n))
	return a.Seconds, a.Switching, err
}
