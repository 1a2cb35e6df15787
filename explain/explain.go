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

// Default is the method that is taken where none is named.
const Default = GradCAM

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
	tracer  compute.Tracer // of the methods that go back
	engine  compute.Engine // of Occlusion
	pixels  []float32
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
	switch {
	case method == Occlusion:
		e.engine = s.Model.NewEngine(o.Batch)
	case method == GradCAM:
		e.tracer, err = s.Model.NewTracer(o.Batch, compute.Tracing{From: s.Model.Depth - 1, Normed: true})
	default:
		e.tracer, err = s.Model.NewTracer(o.Batch, compute.Tracing{Attention: true})
	}
	return e, err
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

// Logits returns the logits [n, Classes] of n inputs [n, 3, Image, Image], the means of both passes where the subject mirrors.
func (e *Explainer) Logits(inputs []float32, n int) []float32 {
	if e.engine == nil {
		e.engine = e.subject.Model.NewEngine(e.options.Batch)
	}
	each, classes := len(inputs)/n, e.Classes()
	out := make([]float32, 0, n*classes)
	for first := 0; first < n; first += e.options.Batch {
		k := min(e.options.Batch, n-first)
		out = append(out, e.pass(inputs[first*each:(first+k)*each], k)...)
	}
	return out
}

// pass is Logits of one batch.
func (e *Explainer) pass(inputs []float32, n int) []float32 {
	segment := compute.Segment{Adapter: e.subject.Adapter, Images: n}
	logits := make([]float32, n*e.Classes())
	e.head.logits(logits, e.engine.Features(inputs, n, segment))
	if e.subject.Mirror {
		other := make([]float32, len(logits))
		e.head.logits(other, e.engine.Features(e.mirrored(inputs), n, segment))
		for i, v := range other {
			logits[i] = (logits[i] + v) / 2
		}
	}
	return logits
}

// mirrored returns mirror images, in memory that the next call uses again.
func (e *Explainer) mirrored(inputs []float32) []float32 {
	e.pixels = append(e.pixels[:0], inputs...)
	imaging.Mirror(e.pixels, e.subject.Model.Image)
	return e.pixels
}

// Maps returns the maps [n, Grid, Grid] of n inputs [n, 3, Image, Image], which were prepared by the recipe, for the score of
// each. Rows are from the top, columns from the left.
func (e *Explainer) Maps(inputs []float32, n int, scores []Score) ([]float32, error) {
	c := &e.subject.Model.Config
	each, size := c.Channels*c.Image*c.Image, c.Grid()*c.Grid()
	if n < 1 || len(inputs) != n*each || len(scores) != n {
		return nil, fmt.Errorf("explain: %d numbers and %d scores for %d images, expected %d numbers an image", len(inputs), len(scores), n, each)
	}
	for _, s := range scores {
		if err := e.head.check(s); err != nil {
			return nil, err
		}
	}
	maps := make([]float32, 0, n*size)
	for first := 0; first < n; first += e.options.Batch {
		k := min(e.options.Batch, n-first)
		maps = append(maps, e.batch(inputs[first*each:(first+k)*each], k, scores[first:first+k])...)
	}
	return maps, nil
}

// batch is Maps of one batch.
func (e *Explainer) batch(inputs []float32, n int, scores []Score) []float32 {
	if e.options.Method == Occlusion {
		return e.occlude(inputs, n, scores)
	}
	maps := e.trace(inputs, n, scores)
	if !e.subject.Mirror {
		return maps
	}
	grid := e.Grid()
	for row, other := 0, e.trace(e.mirrored(inputs), n, scores); row < len(maps)/grid; row++ {
		a, b := maps[row*grid:(row+1)*grid], other[row*grid:(row+1)*grid]
		for i := range a {
			a[i] = (a[i] + b[grid-1-i]) / 2
		}
	}
	return maps
}

// trace makes maps of one pass there and back.
func (e *Explainer) trace(inputs []float32, n int, scores []Score) []float32 {
	e.tracer.Features(inputs, n, compute.Segment{Adapter: e.subject.Adapter, Images: n})
	c := &e.subject.Model.Config
	gradient := make([]float32, n*c.Features())
	for i, s := range scores {
		e.head.gradient(gradient[i*c.Features():(i+1)*c.Features()], s)
	}
	maps := make([]float32, n*c.Grid()*c.Grid())
	if e.options.Method == GradCAM {
		e.tracer.Back(gradient, &activation{c: c, maps: maps})
		return maps
	}
	r := newRelevance(c, n, e.options.Method == Rollout)
	e.tracer.Back(gradient, r)
	r.write(maps)
	return maps
}
