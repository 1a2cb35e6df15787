package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"melo.example/melo/fit"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/lora/answer"
	"melo.example/melo/lora/ensemble"
)

// together describes an ensemble whose members are among contents; r.admin is held. What was described before is the same content.
func (r *Registry) together(list *ensemble.List, contents map[string]*content) (*content, error) {
	var members []*content
	var parts []ensemble.Part
	var bytes int64
	for i := range list.Members {
		m := &list.Members[i]
		c := contents[m.Digest]
		if c == nil || len(c.members) > 0 {
			return nil, fmt.Errorf("serve: %s: its member %.200q (%.19s) is not among the adapters that are served", list.Path, m.Path, m.Digest)
		}
		members, bytes = append(members, c), bytes+c.bytes
		parts = append(parts, ensemble.Part{Name: m.Path, Meta: c.card, Recipe: c.recipe})
		if c.base.root() != members[0].base.root() {
			return nil, fmt.Errorf("serve: %s: its members %.200q and %.200q are on different bases", list.Path, list.Members[0].Path, m.Path)
		}
	}
	if c := r.contents[list.Digest]; c != nil && slices.Equal(c.members, members) {
		return c, nil
	}
	meta, err := ensemble.Join(parts)
	if err != nil {
		return nil, fmt.Errorf("serve: %s: %w", list.Path, err)
	}
	first := members[0]
	base := first.base.root()
	c := &content{digest: list.Digest, base: base, lane: lane{base: base}, card: &meta, labels: first.labels, recipe: first.recipe, rule: meta.Rule(), bytes: bytes, members: members}
	c.setThresholds()
	return c, nil
}

// setThresholds fills in what requests are told.
func (c *content) setThresholds() {
	if c.card.Task == adapterfile.Multiclass {
		return
	}
	c.thresholds = make([]float64, len(c.labels))
	for i := range c.thresholds {
		c.thresholds[i] = c.rule.Threshold(i)
	}
}

// parts are what is resident of c: itself, or the members of an ensemble.
func (c *content) parts() []*content {
	if len(c.members) > 0 {
		return c.members
	}
	return []*content{c}
}

// refusedPart returns why a part of c that is not resident is not to be loaded now, or nil.
func (c *content) refusedPart() error {
	for _, part := range c.parts() {
		if err := part.refused(); err != nil && part.live.Load() == nil {
			return err
		}
	}
	return nil
}

// warmAll makes all parts of c resident once, and lets go of them.
func (r *Registry) warmAll(ctx context.Context, c *content) error {
	for _, part := range c.parts() {
		h, _, err := r.hold(ctx, part)
		if err != nil {
			return err
		}
		h.release()
	}
	return nil
}

// member is a member of an ensemble as a version to ask, whose work counts for the ensemble.
func (v *version) member(c *content) *version {
	return &version{Identity: v.Identity, content: c, path: *c.path.Load(), stats: v.stats}
}

// computeTogether asks all members of an ensemble at once, so that a batch may have them together, and answers with the mean.
func (c *call) computeTogether(v *version, q *Request, a *Answer) error {
	if c.explain != nil {
		return &InputError{fmt.Errorf("%s is an ensemble, whose answers are not explained here: ask its members, or melo explain", v.Name)}
	}
	members := v.content.members
	items, timings := make([]*item, len(members)), make([]Timing, len(members))
	var group errgroup.Group
	for k, m := range members {
		group.Go(func() (err error) {
			items[k], err = c.row(v.member(m), q.Input, &timings[k])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	parts, verdicts, metas := make([]answer.Answer, len(items)), make([]*fit.Verdict, len(items)), make([]*adapterfile.Metadata, len(items))
	for k, it := range items {
		var err error
		if parts[k], err = members[k].rule.Of(it.logits); err != nil {
			return &AnswerError{v.Name, err}
		}
		verdicts[k], metas[k] = it.fit, members[k].card
		t := &timings[k]
		a.Timing.Load, a.Timing.Prepare = max(a.Timing.Load, t.Load), max(a.Timing.Prepare, t.Prepare)
		a.Timing.Queue, a.Timing.Compute, a.Timing.Batch = max(a.Timing.Queue, it.wait), max(a.Timing.Compute, it.compute), max(a.Timing.Batch, it.batch)
	}
	a.Remarks = items[0].remarks
	mean, err := v.content.rule.Mean(parts)
	if err != nil {
		return &AnswerError{v.Name, err}
	}
	return a.fill(v, mean.Logits, ensemble.MeanFit(metas, verdicts), c.e.config.Refuse, q.Coverage)
}

// again looks at the files of a version that have changed under the hands of a request.
func (r *Registry) again(ctx context.Context, v *version) error {
	if len(v.content.members) > 0 { // which may have any names
		return r.Scan(ctx)
	}
	return r.refresh(ctx, v.Name)
}

// errEnsemble is what is asked of one adapter alone.
var errEnsemble = errors.New("serve: is an ensemble, expected an adapter")
