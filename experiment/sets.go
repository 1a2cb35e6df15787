package experiment

import (
	"cmp"
	"slices"

	"melo.example/melo/lora/answer"
	"melo.example/melo/metric"
)

// DefaultCoverage is the default coverage of prediction sets.
const DefaultCoverage = 0.9

// SetNumbers holds the results of prediction sets of a given coverage on the images of an evaluation. For
// labels that are not exclusive every label of every image counts separately; it is held if its true state
// cannot be excluded.
type SetNumbers struct {
	Coverage     float64      `json:"coverage"` // requested
	Calibrated   int          `json:"calibrated_on"`
	N            int          `json:"n"`            // images with a set; images unlike the training images have none
	Held         *float64     `json:"held"`         // fraction whose truth is in the set
	HeldInterval *[2]float64  `json:"held_ci"`      // Wilson's interval, for independent images
	MeanSize     float64      `json:"mean_size"`    // labels per set
	Single       *float64     `json:"single"`       // fraction of images with a single label in the set
	SingleRight  *float64     `json:"single_right"` // fraction of these where it is correct
	RightRange   *[2]float64  `json:"single_right_ci"`
	PerLabel     []LabelHeld  `json:"per_label"`
	Abstention   []Abstention `json:"abstention"` // for exclusive labels; else empty
}

// LabelHeld is how often sets contain a label if it is true.
type LabelHeld struct {
	Label    string      `json:"label"`
	N        int         `json:"n"`
	Held     *float64    `json:"held"`
	Interval *[2]float64 `json:"held_ci"`
}

// Abstention is the accuracy if only the most certain images are answered.
type Abstention struct {
	Answered float64     `json:"answered"`   // fraction of the images
	Least    float64     `json:"confidence"` // confidence of the least certain answered image
	Accuracy float64     `json:"accuracy"`
	Interval *[2]float64 `json:"accuracy_ci"` // Wilson's interval
}

// tally counts successes.
type tally struct{ yes, n int }

func (t *tally) add(yes bool) {
	t.n++
	if yes {
		t.yes++
	}
}

// share returns the fraction of successes with Wilson's interval; nil if there are no trials.
func (t *tally) share() (*float64, *[2]float64) {
	if t.n == 0 {
		return nil, nil
	}
	v := float64(t.yes) / float64(t.n)
	low, high := metric.Wilson(t.yes, t.n, metric.DefaultLevel)
	return &v, &[2]float64{low, high}
}

// sets evaluates the prediction sets; nil if the adapter has no calibration for them.
func (j *evalJob) sets() *SetNumbers {
	c := j.rule.Sets
	if c == nil || j.o.Coverage < 0 {
		return nil
	}
	d := &SetNumbers{Coverage: cmp.Or(j.o.Coverage, DefaultCoverage), PerLabel: []LabelHeld{}, Abstention: []Abstention{}}
	if c.All != nil {
		d.Calibrated = c.All.N
	} else {
		d.Calibrated = c.Labels[0].N + c.Absent[0].N
	}
	var held, single, right tally
	perLabel := make([]tally, len(j.rule.Labels))
	size := 0
	for k, i := range j.samples {
		s := j.rule.Set(&j.answers[k], d.Coverage)
		if s == nil {
			continue
		}
		d.N++
		size += len(s.Labels)
		for l, name := range j.rule.Labels {
			in, has := slices.Contains(s.Labels, name), j.has(i, l)
			switch {
			case has:
				held.add(in)
				perLabel[l].add(in)
			case c.All == nil:
				held.add(!slices.Contains(s.Sure, name))
			}
		}
		if c.All == nil {
			continue
		}
		single.add(len(s.Labels) == 1)
		if len(s.Labels) == 1 {
			right.add(j.has(i, slices.Index(j.rule.Labels, s.Labels[0])))
		}
	}
	if d.N == 0 {
		return d
	}
	d.MeanSize = float64(size) / float64(d.N)
	d.Held, d.HeldInterval = held.share()
	d.Single, _ = single.share()
	d.SingleRight, d.RightRange = right.share()
	for l, name := range j.rule.Labels {
		e := LabelHeld{Label: name, N: perLabel[l].n}
		e.Held, e.Interval = perLabel[l].share()
		d.PerLabel = append(d.PerLabel, e)
	}
	if c.All != nil {
		d.Abstention = j.abstention()
	}
	return d
}

// abstention answers only the most certain images, for several fractions, and reports the accuracy of the most
// probable label. Images unlike the training images are never answered.
func (j *evalJob) abstention() []Abstention {
	type one struct {
		confidence float64
		right      bool
	}
	var list []one
	for k, i := range j.samples {
		if a := &j.answers[k]; !a.Unlike() {
			top := answer.Top(a.Probabilities)
			list = append(list, one{a.Probabilities[top], j.has(i, top)})
		}
	}
	slices.SortStableFunc(list, func(a, b one) int { return cmp.Compare(b.confidence, a.confidence) })
	out := []Abstention{}
	var t tally
	next := 1
	for k, x := range list {
		t.add(x.right)
		// A tenth is complete, and the next image is less certain. Ties are answered together.
		if 10*(k+1) < next*len(list) || k+1 < len(list) && list[k+1].confidence == x.confidence {
			continue
		}
		a := Abstention{Answered: float64(k+1) / float64(len(j.samples)), Least: x.confidence}
		var v *float64
		v, a.Interval = t.share()
		a.Accuracy = *v
		out = append(out, a)
		for next <= 10 && 10*(k+1) >= next*len(list) {
			next++
		}
	}
	return out
}
