package experiment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"melo.example/melo/internal/text"
	"melo.example/melo/train"
)

// sweep is a sweep in progress.
type sweep struct {
	o          *SweepOptions
	hook       Hook
	base       *Base
	set        *Set
	candidates []*candidate
	rounds     []float64 // fraction of the epochs in each round
	info       Data
}

// sweepRun is the result of one run of a candidate.
type sweepRun struct {
	doc    *Result // nil if it failed
	failed string  // reason
}

// shares returns the fraction of its epochs that a candidate gets in each round. There are as many rounds as
// leave about one candidate for the last, with at least two epochs per round.
func (o *SweepOptions) shares(candidates, epochs int) []float64 {
	shares := []float64{1}
	if o.Search == "grid" {
		return shares
	}
	for n, share := candidates/o.Eta, 1/float64(o.Eta); n >= 1 && share*float64(epochs) >= 2; n, share = n/o.Eta, share/float64(o.Eta) {
		shares = append(shares, share)
	}
	slices.Reverse(shares)
	return shares
}

// search trains the candidates, round by round.
func (j *sweep) search(ctx context.Context) error {
	fewest := j.candidates[0].o.Epochs
	for _, c := range j.candidates {
		fewest = min(fewest, c.o.Epochs)
	}
	j.rounds = j.o.shares(len(j.candidates), fewest)
	left := slices.Clone(j.candidates)
	for round, share := range j.rounds {
		last := round == len(j.rounds)-1
		runs := left
		if !last { // the given settings need no trial: they take part in the last round in any case
			runs = slices.DeleteFunc(slices.Clone(left), func(c *candidate) bool { return c.given })
		}
		for i, c := range runs {
			title := fmt.Sprintf("round %d of %d, candidate %d of %d", round+1, len(j.rounds), i+1, len(runs))
			if err := j.try(ctx, c, round+1, int(math.Ceil(share*float64(c.o.Epochs))), title); err != nil {
				return err
			}
		}
		if last {
			break
		}
		slices.SortStableFunc(runs, better)
		keep := max(1, (len(runs)+j.o.Eta-1)/j.o.Eta)
		left = append(slices.Clone(runs[:keep]), j.candidates[0])
		slices.SortStableFunc(left, func(a, b *candidate) int {
			return cmp.Compare(slices.Index(j.candidates, a), slices.Index(j.candidates, b))
		})
	}
	slices.SortStableFunc(j.candidates, func(a, b *candidate) int { return cmp.Or(cmp.Compare(b.round, a.round), better(a, b)) })
	return nil
}

// try trains a candidate with every seed, unless that was done before.
func (j *sweep) try(ctx context.Context, c *candidate, round, epochs int, title string) error {
	c.round, c.epochs, c.runs = round, epochs, nil
	settings, _, err := j.o.tried()
	if err != nil {
		return err
	}
	for seed := 1; seed <= j.o.Seeds; seed++ {
		o := c.run(j.o.Folder, settings, epochs, uint64(seed))
		o.Title = title
		job, err := NewRun(o, j.base, j.set, j.hook)
		if err != nil {
			return err
		}
		j.info = job.info
		r := sweepRun{doc: job.Finished()}
		if r.doc == nil {
			if err := job.OtherRun(); err != nil {
				return err
			}
			if r.doc, err = job.Train(ctx, time.Now()); err != nil {
				var diverged *train.NotFiniteError
				if !errors.As(err, &diverged) {
					return err
				}
				r.failed = text.OneLine(err)
			}
		}
		if r.doc != nil && r.doc.Validation.Samples == 0 {
			return badInput(fmt.Errorf("%s: has no validation images to compare candidates on", j.set.path))
		}
		c.runs = append(c.runs, r)
	}
	j.hook.tell(Tried{Title: title, Candidate: c.words(settings), AUC: c.auc(), Failed: c.failed()})
	return nil
}

// words returns a candidate's values as text.
func (c *candidate) words(settings []tunable) string {
	var parts []string
	for k, s := range settings {
		parts = append(parts, s.name+" "+c.values[k])
	}
	words := strings.Join(parts, ", ")
	if c.given {
		words += " (as given)"
	}
	return words
}

// failed returns why a run of the last round failed, or "".
func (c *candidate) failed() string {
	for _, r := range c.runs {
		if r.failed != "" {
			return r.failed
		}
	}
	return ""
}

// mean returns the mean of a validation score over the seeds; NaN if a run has none.
func (c *candidate) mean(score func(*Result) (float64, bool)) float64 {
	sum := 0.0
	for _, r := range c.runs {
		if r.doc == nil {
			return math.NaN()
		}
		v, ok := score(r.doc)
		if !ok {
			return math.NaN()
		}
		sum += v
	}
	return sum / float64(len(c.runs))
}

func (c *candidate) score(name string) float64 {
	return c.mean(func(d *Result) (float64, bool) {
		v, ok := d.Validation.Uncalibrated[name]
		return v, ok
	})
}

func (c *candidate) auc() float64 { return c.score(train.AUC) }

// better orders candidates by AUC, then by log loss. Candidates without scores come last.
func better(a, b *candidate) int {
	return cmp.Or(fallBack(-a.auc(), -b.auc()), fallBack(a.score(train.LogLoss), b.score(train.LogLoss)))
}

// fallBack compares numbers; NaN comes last.
func fallBack(a, b float64) int {
	switch {
	case math.IsNaN(a) && math.IsNaN(b):
		return 0
	case math.IsNaN(a):
		return 1
	case math.IsNaN(b):
		return -1
	}
	return cmp.Compare(a, b)
}
