package experiment

import (
	"fmt"
	"slices"

	"melo.example/melo/metric"
)

// pooledData describes the data of all folds: every image is a test image once per repeat.
func (j *compareJob) pooledData() {
	var test []int
	for i := range j.runs[:j.o.Folds] {
		test = append(test, j.runs[i].test...)
	}
	d := &j.doc.Data
	d.Test = len(test)
	d.Rule = j.o.Rule(j.set.Dataset)
	if j.o.Repeats > 1 {
		d.Rule = fmt.Sprintf("%d times %s", j.o.Repeats, d.Rule)
	}
}

// pooled combines the answers of the adapters of all folds, in sample order. Each image is answered by the
// adapter that was not trained on it. Thresholds are means over the folds, if the adapters have their own.
func pooled(parts []*evalJob) (all *evalJob, calibrated, raw *metric.Predictions) {
	if len(parts) == 1 {
		e := parts[0]
		return e, e.predictions(true), e.predictions(false)
	}
	type place struct{ sample, part, at int }
	var places []place
	for f, e := range parts {
		for k, i := range e.samples {
			places = append(places, place{i, f, k})
		}
	}
	slices.SortFunc(places, func(a, b place) int { return a.sample - b.sample })
	joined := *parts[0]
	joined.samples, joined.answers = nil, nil
	for _, p := range places {
		joined.samples, joined.answers = append(joined.samples, p.sample), append(joined.answers, parts[p.part].answers[p.at])
	}
	join := func(calibrated bool) *metric.Predictions {
		var of []*metric.Predictions
		for _, e := range parts {
			of = append(of, e.predictions(calibrated))
		}
		out := &metric.Predictions{Labels: of[0].Labels, Exclusive: of[0].Exclusive, ByThreshold: of[0].ByThreshold, Thresholds: make([]float64, of[0].Labels)}
		for _, p := range places {
			from := of[p.part]
			out.Prob = append(out.Prob, from.Prob[p.at*from.Labels:(p.at+1)*from.Labels]...)
			out.Truth = append(out.Truth, from.Truth[p.at*from.Labels:(p.at+1)*from.Labels]...)
		}
		for l := range out.Thresholds {
			for _, p := range of {
				out.Thresholds[l] += p.Threshold(l) / float64(len(of))
			}
		}
		return out
	}
	return &joined, join(true), join(false)
}

// spreadOf summarises the AUCs of folds.
func spreadOf(runs []RunResult) *FoldSpread {
	aucs := foldAUCs(runs)
	s := &FoldSpread{Folds: len(aucs)}
	if len(aucs) == 0 {
		return s
	}
	mean, least, greatest := 0.0, slices.Min(aucs), slices.Max(aucs)
	for _, v := range aucs {
		mean += v / float64(len(aucs))
	}
	s.Mean, s.Least, s.Greatest = &mean, &least, &greatest
	if len(aucs) > 1 {
		sd := deviation(aucs)
		s.Deviation = &sd
	}
	return s
}

// foldAUCs returns the AUCs that are defined.
func foldAUCs(runs []RunResult) (aucs []float64) {
	for _, r := range runs {
		if r.AUC != nil {
			aucs = append(aucs, *r.AUC)
		}
	}
	return aucs
}

// foldDifference compares the AUCs of two methods fold by fold.
func (j *compareJob) foldDifference(first, second []RunResult) *DifferenceNumber {
	var differences []float64
	trained, tested := 0.0, 0.0
	for k := range first {
		if first[k].AUC == nil || second[k].AUC == nil {
			continue
		}
		differences = append(differences, *first[k].AUC-*second[k].AUC)
		trained, tested = trained+float64(j.runs[k].doc.Data.Train), tested+float64(len(j.runs[k].test))
	}
	if trained == 0 {
		return &DifferenceNumber{}
	}
	e := metric.CorrectedResampled(differences, tested/trained, metric.DefaultLevel)
	d := differenceOf(e)
	if !e.Bounded {
		d.P = nil
	}
	return &d
}
