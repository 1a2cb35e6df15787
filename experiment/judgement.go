package experiment

import (
	"context"

	"melo.example/melo/imaging"
	"melo.example/melo/metric"
)

// Judged is what one method or adapter said of the same images, in one run or several.
type Judged struct {
	Name      string                // in legends; empty: there is no other
	Color     int                   // of its lines in figures, from 1
	Runs, Raw []*metric.Predictions // calibrated or not; one a run
	Numbers   *metric.Numbers       // means over the runs
	RawAll    *metric.Numbers       // the same without calibration
	average   *metric.Predictions   // of several runs
}

// Judgement is everything that a report shows of the same images.
type Judgement struct {
	Labels []string
	Boot   metric.Bootstrap
	All    []*Judged
	Name   func(k int) string // of image number k, for people
	File   func(k int) string // where it lies
	Image  func(ctx context.Context, k int) (*imaging.Image, error)
}

// Exclusive tells whether an image has one label.
func (j *Judgement) Exclusive() bool { return j.All[0].Runs[0].Exclusive }

// Mean are the mean probabilities and thresholds of the runs.
func (m *Judged) Mean() *metric.Predictions {
	if len(m.Runs) == 1 {
		return m.Runs[0]
	}
	if m.average != nil {
		return m.average
	}
	out := *m.Runs[0]
	out.Prob, out.Thresholds = make([]float64, len(out.Prob)), make([]float64, out.Labels)
	for _, p := range m.Runs {
		for i, v := range p.Prob {
			out.Prob[i] += v / float64(len(m.Runs))
		}
		for l := range out.Thresholds {
			out.Thresholds[l] += p.Threshold(l) / float64(len(m.Runs))
		}
	}
	m.average = &out
	return m.average
}
