// Package conformal turns probabilities into sets of labels that contain the truth for a chosen fraction of
// images: split conformal prediction (Vovk; Papadopoulos et al. 2002) with the score 1 - p of the true label
// (Sadinle, Lei and Wasserman 2019). The guarantee holds for images from the same distribution as the
// calibration images, not for other kinds of images.
package conformal

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// MaxScores limits the stored scores of a group. If there are more, evenly spaced order statistics are kept,
// which can make sets slightly larger than necessary, but never smaller.
const MaxScores = 100

// EnoughImages is the number of calibration images of a label from which its own scores are used. With fewer,
// the scores of all labels are used.
const EnoughImages = 20

// digits is the resolution of a stored score. Scores are rounded up.
const digits = 1e-4

// Group holds the scores of calibration images: 1 minus the probability of the truth.
type Group struct {
	N      int       `json:"n"`      // number of images
	Scores []float64 `json:"scores"` // ascending, each in [0, 1]; at most MaxScores
}

// NewGroup returns a group of scores. It sorts scores in place.
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

// Quantile returns the largest score that belongs in a set with coverage (0 to 1): the score of rank ceil((n+1)
// coverage). It is 1, so that every label belongs, if there are too few images to exclude any.
func (g *Group) Quantile(coverage float64) float64 {
	rank := int(math.Ceil(float64(g.N+1)*coverage - 1e-9))
	if rank > g.N || len(g.Scores) == 0 {
		return 1
	}
	k := (rank*len(g.Scores) + g.N - 1) / g.N // the first stored score of at least that rank
	return g.Scores[max(k, 1)-1]
}

// Calibration holds the scores of an adapter's validation images. For exclusive labels it has All (all images)
// and Labels (images of each label). For others it has, for each label, Labels (images that have it) and Absent
// (images that do not).
type Calibration struct {
	All    *Group  `json:"all,omitempty"`
	Labels []Group `json:"labels"`
	Absent []Group `json:"absent,omitempty"`
}

// New calibrates on the probabilities and true labels of n images, [n, labels]. It returns nil without images.
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

// Set is the prediction set of one image.
type Set struct {
	Coverage float64 `json:"coverage"` // intended fraction of images whose truth is in the set
	// Labels lists the labels that cannot be excluded, in the adapter's order.
	Labels []string `json:"labels"`
	// Sure lists those of Labels that are certain at this coverage: an exclusive label that is the only one in
	// the set, or another label whose absence can be excluded.
	Sure []string `json:"sure"`
}

// Check returns an error for an invalid coverage.
func Check(coverage float64) error {
	if !(coverage > 0 && coverage < 1) {
		return fmt.Errorf("coverage %v, expected more than 0 and less than 1", coverage)
	}
	return nil
}

// Of returns the set for the probabilities of one image, one per label. For exclusive labels the most probable
// one is always included. For others the coverage holds for each label separately.
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
			if !present && !absent { // neither conforms: take the more likely one
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

// group returns the scores that apply to one of exclusive labels.
func (c *Calibration) group(label int) *Group {
	if c.Labels[label].N >= EnoughImages {
		return &c.Labels[label]
	}
	return c.All
}

// Validate returns an error if c is not a valid calibration for that many labels.
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
