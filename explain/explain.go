// Package explain computes which patches of an image contribute to an answer. A map has one value for each
// patch of the grid: how much the patch contributes to the score of a label. Maps are those of the network with
// its adapter, for any pooling.
//
// [Occlusion] measures this directly: it covers a part of the image and observes the answer. The other methods
// are fast approximations from activations and gradients ([compute.Tracer]); package explain/faithful measures
// how good they are.
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

// Method is a method of computing maps.
type Method string

// The methods.
const (
	// GradCAM is gradient-weighted class activation mapping (Selvaraju et al., arXiv 1610.02391) on the output
	// of the last block's first normalization: channels are weighted by the mean of their gradient over patches
	// and summed; negative values are set to 0.
	GradCAM Method = "gradcam"
	// Attribution is the relevance of Chefer, Gur and Wolf (arXiv 2103.15679): the positive part of attention
	// times its gradient, averaged over heads, propagated through all blocks.
	Attribution Method = "attribution"
	// Rollout is attention rollout (Abnar and Zuidema, arXiv 2005.00928) of the same products: in each block
	// every row is scaled to sum 1 and averaged with the identity.
	Rollout Method = "rollout"
	// Occlusion is the decrease of the score when a part of the image is replaced by the image's mean colour
	// (Zeiler and Fergus, arXiv 1311.2901). It is exact, of either sign, and takes one prediction per position
	// of the window.
	Occlusion Method = "occlusion"
)

// Methods lists all methods.
func Methods() []Method { return []Method{GradCAM, Attribution, Rollout, Occlusion} }

// Default is the default method: the most faithful of those that do not need hundreds of passes, see
// docs/results.md.
const Default = Attribution

// ParseMethod returns the method with a name, the default for "".
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

// Score is the number to explain: the logit of Label minus the logit of Against, unless that is [Nothing].
type Score struct{ Label, Against int }

// Nothing as Score.Against means no label.
const Nothing = -1

// Subject is the network to explain, with an adapter (nil: the network's own head). If Mirror is set, the
// answer is the mean over an image and its mirror image, and so is the map.
type Subject struct {
	Model   *compute.Model
	Adapter *compute.Adapter
	Mirror  bool
}

// Options of an Explainer. Zero fields have defaults.
type Options struct {
	Method Method
	// Window and Stride are the side and the step of the occluded square in patches: 2 and 1 by default. Stride
	// is at most Window, so that every patch is covered.
	Window, Stride int
	// Batch is the maximum number of inputs per pass, 8 by default.
	Batch int
}

// Explainer computes maps of one subject with one method. It owns the memory of a pass and is not safe for
// concurrent use.
type Explainer struct {
	subject Subject
	head    head
	options Options
	tracer  compute.Tracer                                   // for methods with a backward pass
	engine  compute.Engine                                   // for Occlusion
	ask     func(inputs []float32, n int) ([]float32, error) // for Occlusion, if the network is not in this process
	pixels  []float32
	early   int // size of a summary; 0: none is kept
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

// NewAsking returns an Explainer by [Occlusion] of a network that runs elsewhere. ask returns the logits [n,
// classes] of n inputs; if answers are means over an image and its mirror image, ask returns these means.
func NewAsking(c *arch.Config, classes int, o Options, ask func(inputs []float32, n int) ([]float32, error)) (*Explainer, error) {
	if o.Method != Occlusion {
		return nil, fmt.Errorf("explain: %s goes back through a network, which cannot be done elsewhere", o.Method)
	}
	if err := o.complete(c.Grid()); err != nil {
		return nil, err
	}
	return &Explainer{subject: Subject{Model: &compute.Model{Config: *c}}, head: head{one: &compute.Head{Classes: classes}}, options: o, ask: ask}, nil
}

// Tracing configures a tracer for the method. back is false for methods without a backward pass.
func (m Method) Tracing(c *arch.Config) (t compute.Tracing, back bool) {
	switch m {
	case Occlusion:
		return t, false
	case GradCAM:
		return compute.Tracing{From: c.Depth - 1, Normed: true}, true
	}
	return compute.Tracing{Attention: true}, true
}

// defaultBatch suits the CPU caches, as for predictions.
const defaultBatch = 8

// complete sets defaults and checks the options for a grid of patches.
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

// Grid returns the number of patches along a side of a map.
func (e *Explainer) Grid() int { return e.subject.Model.Grid() }

// Method returns the method of the maps.
func (e *Explainer) Method() Method { return e.options.Method }

// Classes returns the number of logits.
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

// keeper returns the engine that processes the images themselves, if it can keep summaries.
func (e *Explainer) keeper() compute.Keeper {
	var run any = e.tracer
	if e.tracer == nil {
		run = e.engine
	}
	k, _ := run.(compute.Keeper)
	return k
}

// Answer is the result for n inputs.
type Answer struct {
	Logits []float32 // [n, Classes], means of both passes if the subject mirrors
	Maps   []float32 // [n, Grid, Grid]: rows from the top, columns from the left
	Early  []float32 // [n, EarlySize] after KeepEarly, else nil
}

// Explain computes answers and maps for n preprocessed inputs [n, 3, Image, Image]. choose selects the score to
// explain, given the logits of an input; its first error ends the run.
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

// Maps returns the maps for scores that are known beforehand.
func (e *Explainer) Maps(inputs []float32, n int, scores []Score) ([]float32, error) {
	if len(scores) != n {
		return nil, fmt.Errorf("explain: %d scores for %d images", len(scores), n)
	}
	all, err := e.Explain(inputs, n, func(i int, _ []float32) (Score, error) { return scores[i], nil })
	return all.Maps, err
}

// Predictions returns the number of inputs evaluated per map, including the image itself; 1 for methods other
// than [Occlusion].
func (e *Explainer) Predictions() int {
	if e.options.Method != Occlusion {
		return 1
	}
	return 1 + len(e.windows())
}

// answers returns the logits of n inputs, computed here or by ask.
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

// Logits returns only the logits [n, Classes] of n inputs.
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

// passes returns the number of inputs to evaluate for n images: twice as many if the subject mirrors.
func (e *Explainer) passes(n int) int {
	if e.subject.Mirror {
		return 2 * n
	}
	return n
}

// both returns the inputs, followed by their mirror images if the subject mirrors. The next call reuses the
// memory.
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

// logits returns the logits of n inputs, given the features of their passes.
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

// batch is a group of inputs and their results.
type batch struct {
	Answer
	inputs []float32
	n      int
	choose func(i int, logits []float32) (Score, error)
}

// scores calls choose for each input.
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

// keep stores the summaries of the inputs, without those of mirror images.
func (e *Explainer) keep(b *batch) {
	if e.early > 0 {
		b.Early = slices.Clone(e.keeper().EarlyRows()[:b.n*e.early])
	}
}

// trace computes answers and maps with a forward and a backward pass.
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

// addMirrored averages maps with the maps of mirror images, mirrored back.
func addMirrored(maps, mirrored []float32, grid int) {
	for row := range len(maps) / grid {
		a, b := maps[row*grid:(row+1)*grid], mirrored[row*grid:(row+1)*grid]
		for i := range a {
			a[i] = (a[i] + b[grid-1-i]) / 2
		}
	}
}
