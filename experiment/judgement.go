package experiment

import (
	"context"

	"melo.example/melo/imaging"
	"melo.example/melo/metric"
)

// Judged holds the predictions of one method or adapter for the same images, in one or several runs.
type Judged struct {
	Name      string                // name in legends; "" if it is the only one
	Color     int                   // colour number in figures, from 1
	Runs, Raw []*metric.Predictions // calibrated and uncalibrated, one per run
	Numbers   *metric.Numbers       // means over the runs
	RawAll    *metric.Numbers       // the same, uncalibrated
	average   *metric.Predictions   // mean predictions of several runs
}

// Judgement is everything that a report shows about a set of images.
type Judgement struct {
	Labels []string
	Boot   metric.Bootstrap
	All    []*Judged
	Name   func(k int) string // display name of image k
	File   func(k int) string // path of image k
	Image  func(ctx context.Context, k int) (*imaging.Image, error)
}

// Exclusive reports whether each image has exactly one label.
func (j *Judgement) Exclusive() bool { return j.All[0].Runs[0].Exclusive }

// Mean returns the mean probabilities and thresholds of the runs.
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
