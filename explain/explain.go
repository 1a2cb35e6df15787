// Package explain says which patches of an image an answer rests on. A map has a number for each patch of the grid: how much
// the patch speaks for a label, by one of several methods. Maps of the network with its adapter, whatever the pooling.
//
// Of the methods [Occlusion] is the plain meaning: what becomes of the answer when a part of the image is covered. The others
// are cheap readings of activations and gradients ([compute.Tracer]), and guesses at the same thing; package
// explain/faithful measures how good they are.
package explain

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"melo.example/melo/compute"
	"melo.example/melo/imaging"
	"melo.example/melo/vit/arch"
)

// Method is how a map is made.
type Method string

// The methods.
const (
	// GradCAM is gradient-weighted class activation (Selvaraju et al., arXiv 1610.02391) on the output of the last block's
	// first norm: channels weighted by the mean of their gradient over the patches, summed, and what is negative left out.
	GradCAM Method = "gradcam"
	// Attribution is the relevance of Chefer, Gur and Wolf (arXiv 2103.15679): the positive part of attention times its
	// gradient, averaged over heads, rolled out over all blocks.
	Attribution Method = "attribution"
	// Rollout is attention rollout (Abnar and Zuidema, arXiv 2005.00928) of the same products: in each block every row of
	// them is scaled to a distribution and averaged with the identity.
	Rollout Method = "rollout"
	// Occlusion is what the score loses when a part of the image is replaced by the image's mean colour (Zeiler and Fergus,
	// arXiv 1311.2901): exact, of either sign, and as many predictions as there are positions of the window.
	Occlusion Method = "occlusion"
)

// Methods lists the methods.
func Methods() []Method { return []Method{GradCAM, Attribution, Rollout, Occlusion} }

// Default is the method that is taken where none is named: the most faithful of those that need no hundreds of passes, see
// docs/results.md.
const Default = Attribution

// ParseMethod returns the method of a name; the default for "".
func ParseMethod(name string) (Method, error) {
	if name == "" {
		return Default, nil
	}
	if m := Method(name); slices.Contains(Methods(), m) {
		return m, nil
	}
	var names []string
	for _, m := range Methods() {
		names = append(names, string(m))
	}
	return "", fmt.Errorf("explain: unknown method %q, expected %s", name, strings.Join(names, ", "))
}

// Score is the number that is explained: the logit of a label, less that of another unless Against is [Nothing].
type Score struct{ Label, Against int }

// Nothing in Score.Against is no label.
const Nothing = -1

// Subject is what answers: a network, an adapter on it (nil: the network's own head), and whether the answer is the mean of
// an image and its mirror image. Then so is the map.
type Subject struct {
	Model   *compute.Model
	Adapter *compute.Adapter
	Mirror  bool
}

// Options of an Explainer. Zero values mean the defaults.
type Options struct {
	Method Method
	// Window and Stride of Occlusion, in patches: 2 and 1 by default. Stride is at most Window, so that every patch is covered.
	Window, Stride int
	// Batch is how many inputs pass at once, 8 by default.
	Batch int
}

// Explainer makes maps of one subject by one method. It owns the memory of a pass. Not safe for concurrent use.
type Explainer struct {
	subject Subject
	head    head
	options Options
	tracer  compute.Tracer                                   // of the methods that go back
	engine  compute.Engine                                   // of Occlusion
	ask     func(inputs []float32, n int) ([]float32, error) // likewise, where the network is elsewhere
	pixels  []float32
	early   int // numbers of a summary; 0: none is kept
}

// New returns an Explainer.
func New(s Subject, o Options) (*Explainer, error) {
	if s.Model == nil {
		return nil, errors.New("explain: no model")
	}
	if p := s.Model.Pooling; p == arch.PoolTokens {
		return nil, fmt.Errorf("explain: pooling %v, where every token is a feature of its own, is not explained", p)
	}
	method, err := ParseMethod(string(o.Method))
	if err != nil {
		return nil, err
	}
	o.Method = method
	if err := o.complete(s.Model.Grid()); err != nil {
		return nil, err
	}
	e := &Explainer{subject: s, options: o}
	if e.head, err = headOf(s); err != nil {
		return nil, err
	}
	if way, back := method.Tracing(&s.Model.Config); back {
		e.tracer, err = s.Model.NewTracer(e.passes(o.Batch), way)
	} else {
		e.engine = s.Model.NewEngine(e.passes(o.Batch))
	}
	return e, err
}

// NewAsking returns an Explainer by [Occlusion] of a network that answers elsewhere: ask returns the logits [n, classes] of
// n inputs, or why there are none. Where the answer is the mean over an image and its mirror image, so is what ask returns.
func NewAsking(c *arch.Config, classes int, o Options, ask func(inputs []float32, n int) ([]float32, error)) (*Explainer, error) {
	if o.Method != Occlusion {
		return nil, fmt.Errorf("explain: %s goes back through a network, which cannot be done elsewhere", o.Method)
	}
	if err := o.complete(c.Grid()); err != nil {
		return nil, err
	}
	return &Explainer{subject: Subject{Model: &compute.Model{Config: *c}}, head: head{one: &compute.Head{Classes: classes}}, options: o, ask: ask}, nil
}

// Tracing returns what a tracer shows for the method; back is false for one that goes no way back, but asks an engine.
func (m Method) Tracing(c *arch.Config) (t compute.Tracing, back bool) {
	switch m {
	case Occlusion:
		return t, false
	case GradCAM:
		return compute.Tracing{From: c.Depth - 1, Normed: true}, true
	}
	return compute.Tracing{Attention: true}, true
}

// defaultBatch suits the caches, as that of predictions does.
const defaultBatch = 8

// complete puts defaults where nothing is said, and checks the rest for a grid of patches.
func (o *Options) complete(grid int) error {
	if o.Batch == 0 {
		o.Batch = defaultBatch
	}
	if o.Window == 0 {
		o.Window = min(2, grid)
	}
	if o.Stride == 0 {
		o.Stride = 1
	}
	switch {
	case o.Batch < 0:
		return fmt.Errorf("explain: batch of %d images", o.Batch)
	case o.Window < 1 || o.Window > grid:
		return fmt.Errorf("explain: a window of %d patches, expected 1 to %d", o.Window, grid)
	case o.Stride < 1 || o.Stride > o.Window:
		return fmt.Errorf("explain: a stride of %d patches, expected 1 to %d, that of the window, so that nothing is left out", o.Stride, o.Window)
	}
	return nil
}

// Grid is the number of patches along a side of a map.
func (e *Explainer) Grid() int { return e.subject.Model.Grid() }

// Method returns the method of the maps.
func (e *Explainer) Method() Method { return e.options.Method }

// Classes is the number of logits.
func (e *Explainer) Classes() int { return e.head.classes() }

// KeepEarly makes every pass keep a summary of what enters a block (see compute.Keeper); below 0 none is kept.
func (e *Explainer) KeepEarly(block int) {
	e.early = 0
	if k := e.keeper(); k != nil {
		k.KeepEarly(block)
		if block >= 0 {
			e.early = compute.EarlySize(&e.subject.Model.Config)
		}
	}
}

// keeper returns what runs the images themselves, if it can keep summaries.
func (e *Explainer) keeper() compute.Keeper {
	var run any = e.tracer
	if e.tracer == nil {
		run = e.engine
	}
	k, _ := run.(compute.Keeper)
	return k
}

// Answer is what an Explainer finds about n inputs.
type Answer struct {
	Logits []float32 // [n, Classes], the means of both passes where the subject mirrors
	Maps   []float32 // [n, Grid, Grid]: rows from the top, columns from the left
	Early  []float32 // [n, EarlySize] after KeepEarly, else nil
}

// Explain answers for n inputs [n, 3, Image, Image], which were prepared by the recipe. choose says which score of an input is
// explained, when its logits are known; its first error ends the run.
func (e *Explainer) Explain(inputs []float32, n int, choose func(i int, logits []float32) (Score, error)) (Answer, error) {
	c := &e.subject.Model.Config
	each := c.Channels * c.Image * c.Image
	if n < 1 || len(inputs) != n*each {
		return Answer{}, fmt.Errorf("explain: %d numbers for %d images, expected %d an image", len(inputs), n, each)
	}
	var all Answer
	for first := 0; first < n; first += e.options.Batch {
		k := min(e.options.Batch, n-first)
		b := batch{inputs: inputs[first*each : (first+k)*each], n: k, choose: func(i int, logits []float32) (Score, error) {
			s, err := choose(first+i, logits)
			if err == nil {
				err = e.head.check(s)
			}
			return s, err
		}}
		run := e.trace
		if e.options.Method == Occlusion {
			run = e.occlude
		}
		if err := run(&b); err != nil {
			return Answer{}, err
		}
		all.Logits, all.Maps, all.Early = append(all.Logits, b.Logits...), append(all.Maps, b.Maps...), append(all.Early, b.Early...)
	}
	return all, nil
}

// Maps returns the maps of Explain for scores that are known beforehand.
func (e *Explainer) Maps(inputs []float32, n int, scores []Score) ([]float32, error) {
	if len(scores) != n {
		return nil, fmt.Errorf("explain: %d scores for %d images", len(scores), n)
	}
	all, err := e.Explain(inputs, n, func(i int, _ []float32) (Score, error) { return scores[i], nil })
	return all.Maps, err
}

// Predictions is how many inputs are asked about for a map by [Occlusion], that itself included; 1 for the other methods.
func (e *Explainer) Predictions() int {
	if e.options.Method != Occlusion {
		return 1
	}
	return 1 + len(e.windows())
}

// answers returns the logits of n inputs, from wherever the network is.
func (e *Explainer) answers(inputs []float32, n int) ([]float32, error) {
	if e.ask == nil {
		return e.Logits(inputs, n), nil
	}
	logits, err := e.ask(inputs, n)
	if err == nil && len(logits) != n*e.Classes() {
		err = fmt.Errorf("explain: %d logits of %d inputs, expected %d each", len(logits), n, e.Classes())
	}
	return logits, err
}

// Logits returns the logits [n, Classes] of n inputs alone.
func (e *Explainer) Logits(inputs []float32, n int) []float32 {
	if e.engine == nil {
		e.engine = e.subject.Model.NewEngine(e.passes(e.options.Batch))
	}
	each := len(inputs) / n
	out := make([]float32, 0, n*e.Classes())
	for first := 0; first < n; first += e.options.Batch {
		k := min(e.options.Batch, n-first)
		features := e.engine.Features(e.both(inputs[first*each:(first+k)*each]), e.passes(k), e.segment(k))
		out = append(out, e.logits(features, k)...)
	}
	return out
}

// passes is how many images pass for n inputs: their mirror images, too, where the subject mirrors.
func (e *Explainer) passes(n int) int {
	if e.subject.Mirror {
		return 2 * n
	}
	return n
}

// both returns inputs, and their mirror images after them where the subject mirrors, in memory that the next call uses again.
func (e *Explainer) both(inputs []float32) []float32 {
	if !e.subject.Mirror {
		return inputs
	}
	e.pixels = append(append(e.pixels[:0], inputs...), inputs...)
	imaging.Mirror(e.pixels[len(inputs):], e.subject.Model.Image)
	return e.pixels
}

func (e *Explainer) segment(n int) compute.Segment {
	return compute.Segment{Adapter: e.subject.Adapter, Images: e.passes(n)}
}

// logits returns those of n inputs from the features of their passes.
func (e *Explainer) logits(features []float32, n int) []float32 {
	all := make([]float32, e.passes(n)*e.Classes())
	e.head.logits(all, features)
	if !e.subject.Mirror {
		return all
	}
	mean := all[:n*e.Classes()]
	for i, v := range all[len(mean):] {
		mean[i] = (mean[i] + v) / 2
	}
	return mean
}

// batch is some inputs and what is found about them.
type batch struct {
	Answer
	inputs []float32
	n      int
	choose func(i int, logits []float32) (Score, error)
}

// scores asks which scores are explained.
func (b *batch) scores(classes int) ([]Score, error) {
	scores := make([]Score, b.n)
	for i := range scores {
		var err error
		if scores[i], err = b.choose(i, b.Logits[i*classes:(i+1)*classes:(i+1)*classes]); err != nil {
			return nil, err
		}
	}
	return scores, nil
}

// keep keeps the summaries of the inputs themselves.
func (e *Explainer) keep(b *batch) {
	if e.early > 0 {
		b.Early = slices.Clone(e.keeper().EarlyRows()[:b.n*e.early])
	}
}

// trace answers by one pass there and back.
func (e *Explainer) trace(b *batch) error {
	n := e.passes(b.n)
	features := e.tracer.Features(e.both(b.inputs), n, e.segment(b.n))
	b.Logits = e.logits(features, b.n)
	e.keep(b)
	scores, err := b.scores(e.Classes())
	if err != nil {
		return err
	}
	c := &e.subject.Model.Config
	gradient := make([]float32, n*c.Features())
	for i := range n {
		e.head.gradient(gradient[i*c.Features():(i+1)*c.Features()], scores[i%b.n])
	}
	maps := make([]float32, n*c.Grid()*c.Grid())
	if e.options.Method == GradCAM {
		e.tracer.Back(gradient, &activation{c: c, maps: maps})
	} else {
		r := newRelevance(c, n, e.options.Method == Rollout)
		e.tracer.Back(gradient, r)
		r.write(maps)
	}
	b.Maps = maps[:b.n*c.Grid()*c.Grid()]
	if e.subject.Mirror {
		addMirrored(b.Maps, maps[len(b.Maps):], c.Grid())
	}
	return nil
}

// addMirrored makes maps the means of themselves and of those of mirror images, turned back.
func addMirrored(maps, mirrored []float32, grid int) {
	for row := range len(maps) / grid {
		a, b := maps[row*grid:(row+1)*grid], mirrored[row*grid:(row+1)*grid]
		for i := range a {
			a[i] = (a[i] + b[grid-1-i]) / 2
		}
	}
}
