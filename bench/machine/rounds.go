package machine

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/sysinfo"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
)

// roundAnswer is one line of the protocol of bench/compare/README.md.
type roundAnswer struct {
	Seconds float64   `json:"seconds,omitempty"`
	Peak    int64     `json:"peak_bytes,omitempty"`
	Bytes   int64     `json:"bytes,omitempty"`
	Logits  []float32 `json:"logits,omitempty"`
	Losses  []float64 `json:"losses,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// maxRoundNumber bounds the numbers of a command.
const maxRoundNumber = 1024

// rounds answers Timing commands. What a workload needs is made by its first command and not timed; it is
// kept for one size of batch, so that the memory that is measured is that of one.
type rounds struct {
	b        *Bench
	batch    int
	forward  *inference
	step     *trainingStep
	adapters []*lora.Resident
}

// Rounds answers the timing commands of bench/compare, one line each, until "quit" or the end.
func (b *Bench) Rounds(ctx context.Context, in io.Reader, answers io.Writer) error {
	r := &rounds{b: b}
	lines := bufio.NewScanner(in)
	out := json.NewEncoder(answers)
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
	name, n, err := parseRound(command)
	if err != nil {
		return roundAnswer{Error: err.Error()}
	}
	var a roundAnswer
	switch name {
	case "rss":
		_, a.Peak = sysinfo.Resident()
	case "forward":
		a.Seconds = r.infer(n[0])
	case "step":
		a.Seconds, err = r.train(n[0])
	case "logits":
		a.Logits = r.logits(n[0])
	case "losses":
		a.Losses, err = r.losses(n[0], n[1])
	case "adapters":
		a.Bytes, err = r.resident(n[0], n[1])
	}
	if err != nil {
		return roundAnswer{Error: err.Error()}
	}
	return a
}

// roundCommands has the number of numbers that each command takes.
var roundCommands = map[string]int{"rss": 0, "forward": 1, "step": 1, "logits": 1, "losses": 2, "adapters": 2}

func parseRound(command string) (name string, numbers []int, err error) {
	words := strings.Fields(command)
	if len(words) > 0 {
		if want, known := roundCommands[words[0]]; known && len(words) == 1+want {
			for _, w := range words[1:] {
				if n, err := strconv.Atoi(w); err == nil && n >= 1 && n <= maxRoundNumber {
					numbers = append(numbers, n)
				}
			}
			if len(numbers) == want {
				return words[0], numbers, nil
			}
		}
	}
	return "", nil, fmt.Errorf("command %.40q: expected quit, rss, forward B, step B, logits B, losses B N or adapters N BITS, numbers from 1 to %d",
		command, maxRoundNumber)
}

// resize lets go of what was made for another size of batch.
func (r *rounds) resize(batch int) {
	if r.batch != batch {
		r.batch, r.forward, r.step = batch, nil, nil
		debug.FreeOSMemory()
	}
}

func (r *rounds) inference(n int) *inference {
	r.resize(n)
	if r.forward == nil {
		r.forward = newInference(r.b, n)
	}
	return r.forward
}

func (r *rounds) infer(n int) float64 {
	f, images := r.inference(n), r.b.images(n)
	start := time.Now()
	f.run(images)
	return time.Since(start).Seconds()
}

func (r *rounds) train(n int) (seconds float64, err error) {
	r.resize(n)
	if r.step == nil {
		start, err := lora.New(&r.b.config, lora.Config{Rank: stepRank}, headLabels, 1)
		if err != nil {
			return 0, err
		}
		if r.step, err = newTrainingStep(r.b, n, start); err != nil {
			return 0, err
		}
	}
	images := r.b.images(n)
	start := time.Now()
	if _, err := r.step.run(images); err != nil {
		return 0, err
	}
	return time.Since(start).Seconds(), nil
}

// checkedImages is the number of images whose logits are compared.
const checkedImages = 2

// logits returns what the engines must agree on: the logits of the base's own head for the first images of a
// batch that a formula gives.
func (r *rounds) logits(batch int) []float32 {
	y := r.inference(batch).run(r.checkImages(batch))
	return y[:min(batch, checkedImages)*len(y)/batch]
}

// losses returns the losses of the first training steps on such a batch, from an adapter that a formula gives.
func (r *rounds) losses(batch, steps int) ([]float64, error) {
	r.resize(batch)
	r.step = nil
	start, err := checkAdapter(&r.b.config)
	if err != nil {
		return nil, err
	}
	if r.step, err = newTrainingStep(r.b, batch, start); err != nil {
		return nil, err
	}
	images, losses := r.checkImages(batch), make([]float64, steps)
	for i := range losses {
		if losses[i], err = r.step.run(images); err != nil {
			return nil, err
		}
	}
	return losses, nil
}

// checkImages returns the inputs of adapterfile.SelfTestInput with seed 1.
func (r *rounds) checkImages(batch int) []float32 {
	c := &r.b.config
	each := c.Channels * c.Image * c.Image
	images := make([]float32, batch*each)
	for i := range batch {
		adapterfile.SelfTestInput(images[i*each:(i+1)*each], 1, i)
	}
	return images
}

// resident returns the memory by which the process grows when it holds n more adapters, whose numbers are of 32
// or of 16 bits.
func (r *rounds) resident(n, bits int) (int64, error) {
	beside := vit.F32
	if bits == 16 {
		beside = vit.BF16
	}
	r.b.model() // is not counted
	debug.FreeOSMemory()
	before, _ := sysinfo.Resident()
	for i := range n {
		a, err := lora.New(&r.b.config, lora.Config{Rank: stepRank}, headLabels, uint64(i))
		if err != nil {
			return 0, err
		}
		for _, d := range a.Deltas {
			kernel.Scale(d.B, d.A[:len(d.B)], 0.5) // untouched zeros might not be resident
		}
		r.adapters = append(r.adapters, a.Resident(beside))
	}
	debug.FreeOSMemory()
	after, _ := sysinfo.Resident()
	return after - before, nil
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
