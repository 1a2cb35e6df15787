package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"melo.example/melo/metric"
	"melo.example/melo/report"
)

// mistake is a wrong decision: about one label or, if labels exclude each other, about the image.
type mistake struct {
	k, truth int     // image, and its label (or the one that was decided wrongly)
	p        float64 // probability of what is true, mean over runs
}

// mistakes lists wrong decisions of a method, those that were most certain first. With several runs the mean
// probabilities decide.
func (j *judgement) mistakes(m *judged) []mistake {
	labels := len(j.labels)
	mean := m.mean()
	var list []mistake
	if mean.Exclusive {
		for k := range mean.N() {
			row, truth := mean.Prob[k*labels:(k+1)*labels], slices.Index(mean.Truth[k*labels:(k+1)*labels], true)
			if slices.Max(row) > row[truth] {
				list = append(list, mistake{k, truth, row[truth]})
			}
		}
	} else {
		for at, v := range mean.Prob {
			l, yes := at%labels, mean.Truth[at]
			if decided := v >= mean.Threshold(l); decided != yes {
				if !yes {
					v = 1 - v
				}
				list = append(list, mistake{at / labels, l, v})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b mistake) int { return cmp.Compare(a.p, b.p) })
	return list
}

// mean are the mean probabilities and thresholds of the runs.
func (m *judged) mean() *metric.Predictions {
	if len(m.runs) == 1 {
		return m.runs[0]
	}
	if m.average != nil {
		return m.average
	}
	out := *m.runs[0]
	out.Prob, out.Thresholds = make([]float64, len(out.Prob)), make([]float64, out.Labels)
	for _, p := range m.runs {
		for i, v := range p.Prob {
			out.Prob[i] += v / float64(len(m.runs))
		}
		for l := range out.Thresholds {
			out.Thresholds[l] += p.Threshold(l) / float64(len(m.runs))
		}
	}
	m.average = &out
	return m.average
}

// pictureSide is the longer side of a picture in a report, in pixels.
const pictureSide = 224

// worst shows the images of the mistakes that were most certain, at most n a method.
func (j *judgement) worst(ctx context.Context, n int) (report.Section, error) {
	s := report.Section{Title: "Worst mistakes"}
	intro := "Wrong decisions that were most certain, with the probability that the truth was given."
	if len(j.all[0].runs) > 1 {
		intro += " Probabilities are means over the seeds."
	}
	s.Parts = append(s.Parts, report.Text(intro+" This report holds these images and their names: mind who may see it."))
	for _, m := range j.all {
		list := j.mistakes(m)
		p := &report.Pictures{Title: fmt.Sprintf("%d wrong", len(list))}
		if m.name != "" {
			p.Title = m.name + ": " + p.Title
		}
		if len(list) > n {
			p.Title += fmt.Sprintf(", of which %d", n)
			list = list[:n]
		}
		for _, x := range list {
			picture, err := j.picture(ctx, m, x)
			if err != nil {
				return s, err
			}
			p.List = append(p.List, *picture)
		}
		s.Parts = append(s.Parts, p)
	}
	return s, nil
}

func (j *judgement) picture(ctx context.Context, m *judged, x mistake) (*report.Picture, error) {
	img, err := j.image(ctx, x.k)
	if err != nil {
		return nil, err
	}
	p, err := report.NewPicture(img, pictureSide)
	if err != nil {
		return nil, err
	}
	labels, mean := len(j.labels), m.mean()
	row := mean.Prob[x.k*labels : (x.k+1)*labels]
	truth, decided := j.labels[x.truth], ""
	if mean.Exclusive {
		top := slices.Index(row, slices.Max(row))
		decided = fmt.Sprintf("decided %s (%.2f)", j.labels[top], row[top])
		p.Lines = []string{fmt.Sprintf("%s (%.2f)", truth, x.p), decided}
	} else {
		state := map[bool]string{true: "present", false: "absent"}[mean.Truth[x.k*labels+x.truth]]
		decided = fmt.Sprintf("decided for %s otherwise", truth)
		p.Lines = []string{fmt.Sprintf("%s: %s (%.2f)", truth, state, x.p)}
	}
	p.Lines = append(p.Lines, j.file(x.k))
	p.Alt = fmt.Sprintf("Image %s, truth %s, %s", j.file(x.k), truth, decided)
	return p, nil
}
