package study

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"melo.example/melo/experiment"
	"melo.example/melo/imaging"
	"melo.example/melo/report"
)

// mistake is a wrong decision: about one label or, if labels exclude each other, about the image.
type mistake struct {
	k, truth int     // image, and its label (or the one that was decided wrongly)
	spoken   int     // the label whose map is shown: the one that was decided, or decided about
	p        float64 // probability of what is true, mean over runs
	decided  float64 // probability of what was decided
}

// mistakes lists wrong decisions of a method, those that were most certain first. With several runs the mean
// probabilities decide.
func (j judgement) mistakes(m *experiment.Judged) []mistake {
	labels := len(j.Labels)
	mean := m.Mean()
	var list []mistake
	if mean.Exclusive {
		for k := range mean.N() {
			row, truth := mean.Prob[k*labels:(k+1)*labels], slices.Index(mean.Truth[k*labels:(k+1)*labels], true)
			if decided := mean.Decided(k); decided != truth {
				list = append(list, mistake{k, truth, decided, row[truth], row[decided]})
			}
		}
	} else {
		for at, v := range mean.Prob {
			l, yes := at%labels, mean.Truth[at]
			if decided := v >= mean.Threshold(l); decided != yes {
				if !yes {
					v = 1 - v
				}
				list = append(list, mistake{at / labels, l, l, v, 1 - v})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b mistake) int { return cmp.Compare(b.decided, a.decided) })
	return list
}

// pictureSide is the longer side of a picture in a report, in pixels: enough to be enlarged a little.
const pictureSide = 384

// worst shows the images of the mistakes that were most certain, at most n a method.
func (j judgement) worst(ctx context.Context, n int) (report.Section, error) {
	s := report.Section{Title: "Worst mistakes"}
	intro := "Wrong decisions, those first whose decision had the highest probability; beside it stands what the truth was given."
	if len(j.All[0].Runs) > 1 {
		intro += " Probabilities are means over the seeds."
	}
	if j.explainer != nil && j.maps > 0 {
		intro += fmt.Sprintf(" Beside the first %d lies a map of what spoke for the label that was decided, or decided about, by attention relevance: it shows where, not whether it is so. "+
			"Each map takes about two predictions; --maps 0 leaves them out.", j.maps)
	}
	s.Parts = append(s.Parts, report.Text(intro+" This report holds these images and their names: mind who may see it."))
	for _, m := range j.All {
		list := j.mistakes(m)
		p := &report.Pictures{Title: fmt.Sprintf("%d wrong", len(list))}
		if m.Name != "" {
			p.Title = m.Name + ": " + p.Title
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
		if err := j.mapsOf(ctx, p.List, list); err != nil {
			return s, err
		}
		s.Parts = append(s.Parts, p)
	}
	return s, nil
}

func (j judgement) picture(ctx context.Context, m *experiment.Judged, x mistake) (*report.Picture, error) {
	img, err := j.Image(ctx, x.k)
	if err != nil {
		return nil, err
	}
	p, err := report.NewPicture(img, pictureSide)
	if err != nil {
		return nil, err
	}
	labels, mean := len(j.Labels), m.Mean()
	row := mean.Prob[x.k*labels : (x.k+1)*labels]
	truth, decided := j.Labels[x.truth], ""
	if mean.Exclusive {
		top := mean.Decided(x.k)
		decided = fmt.Sprintf("decided %s (%.2f)", j.Labels[top], row[top])
		p.Lines = []string{fmt.Sprintf("%s (%.2f)", truth, x.p), decided}
	} else {
		state := map[bool]string{true: "present", false: "absent"}[mean.Truth[x.k*labels+x.truth]]
		decided = fmt.Sprintf("decided for %s otherwise", truth)
		p.Lines = []string{fmt.Sprintf("%s: %s (%.2f)", truth, state, x.p)}
	}
	p.Lines = append(p.Lines, j.Name(x.k))
	p.Alt = fmt.Sprintf("Image %s, truth %s, %s", j.Name(x.k), truth, decided)
	return p, nil
}

// mapsOf puts maps beside the first pictures of mistakes.
func (j judgement) mapsOf(ctx context.Context, pictures []report.Picture, list []mistake) error {
	if j.explainer == nil {
		return nil
	}
	var labels []int
	for _, x := range list[:min(j.maps, len(list))] {
		labels = append(labels, x.spoken)
	}
	return j.explainer.Overlays(ctx, labels, pictureSide, func(ctx context.Context, k int) (*imaging.Image, error) { return j.Image(ctx, list[k].k) },
		func(k int, shown *imaging.Image) error {
			p, err := report.NewPicture(shown, pictureSide)
			if err != nil {
				return err
			}
			p.Alt = fmt.Sprintf("Map of what speaks for %s in image %s", j.Labels[labels[k]], j.Name(list[k].k))
			pictures[k].Beside = p
			return nil
		})
}
