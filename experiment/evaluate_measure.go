package experiment

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"melo.example/melo/metric"
)

// measure computes everything in the document.
func (j *evalJob) measure(ctx context.Context) error {
	d, meta := &j.doc, j.adapter.Metadata()
	d.Adapter = AdapterReference{j.adapter.Path(), j.adapter.Digest()}
	d.BasePrecision = j.adapter.Precision()
	d.Base, d.Task, d.Labels, d.Notice = j.adapter.BasePath(), string(meta.Task), j.adapter.Labels(), Notice
	p, raw := j.predictions(true), j.predictions(false)
	boot, unit := j.bootstrap(nil)
	d.Bootstrap = Bootstrap{metric.DefaultLevel, j.o.Resamples, j.o.Seed, unit, len(boot.Units)}
	n, err := boot.Measure(ctx, p)
	if err != nil {
		return err
	}
	uncalibrated := n
	if len(meta.Temperatures) > 0 {
		if uncalibrated, err = boot.Measure(ctx, raw); err != nil {
			return err
		}
	}
	j.judged = j.judgement(boot)
	j.judged.All = []*Judged{{Color: 1, Runs: []*metric.Predictions{p}, Raw: []*metric.Predictions{raw}, Numbers: n, RawAll: uncalibrated}}
	d.Numbers = numbersOf(n, p.N())
	d.Calibration = CalibrationNumbers{Temperatures: append([]float64{}, meta.Temperatures...), Calibrated: probabilitiesOf(n),
		Uncalibrated: probabilitiesOf(uncalibrated), Bins: binsOf(p), RawBins: binsOf(raw)}
	j.labels(p, n)
	d.Decision = decisionOf(p, d.Labels)
	if err := j.fit(ctx, p); err != nil {
		return err
	}
	d.Sets = j.sets()
	d.Utility, d.Patients = utilityOf(p, d.Labels, boot.Units, j.o.Prevalence), patientsOf(p, d.Labels, boot.Units)
	if reason := j.few(p, len(boot.Units)); reason != "" {
		j.warn("the numbers are uncertain: " + reason)
	}
	if err := j.subgroups(ctx, p); err != nil {
		return err
	}
	d.Failed, d.Warnings = append([]FailedImage{}, d.Failed...), append([]string{}, d.Warnings...)
	return nil
}

// fit counts the images unlike the training images, and evaluates the others separately.
func (j *evalJob) fit(ctx context.Context, p *metric.Predictions) error {
	meta := j.adapter.Metadata()
	if meta.Fit == nil {
		return nil
	}
	f := &FitNumbers{Threshold: meta.Fit.Threshold, Refusal: meta.Fit.Refusal}
	var like []int
	var scores []float64
	for k := range j.answers {
		a := &j.answers[k]
		if a.Fit == nil {
			return nil
		}
		scores = append(scores, a.Fit.Score)
		if a.Unlike() {
			f.Unlike++
		} else {
			like = append(like, k)
		}
	}
	slices.Sort(scores)
	f.Share, f.MedianScore = float64(f.Unlike)/float64(len(scores)), scores[len(scores)/2]
	j.doc.Fit = f
	if f.Unlike == 0 || len(like) == 0 {
		return nil
	}
	boot, _ := j.bootstrap(like)
	part := p.Subset(like)
	n, err := boot.Measure(ctx, part)
	if err != nil {
		return err
	}
	numbers := numbersOf(n, part.N())
	f.Like = &numbers
	return nil
}

// bootstrap returns a bootstrap over groups if they are known. members are positions in the list of samples;
// nil: all.
func (j *evalJob) bootstrap(members []int) (b metric.Bootstrap, unit string) {
	if members == nil {
		members = make([]int, len(j.samples))
		for k := range members {
			members[k] = k
		}
	}
	groups := make([]string, len(members))
	unit = "image"
	for i, k := range members {
		groups[i] = j.data.Samples[j.samples[k]].Group
		if groups[i] != "" {
			unit = "group"
		}
	}
	return metric.Bootstrap{Resamples: j.o.Resamples, Seed: j.o.Seed, Workers: j.o.Workers, Units: metric.Units(groups)}, unit
}

// operatingPoints lists the operating points that are reported for each label.
var operatingPoints = []float64{0.8, 0.9, 0.95}

// labels sets the results of each label.
func (j *evalJob) labels(p *metric.Predictions, n *metric.Numbers) {
	d := &j.doc
	source := "default"
	if len(p.Thresholds) > 0 {
		source = "adapter"
	}
	counts := p.Counts()
	if p.Exclusive {
		d.Confusion.Counts = p.Confusion().Count
	}
	for l, name := range d.Labels {
		x, k := &n.Labels[l], counts[l]
		prob, truth := p.Column(l)
		e := LabelNumbers{Label: name, Positives: k.TP + k.FN, Negatives: k.TN + k.FP, Rates: ratesOf(&x.Decided), Approximate: approximateOf(x)}
		e.AUC, e.AUCInterval = pair(x.AUC)
		e.F1, e.F1Interval = pair(x.Decided.F1)
		if low, high, ok := metric.DeLongInterval(prob, truth, metric.DefaultLevel); ok && high > low {
			e.DeLong = &[2]float64{low, high}
		}
		curve := metric.NewCurve(prob, truth)
		if v, ok := curve.AveragePrecision(); ok {
			e.AveragePrecision = &v
		}
		d.PerLabel = append(d.PerLabel, e)
		d.Confusion.PerLabel = append(d.Confusion.PerLabel, LabelCount{name, k.TP, k.FP, k.TN, k.FN})
		t := Threshold{Label: name, Threshold: p.Threshold(l), Source: source, Rates: ratesOf(&x.At),
			AtSpecificity: []Point{}, AtSensitivity: []Point{}}
		for _, least := range operatingPoints {
			if i, ok := curve.AtSpecificity(least); ok {
				t.AtSpecificity = append(t.AtSpecificity, pointOf(curve, i, least))
			}
			if i, ok := curve.AtSensitivity(least); ok {
				t.AtSensitivity = append(t.AtSensitivity, pointOf(curve, i, least))
			}
		}
		d.Thresholds = append(d.Thresholds, t)
	}
}

// pointOf describes a point of a label's curve.
func pointOf(c metric.Curve, i int, least float64) Point {
	p := Point{Asked: least}
	p.Sensitivity, _ = c[i].Sensitivity()
	p.Specificity, _ = c[i].Specificity()
	if i > 0 {
		t := c.Between(i)
		p.Threshold = &t
	}
	return p
}

// binsOf returns the reliability diagram: of decisions, or of the probabilities of all labels.
func binsOf(p *metric.Predictions) []Bin {
	confidence, right := p.Prob, p.Truth
	if p.Exclusive {
		confidence, right = p.Confidences()
	}
	var out []Bin
	for i, b := range metric.Reliability(confidence, right, metric.DefaultBins) {
		out = append(out, Bin{float64(i) / metric.DefaultBins, float64(i+1) / metric.DefaultBins, b.N, b.Confidence, b.Frequency})
	}
	return out
}

// Below these numbers of images, or of images with a label, results are unreliable.
const (
	fewImages    = 50
	fewPositives = 10
)

// maxSubgroups limits the values of a column; a column with more holds numbers or names, not subgroups.
const maxSubgroups = 50

// few returns why there are too few images, or "".
func (j *evalJob) few(p *metric.Predictions, units int) string {
	if units < fewImages {
		what := "images"
		if units < p.N() {
			what = "groups"
		}
		return fmt.Sprintf("%d %s", units, what)
	}
	for l, k := range p.Counts() {
		if n := k.TP + k.FN; n < fewPositives {
			return fmt.Sprintf("%d images with %q", n, j.adapter.Labels()[l])
		}
		if n := k.TN + k.FP; n < fewPositives {
			return fmt.Sprintf("%d images without %q", n, j.adapter.Labels()[l])
		}
	}
	return ""
}

// subgroups evaluates each value of the requested columns.
func (j *evalJob) subgroups(ctx context.Context, p *metric.Predictions) error {
	j.doc.Subgroups = []Subgroup{}
	var all [][]int
	for _, column := range j.o.By {
		members := map[string][]int{}
		for k, i := range j.samples {
			v := j.data.Samples[i].Attr[column]
			members[v] = append(members[v], k)
		}
		if len(members) > maxSubgroups {
			return badInput(setting("by", "%s: %s has %d different values in it, expected at most %d", column, j.o.Data, len(members), maxSubgroups))
		}
		values := make([]string, 0, len(members))
		for v := range members {
			values = append(values, v)
		}
		slices.SortFunc(values, compareValues)
		for _, v := range values {
			g, err := j.subgroup(ctx, p.Subset(members[v]), members[v])
			if err != nil {
				return err
			}
			g.Column, g.Value = column, v
			j.doc.Subgroups = append(j.doc.Subgroups, *g)
			all = append(all, members[v])
			if g.Small {
				j.warn(fmt.Sprintf("%s %s: the numbers are uncertain: %s", column, cmp.Or(v, "(empty)"), g.Reason))
			}
		}
	}
	groups := make([]string, len(j.samples))
	for k, i := range j.samples {
		groups[k] = j.data.Samples[i].Group
	}
	j.doc.Gaps = gapsOf(p, j.doc.Subgroups, all, groups)
	return nil
}

// compareValues orders numbers by value, before all other values, which are ordered as text.
func compareValues(a, b string) int {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	switch {
	case errX == nil && errY == nil:
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return cmp.Compare(a, b)
}

// subgroup evaluates the samples at the given positions.
func (j *evalJob) subgroup(ctx context.Context, p *metric.Predictions, members []int) (*Subgroup, error) {
	boot, _ := j.bootstrap(members)
	n, err := boot.Measure(ctx, p)
	if err != nil {
		return nil, err
	}
	g := &Subgroup{Numbers: numbersOf(n, p.N()), Units: len(boot.Units), Reason: j.few(p, len(boot.Units))}
	g.Small = g.Reason != ""
	for l, k := range p.Counts() {
		e := SubgroupLabel{Label: j.adapter.Labels()[l], Positives: k.TP + k.FN}
		e.AUC, e.AUCInterval = pair(n.Labels[l].AUC)
		e.Approximate = n.Labels[l].AUC.Approximate
		g.PerLabel = append(g.PerLabel, e)
	}
	return g, nil
}
