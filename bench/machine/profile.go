package machine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"melo.example/melo/compute"
	"melo.example/melo/lora"
	"melo.example/melo/vit"
)

// Profile says where the time of passes goes.
type Profile struct {
	Pass    string         `json:"pass"` // forward or step
	Batch   int            `json:"batch"`
	Threads int            `json:"threads"`
	Seconds float64        `json:"seconds"` // of a whole pass, with profiling
	Parts   []ProfilePart  `json:"parts"`
	Blocks  []ProfileBlock `json:"blocks"`
}

// ProfilePart is one operation, over all blocks.
type ProfilePart struct {
	Phase   string  `json:"phase"` // forward, backward or update
	Part    string  `json:"part"`
	Calls   int     `json:"calls"`   // in one pass
	Seconds float64 `json:"seconds"` // in one pass, median
	Share   float64 `json:"share"`   // of the sum over all parts
	GFLOPS  float64 `json:"gflops,omitempty"`
}

// ProfileBlock is one block of the network, over all its operations.
type ProfileBlock struct {
	Block    int     `json:"block"`
	Forward  float64 `json:"forward_seconds"`
	Backward float64 `json:"backward_seconds,omitempty"`
}

// The batches that are profiled: of inference, and the step's.
const profileBatch = 4

// profileKey is where time was spent.
type profileKey struct {
	phase string
	block int
	part  string
}

// profiler collects the time between marks.
type profiler struct {
	phase   string
	last    time.Time
	pass    map[profileKey]float64   // of the pass in flight
	samples map[profileKey][]float64 // of the passes that are done, in which the key came up
	calls   map[profileKey]int       // marks, all passes together
	whole   []float64
	begun   time.Time
}

func newProfiler() *profiler {
	return &profiler{pass: map[profileKey]float64{}, samples: map[profileKey][]float64{}, calls: map[profileKey]int{}}
}

// begin starts a pass.
func (p *profiler) begin() {
	p.begun = time.Now()
	p.last, p.phase = p.begun, "forward"
}

// spent adds the time since the last mark. A profile is of whole operations: its own cost, two readings of
// the clock and a map, is microseconds against them.
func (p *profiler) spent(block int, part string) {
	now := time.Now()
	key := profileKey{p.phase, block, part}
	p.pass[key] += now.Sub(p.last).Seconds()
	p.calls[key]++
	p.last = time.Now()
}

func (p *profiler) mark(block int, part compute.Part) { p.spent(block, part.String()) }

// end closes a pass.
func (p *profiler) end() {
	p.whole = append(p.whole, time.Since(p.begun).Seconds())
	for key, s := range p.pass {
		p.samples[key] = append(p.samples[key], s)
	}
	clear(p.pass)
}

// profile measures where the time of inference and of a training step goes.
func (b *Bench) profile(ctx context.Context) error {
	f, p := newInference(b, profileBatch), newProfiler()
	images := b.images(profileBatch)
	f.engine.(compute.Profiled).SetMark(p.mark)
	pass := func() error {
		features := f.engine.Features(images, profileBatch)
		f.classify(features)
		p.spent(compute.Outside, "head")
		return nil
	}
	if err := b.profiled(ctx, "forward", p, profileBatch, pass); err != nil {
		return err
	}
	return b.profileStep(ctx)
}

func (b *Bench) profileStep(ctx context.Context) error {
	p, images := newProfiler(), b.images(stepBatch)

	start, err := lora.New(&b.config, lora.Config{Rank: stepRank}, headLabels, 1)
	if err != nil {
		return err
	}
	s, err := newTrainingStep(b, stepBatch, start)
	if err != nil {
		return err
	}
	s.tuner.SetMark(p.mark)
	s.done = func(what string) {
		p.spent(compute.Outside, what)
		switch what {
		case "loss":
			p.phase = "backward"
		case "backward":
			p.phase = "update"
		}
	}
	return b.profiled(ctx, "step", p, stepBatch, func() error { _, err := s.run(images); return err })
}

// profiled runs passes, one to warm up, until the time of a measurement is over, and adds their profile to the
// document.
func (b *Bench) profiled(ctx context.Context, name string, p *profiler, batch int, pass func() error) error {
	p.begin()
	if err := pass(); err != nil {
		return err
	}
	clear(p.pass)
	clear(p.calls)
	for begun := time.Now(); len(p.whole) < minSamples || time.Since(begun) < b.o.Duration; {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.begin()
		if err := pass(); err != nil {
			return err
		}
		p.end()
	}
	doc := p.document(b, batch)
	doc.Pass = name
	b.Result.Profile = append(b.Result.Profile, *doc)
	b.report(doc)
	return nil
}

// document sums over blocks and over parts.
func (p *profiler) document(b *Bench, batch int) *Profile {
	d := &Profile{Batch: batch, Threads: b.pool.Workers(), Seconds: median(p.whole)}
	flops := partFLOPs(&b.config)
	d.Blocks = make([]ProfileBlock, b.config.Depth)
	parts, full := map[profileKey]*ProfilePart{}, map[profileKey]float64{}
	sum := 0.0
	for key, samples := range p.samples {
		s, total := median(samples), profileKey{phase: key.phase, part: key.part}
		sum += s
		if parts[total] == nil {
			parts[total] = &ProfilePart{Phase: key.phase, Part: key.part}
		}
		parts[total].Seconds += s
		parts[total].Calls += p.calls[key] / len(p.whole)
		if key.block == compute.Outside {
			continue
		}
		if key.phase == "forward" {
			d.Blocks[key.block].Forward += s
		} else {
			d.Blocks[key.block].Backward += s
		}
		if key.block > 0 && key.block < b.config.Depth-1 { // the first and the last may have less to do
			full[total] += s
		}
	}
	for key, part := range parts {
		part.Share = part.Seconds / sum
		if n := float64(b.config.Depth - 2); full[key] > 0 && flops[key] > 0 {
			part.GFLOPS = n * float64(batch) * flops[key] / full[key] / 1e9
		}
		d.Parts = append(d.Parts, *part)
	}
	for i := range d.Blocks {
		d.Blocks[i].Block = i
	}
	order := map[string]int{"forward": 0, "backward": 1, "update": 2}
	slices.SortFunc(d.Parts, func(x, y ProfilePart) int {
		return cmp.Or(order[x.Phase]-order[y.Phase], cmp.Compare(y.Seconds, x.Seconds), cmp.Compare(x.Part, y.Part))
	})
	return d
}

// partFLOPs returns the operations of the parts of one block of a profile, for one image. The gradient of an input takes
// as many as the product.
func partFLOPs(c *vit.Config) map[profileKey]float64 {
	out := map[profileKey]float64{}
	rows := float64(c.Tokens())
	product := func(part compute.Part, kinds ...vit.Kind) {
		n := 0.0
		for _, k := range kinds {
			in, outs := c.Dims(k)
			n += 2 * float64(in) * float64(outs) * rows
		}
		for _, phase := range []string{"forward", "backward"} {
			out[profileKey{phase: phase, part: part.String()}] = n
		}
	}
	product(compute.PartQKV, vit.Q, vit.K, vit.V)
	product(compute.PartProj, vit.Proj)
	product(compute.PartFC1, vit.FC1)
	product(compute.PartFC2, vit.FC2)
	attention := compute.PartAttention.String()
	out[profileKey{phase: "forward", part: attention}] = c.AttentionFLOPs()
	out[profileKey{phase: "backward", part: attention}] = 2 * c.AttentionFLOPs()
	return out
}
