package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"melo.example/melo/compute"
	"melo.example/melo/explain"
	"melo.example/melo/fit"
	"melo.example/melo/imaging"
	"melo.example/melo/vit"
)

// Explaining says what is to be explained of an answer, and how. The zero value is the label that the answer names, by the
// default method.
type Explaining struct {
	// Method is how the map is made; empty is explain.Default.
	Method explain.Method
	// Label is explained, empty: that of the answer. Against is what it is compared with, empty: nothing.
	Label, Against string
	// Window and Stride of explain.Occlusion, in patches; 0 are its defaults.
	Window, Stride int
}

// Explanation is an answer and where it comes from.
type Explanation struct {
	Answer
	Method    explain.Method
	Explained string  // label that is explained
	Against   string  // label that it is compared with; empty: none
	Share     float64 // probability of Explained
	// Map [Grid, Grid] has a number for each patch, row by row, as explain.Explainer makes it. Region is where it lies in
	// the image, in pixels; Width and Height are those of the image, upright. Of a tensor they are its own.
	Map           []float32
	Grid          int
	Region        imaging.Region
	Width, Height int
}

// MaxPredictions is how many predictions a map may take: those of explain.Occlusion.
const MaxPredictions = 4096

// CostError says that a map takes more than a request may.
type CostError struct {
	Predictions int           // of the map
	Takes, Left time.Duration // by estimate; 0: there are too many in any case
}

// Error says what it takes, and what to do.
func (e *CostError) Error() string {
	if e.Takes == 0 {
		return fmt.Sprintf("serve: a map by %s takes %d predictions, the limit is %d: choose a larger stride, or another method", explain.Occlusion, e.Predictions, MaxPredictions)
	}
	return fmt.Sprintf("serve: a map by %s takes %d predictions, about %.0f s, and the request has %.0f s: choose a larger stride, or another method",
		explain.Occlusion, e.Predictions, e.Takes.Seconds(), e.Left.Seconds())
}

// Explain answers a request as Predict does, and says which patches the answer rests on. The methods that go back through the
// network have a batch of their own, which waits for its turn like a request; explain.Occlusion asks one prediction after the other,
// with the same turns. Errors are those of Predict, an InputError for what cannot be explained, and CostError.
func (e *Engine) Explain(ctx context.Context, q Request, how Explaining) (Explanation, error) {
	if err := e.enter(); err != nil {
		return Explanation{}, err
	}
	defer e.leave()
	c := &call{e: e, ctx: ctx, ended: make(chan struct{})}
	var err error
	if c.explain, err = newExplaining(how); err != nil {
		return Explanation{}, &InputError{err}
	}
	answer, err := c.one(q)
	x := c.explain.out
	x.Answer = answer
	if err != nil {
		return Explanation{Answer: answer}, err
	}
	x.Share = x.Probabilities[c.explain.score.Label]
	return x, nil
}

// ExplainBytes estimates the memory that a map of an adapter takes beside its base, for a request; 0 of an adapter that
// there is not.
func (e *Engine) ExplainBytes(name, version string, m explain.Method) int64 {
	v, err := e.registry.resolve(name, version)
	if err != nil {
		return 0
	}
	c := &v.content.base.model.Config
	way, back := m.Tracing(c)
	if !back { // windows that are covered at once
		return 4 * int64(2*e.queue.rows) * int64(c.Channels*c.Image*c.Image)
	}
	images := 1
	if v.content.card.Mirror {
		images = 2
	}
	return vit.TracedBytes(c, v.content.base.model.Precision, way, images)
}

// explaining is an explanation under way.
type explaining struct {
	how    Explaining
	method explain.Method
	choice explain.Choice
	score  explain.Score
	out    Explanation
}

func newExplaining(how Explaining) (*explaining, error) {
	method, err := explain.ParseMethod(string(how.Method))
	switch {
	case err != nil:
		return nil, err
	case method != explain.Occlusion && (how.Window != 0 || how.Stride != 0):
		return nil, fmt.Errorf("a window and a stride go with the method %s, this is %s", explain.Occlusion, method)
	case how.Window < 0 || how.Stride < 0:
		return nil, fmt.Errorf("a window of %d and a stride of %d patches, expected at least 1", how.Window, how.Stride)
	}
	return &explaining{how: how, method: method}, nil
}

// name is the method's; empty where nothing is explained.
func (x *explaining) name() string {
	if x == nil {
		return ""
	}
	return string(x.method)
}

// begin finds the labels among those of a version, and where a map lies in the image.
func (x *explaining) begin(v *version, in Input) error {
	var err error
	if x.choice, err = explain.Choose(v.content.labels, x.how.Label, x.how.Against); err != nil {
		return &InputError{err}
	}
	c := &v.content.base.model.Config
	x.out = Explanation{Method: x.method, Grid: c.Grid(), Width: c.Image, Height: c.Image,
		Region: imaging.Region{W: float64(c.Image), H: float64(c.Image)}}
	if in.Image == nil {
		return nil
	}
	x.out.Width, x.out.Height = in.Image.W, in.Image.H
	if x.out.Region, err = v.content.recipe.Region(in.Image.W, in.Image.H); err != nil {
		return &InputError{err}
	}
	return nil
}

// found takes what a method found about a version's answer, or why it found nothing.
func (x *explaining) found(v *version, s explain.Score, values []float32, err error) error {
	var input *InputError
	if err == nil && !compute.Finite(values) {
		err = errors.New("the map is not finite")
	}
	switch {
	case errors.As(err, &input):
		return err
	case err != nil:
		return &AnswerError{v.Name, err}
	}
	x.score, x.out.Map = s, values
	x.out.Explained, x.out.Against = x.choice.Names(s)
	return nil
}

// scoreOf returns the score that is explained of an answer.
func (c *content) scoreOf(choice explain.Choice, logits []float32) (explain.Score, error) {
	a, err := c.rule.Of(logits)
	if err != nil {
		return explain.Score{}, err
	}
	s, err := choice.Score(a.Index)
	if err != nil {
		return s, &InputError{err}
	}
	return s, nil
}

// trace is what an item asks beside its answer, and what was found.
type trace struct {
	method explain.Method
	choice explain.Choice

	score  explain.Score
	values []float32 // the map
	err    error
}

// traced answers an item by one pass there and back.
func (r *runner) traced(it *item, left int) {
	start := time.Now()
	r.since.Store(int64(start.Sub(r.epoch)) + 1)
	r.base = it.handle.content.base
	r.stack = r.base.stack
	it.trace.err = r.trace(it)
	r.ordered = append(r.ordered[:0], it)
	passes := 1
	if it.mirrored() {
		passes = 2
	}
	r.end(start, passes, left)
}

// trace fills in what an item asks. The memory of the way back is made anew, and counts against that of requests meanwhile.
func (r *runner) trace(it *item) error {
	explainer, err := explain.New(explain.Subject{Model: r.model, Adapter: it.handle.adapter, Mirror: it.mirrored()},
		explain.Options{Method: it.trace.method, Batch: 1})
	if err != nil {
		return &InputError{err}
	}
	if it.handle.fit != nil {
		explainer.KeepEarly(compute.MiddleBlock(&r.model.Config))
	}
	found, err := explainer.Explain(it.input.data, 1, func(_ int, logits []float32) (s explain.Score, err error) {
		it.logits = logits
		s, err = it.handle.content.scoreOf(it.trace.choice, logits)
		it.trace.score = s
		return s, err
	})
	if err != nil {
		return err
	}
	it.trace.values = found.Maps
	if len(found.Early) > 0 {
		verdict := it.handle.fit.Of(found.Early)
		it.fit = &verdict
	}
	return nil
}

// occlude answers by predictions of the image with one part after the other covered.
func (c *call) occlude(v *version, q *Request, a *Answer) error {
	start := time.Now()
	in, err := c.prepare(q.Input, v.content)
	a.Timing.Prepare += time.Since(start)
	if err != nil {
		return err
	}
	defer in.release()
	a.Remarks = in.remarks
	asked := &asking{call: c, version: v}
	how := explain.Options{Method: explain.Occlusion, Window: c.explain.how.Window, Stride: c.explain.how.Stride, Batch: 2 * c.e.queue.rows}
	explainer, err := explain.NewAsking(&v.content.base.model.Config, len(v.content.labels), how, asked.logits)
	if err != nil {
		return &InputError{err}
	}
	if err := c.affords(explainer.Predictions(), v.content); err != nil {
		return err
	}
	var score explain.Score
	began := time.Now()
	found, err := explainer.Explain(in.data, 1, func(_ int, logits []float32) (s explain.Score, err error) {
		score, err = v.content.scoreOf(c.explain.choice, logits)
		return score, err
	})
	a.Timing.Compute, a.Timing.Batch = time.Since(began), 1
	if asked.err != nil {
		return asked.err
	}
	if err := c.explain.found(v, score, found.Maps, err); err != nil {
		return err
	}
	return a.fill(v, found.Logits, asked.fit, c.e.config.Refuse, q.Coverage)
}

// affords returns an error if so many predictions are too many, or take longer than the request has.
func (c *call) affords(predictions int, x *content) error {
	if predictions > MaxPredictions {
		return &CostError{Predictions: predictions}
	}
	each := x.base.perImage()
	if x.card.Mirror {
		each *= 2
	}
	takes := time.Duration(predictions) * each
	if deadline, ok := c.ctx.Deadline(); ok && takes > time.Until(deadline) {
		return &CostError{Predictions: predictions, Takes: takes, Left: time.Until(deadline)}
	}
	return nil
}

// asking are the predictions of one explanation.
type asking struct {
	*call
	version *version
	fit     *fit.Verdict // of the first input, which is the image itself
	err     error
	begun   bool
}

// logits returns those of n inputs, which wait for their turn like requests. They are not told to the observer one by one.
func (c *asking) logits(inputs []float32, n int) ([]float32, error) {
	part := &call{e: c.e, ctx: c.ctx, logits: true, ended: make(chan struct{})}
	answers, errs := make([]Answer, n), make([]error, n)
	next := make(chan int)
	var group sync.WaitGroup
	each := len(inputs) / n
	for range min(n, 2*c.e.queue.rows) {
		group.Go(func() {
			for i := range next {
				errs[i] = part.compute(c.version, &Request{Input: Input{Tensor: inputs[i*each : (i+1)*each]}}, &answers[i])
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
	var all []float32
	for i := range answers {
		if c.err = errs[i]; c.err != nil {
			return nil, c.err
		}
		all = append(all, answers[i].Logits...)
	}
	if !c.begun {
		c.begun, c.fit = true, answers[0].Fit
	}
	return all, nil
}
