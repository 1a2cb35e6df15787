// Package conformal turns probabilities into sets of labels that hold the truth for a chosen share of images: split conformal
// prediction (Vovk; Papadopoulos et al. 2002) with the score 1 - p of the true label (Sadinle, Lei and Wasserman 2019). The
// guarantee is over images that come as those of the calibration did: it says nothing about images of another kind.
package conformal

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// MaxScores bounds the scores of a group. Of more than so many, order statistics in equal steps are kept, which makes sets a little
// larger than they need to be, never smaller.
const MaxScores = 100

// EnoughImages is the number of calibration images of a label from which its own scores are used; below, those of all labels.
const EnoughImages = 20

// digits of a stored score; it is rounded up.
const digits = 1e-4

// Group are scores of calibration images, 1 less the probability of what was true of them.
type Group struct {
	N      int       `json:"n"`      // images
	Scores []float64 `json:"scores"` // ascending, each 0 to 1; at most MaxScores
}

// NewGroup keeps scores, which it sorts.
func NewGroup(scores []float64) Group {
	slices.Sort(scores)
	g := Group{N: len(scores), Scores: []float64{}}
	keep := min(len(scores), MaxScores)
	for k := 1; k <= keep; k++ {
		v := scores[(k*len(scores)+keep-1)/keep-1]
		g.Scores = append(g.Scores, min(1, math.Ceil(v/digits-1e-9)*digits))
	}
	return g
}

// Quantile is the greatest score of what belongs into a set with coverage (0 to 1): the score of rank ceil((n+1) coverage). It is 1,
// so that everything belongs, where there are too few images to leave anything out.
func (g *Group) Quantile(coverage float64) float64 {
	rank := int(math.Ceil(float64(g.N+1)*coverage - 1e-9))
	if rank > g.N || len(g.Scores) == 0 {
		return 1
	}
	k := (rank*len(g.Scores) + g.N - 1) / g.N // the first kept one of that rank or above
	return g.Scores[max(k, 1)-1]
}

// Calibration are the scores of an adapter's validation images. Of labels that exclude each other All and Labels are used: all
// images, and those of each label. Of others Labels and Absent are: for each label, images that have it and images that do not.
type Calibration struct {
	All    *Group  `json:"all,omitempty"`
	Labels []Group `json:"labels"`
	Absent []Group `json:"absent,omitempty"`
}

// New calibrates on the probabilities and truths of n images, [n, labels]. It is nil if there are no images.
func New(prob []float64, truth []bool, labels int, exclusive bool) *Calibration {
	if len(prob) == 0 || labels < 1 || len(prob) != len(truth) {
		return nil
	}
	c := &Calibration{}
	var all []float64
	for l := range labels {
		var present, absent []float64
		for at := l; at < len(prob); at += labels {
			if truth[at] {
				present = append(present, 1-prob[at])
			} else {
				absent = append(absent, prob[at])
			}
		}
		all = append(all, present...)
		c.Labels = append(c.Labels, NewGroup(present))
		if !exclusive {
			c.Absent = append(c.Absent, NewGroup(absent))
		}
	}
	if exclusive {
		g := NewGroup(all)
		c.All = &g
	}
	return c
}

// Set is what is said of one image.
type Set struct {
	Coverage float64 `json:"coverage"` // share of images whose truth the set holds, by calibration
	// Labels are those that cannot be excluded, in the order of the adapter's.
	Labels []string `json:"labels"`
	// Sure are those of Labels that are certain at this coverage: the only one of labels that exclude each other, or one whose absence
	// can be excluded.
	Sure []string `json:"sure"`
}

// Check refuses a coverage that cannot be.
func Check(coverage float64) error {
	if !(coverage > 0 && coverage < 1) {
		return fmt.Errorf("coverage %v, expected more than 0 and less than 1", coverage)
	}
	return nil
}

// Of returns the set for the probabilities of one image, one a label. Of labels that exclude each other the most probable one is
// always in it. Of others each label has the coverage by itself.
func (c *Calibration) Of(prob []float64, labels []string, coverage float64) Set {
	s := Set{Coverage: coverage, Labels: []string{}, Sure: []string{}}
	top := 0
	for l, p := range prob {
		if p > prob[top] {
			top = l
		}
	}
	for l, p := range prob {
		if c.All == nil {
			present, absent := 1-p <= c.Labels[l].Quantile(coverage), p <= c.Absent[l].Quantile(coverage)
			if !present && !absent { // neither fits: the likelier one
				present = p >= 0.5
				absent = !present
			}
			if present {
				s.Labels = append(s.Labels, labels[l])
				if !absent {
					s.Sure = append(s.Sure, labels[l])
				}
			}
			continue
		}
		if l == top || 1-p <= c.group(l).Quantile(coverage) {
			s.Labels = append(s.Labels, labels[l])
		}
	}
	if c.All != nil && len(s.Labels) == 1 {
		s.Sure = append(s.Sure, s.Labels...)
	}
	return s
}

// group has the scores that decide about one of exclusive labels.
func (c *Calibration) group(label int) *Group {
	if c.Labels[label].N >= EnoughImages {
		return &c.Labels[label]
	}
	return c.All
}

// Validate returns an error if c cannot be of so many labels.
func (c *Calibration) Validate(labels int, exclusive bool) error {
	if len(c.Labels) != labels {
		return fmt.Errorf("%d groups of scores for %d labels", len(c.Labels), labels)
	}
	if exclusive != (c.All != nil) || exclusive == (len(c.Absent) > 0) || !exclusive && len(c.Absent) != labels {
		return errors.New("groups of scores that do not fit the task")
	}
	groups := slices.Concat(c.Labels, c.Absent)
	if c.All != nil {
		groups = append(groups, *c.All)
	}
	for i, g := range groups {
		if g.N < len(g.Scores) || len(g.Scores) > MaxScores || g.N > 0 && len(g.Scores) == 0 || !slices.IsSorted(g.Scores) {
			return fmt.Errorf("group %d of scores: %d images with %d scores, expected at most %d, ascending", i, g.N, len(g.Scores), MaxScores)
		}
		for _, v := range g.Scores {
			if !(v >= 0 && v <= 1) {
				return fmt.Errorf("group %d of scores has %v, expected 0 to 1", i, v)
			}
		}
	}
	return nil
}
