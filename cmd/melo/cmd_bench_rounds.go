package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"melo/internal/kernel"
	"melo/lora"
	"melo/lora/adapterfile"
	"melo/vit"
)

// roundAnswer is one line of the protocol of bench/compare/README.md.
type roundAnswer struct {
	Seconds float64   `json:"seconds,omitempty"`
	Peak    int64     `json:"peak_bytes,omitempty"`
	Logits  []float32 `json:"logits,omitempty"`
	Losses  []float64 `json:"losses,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// maxRoundBatch bounds the batch of a command.
const maxRoundBatch = 1024

// rounds answers timing commands; what a workload needs is made by its first command and not timed.
type rounds struct {
	b       *bench
	forward map[int]*inference
	step    map[int]*trainingStep
}

// serveRounds answers the commands on standard input, one line each, until "quit" or the end.
func (b *bench) serveRounds(ctx context.Context) error {
	r := &rounds{b: b, forward: map[int]*inference{}, step: map[int]*trainingStep{}}
	lines := bufio.NewScanner(b.s.in)
	out := json.NewEncoder(b.s.out)
	for lines.Scan() {
		if err := ctx.Err(); err != nil {
			return err
		}
		command := strings.TrimSpace(lines.Text())
		if command == "quit" {
			return nil
		}
		if err := out.Encode(r.answer(command)); err != nil {
			return fmt.Errorf("writing the answer: %w", err)
		}
	}
	return lines.Err()
}

func (r *rounds) answer(command string) roundAnswer {
	name, batch, _ := strings.Cut(command, " ")
	if command == "rss" {
		_, peak := residentBytes()
		return roundAnswer{Peak: peak}
	}
	n, err := strconv.Atoi(batch)
	if err != nil || n < 1 || n > maxRoundBatch {
		return unknownCommand(command)
	}
	switch name {
	case "forward":
		f, images := r.inference(n), r.b.images(n)
		start := time.Now()
		f.run(images)
		return roundAnswer{Seconds: time.Since(start).Seconds()}
	case "step":
		return r.train(n)
	case "check":
		return r.check(n)
	}
	return unknownCommand(command)
}

func unknownCommand(command string) roundAnswer {
	return roundAnswer{Error: fmt.Sprintf(
		"command %.40q: expected rss, quit, or one of forward, step, check and a number from 1 to %d", command, maxRoundBatch)}
}

func (r *rounds) inference(n int) *inference {
	if r.forward[n] == nil {
		r.forward[n] = newInference(r.b, n)
	}
	return r.forward[n]
}

func (r *rounds) train(n int) roundAnswer {
	if r.step[n] == nil {
		start, err := lora.New(&r.b.config, lora.Config{Rank: stepRank}, headLabels, 1)
		if err != nil {
			return roundAnswer{Error: err.Error()}
		}
		s, err := newTrainingStep(r.b, n, start)
		if err != nil {
			return roundAnswer{Error: err.Error()}
		}
		r.step[n] = s
	}
	s, images := r.step[n], r.b.images(n)
	start := time.Now()
	if _, err := s.run(images); err != nil {
		return roundAnswer{Error: err.Error()}
	}
	return roundAnswer{Seconds: time.Since(start).Seconds()}
}

// checkBatch is the number of images that "check" looks at.
const checkBatch = 2

// check computes what both sides of the comparison must agree on, from inputs and an adapter that a
// formula gives (adapterfile.SelfTestInput): the logits of the base's own head, and the losses of steps.
func (r *rounds) check(steps int) roundAnswer {
	c := &r.b.config
	images := make([]float32, checkBatch*c.Channels*c.Image*c.Image)
	for i := range checkBatch {
		each := len(images) / checkBatch
		adapterfile.SelfTestInput(images[i*each:(i+1)*each], 1, i)
	}
	start, err := checkAdapter(c)
	if err != nil {
		return roundAnswer{Error: err.Error()}
	}
	s, err := newTrainingStep(r.b, checkBatch, start)
	if err != nil {
		return roundAnswer{Error: err.Error()}
	}
	answer := roundAnswer{Logits: newInference(r.b, checkBatch).run(images).Data}
	for range steps {
		loss, err := s.run(images)
		if err != nil {
			return roundAnswer{Error: err.Error()}
		}
		answer.Losses = append(answer.Losses, loss)
	}
	return answer
}

// checkAdapter fills A of each site, block by block, q before v, and the head's weight by the formula,
// seeds 2, 3, ..., scaled to +-1/sqrt(inputs); B and the head's bias are zero.
func checkAdapter(c *vit.Config) (*lora.Adapter, error) {
	a, err := lora.New(c, lora.Config{Rank: stepRank}, headLabels, 1)
	if err != nil {
		return nil, err
	}
	seed := uint64(2)
	fill := func(w []float32, in int) {
		adapterfile.SelfTestInput(w, seed, 0)
		kernel.Scale(w, w, float32(1/math.Sqrt(float64(in))))
		seed++
	}
	for _, d := range a.Deltas {
		fill(d.A, c.Width)
	}
	fill(a.Head.W, a.Head.Features)
	clear(a.Head.Bias)
	return a, nil
}
