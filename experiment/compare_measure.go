package experiment

import (
	"cmp"
	"context"
	"math"

	"melo.example/melo/metric"
	"melo.example/melo/train"
)

// evaluate computes the answers of every adapter for its test images.
func (j *compareJob) evaluate(ctx context.Context) error {
	base, err := j.o.Open()
	if err != nil {
		return badInput(err)
	}
	defer base.Close()
	for first := 0; first < len(j.runs); first += j.o.perRound() {
		round := j.runs[first : first+j.o.perRound()]
		var parts []*evalJob
		for i := range round {
			e, err := j.answer(ctx, base, &round[i])
			if err != nil {
				return err
			}
			parts = append(parts, e)
		}
		all, p, raw := pooled(parts)
		m := first / (j.o.rounds() * j.o.perRound())
		if first == 0 {
			boot, unit := all.bootstrap(nil)
			j.judged = all.judgement(boot)
			j.judged.Labels = j.set.Labels
			j.doc.Bootstrap = Bootstrap{metric.DefaultLevel, j.o.Resamples, bootstrapSeed, unit, len(boot.Units)}
			if reason := all.few(p, len(boot.Units)); reason != "" {
				j.doc.Warnings = append(j.doc.Warnings, "the numbers are uncertain: "+reason)
			}
		}
		if m == len(j.judged.All) {
			j.judged.All = append(j.judged.All, &Judged{Name: string(j.o.Methods[m]), Color: m + 1})
		}
		x := j.judged.All[m]
		x.Runs, x.Raw = append(x.Runs, p), append(x.Raw, raw)
	}
	return nil
}

// answer computes the answers of one run's adapter for its test images.
func (j *compareJob) answer(ctx context.Context, base Opened, r *comparedRun) (*evalJob, error) {
	adapter, err := base.Attach(r.o.Out)
	if err != nil {
		return nil, badInput(err)
	}
	meta := adapter.Metadata()
	j.doc.BasePrecision = adapter.Precision() // the same base answers for all
	e := &evalJob{o: &EvaluateOptions{Data: j.set.path, Resamples: j.o.Resamples, Seed: bootstrapSeed, Workers: j.o.Workers}, hook: j.hook,
		adapter: adapter, rule: meta.Rule(), data: j.set.Dataset, samples: r.test, title: "testing " + r.o.Title}
	if err := e.predict(ctx); err != nil {
		return nil, err
	}
	r.own, r.ownRaw = e.predictions(true), e.predictions(false)
	return e, nil
}

// bootstrapSeed is the seed of the resamples, the same for every comparison.
const bootstrapSeed = 1

// measure computes everything in the document.
func (j *compareJob) measure(ctx context.Context) error {
	d := &j.doc
	d.Base, d.Folder, d.Notice = j.base.path, j.o.Folder, Notice
	d.Warnings = append(append([]string{}, j.set.Warnings...), d.Warnings...)
	d.Folds = j.o.Folds
	for seed := 1; seed <= j.o.rounds(); seed++ {
		d.Seeds = append(d.Seeds, uint64(seed))
	}
	each := j.o.rounds() * j.o.perRound()
	for m, x := range j.judged.All {
		var err error
		if x.Numbers, err = j.judged.Boot.MeasureRuns(ctx, x.Runs); err != nil {
			return err
		}
		if x.RawAll, err = j.judged.Boot.MeasureRuns(ctx, x.Raw); err != nil {
			return err
		}
		d.Methods = append(d.Methods, j.method(x, j.runs[m*each:(m+1)*each]))
	}
	d.Differences = []Difference{}
	for a, first := range j.judged.All {
		for b, second := range j.judged.All[a+1:] {
			x, err := differencesOf(ctx, j.judged, first, second, cmp.Or(j.o.Margin, DefaultMargin))
			if err != nil {
				return err
			}
			if j.o.Folds > 0 {
				x.PerFold = j.foldDifference(d.Methods[a].Runs, d.Methods[a+1+b].Runs)
			}
			d.Differences = append(d.Differences, *x)
		}
	}
	return nil
}

// method summarises the runs of one method.
func (j *compareJob) method(x *Judged, runs []comparedRun) MethodResult {
	first := runs[0].doc
	d := MethodResult{Method: x.Name, Params: first.Params, Numbers: numbersOf(x.Numbers, x.Runs[0].N()), Uncalibrated: probabilitiesOf(x.RawAll),
		Settings: first.Settings}
	n := float64(len(runs))
	measured := true
	for k, r := range runs {
		d.Runs = append(d.Runs, runOf(&r))
		e := &d.Runs[k]
		d.SecondsPerEpoch += e.SecondsPerEpoch / n
		d.Epochs += float64(e.Epochs) / n
		d.Bytes, d.PeakMemory = max(d.Bytes, e.Bytes), max(d.PeakMemory, e.PeakMemory)
		measured = measured && e.PeakMemory > 0
	}
	if !measured {
		d.PeakMemory = 0
	}
	var aucs []float64
	for _, p := range x.Runs {
		if v, ok := p.MacroAUC(); ok {
			aucs = append(aucs, v)
		}
	}
	if len(aucs) == len(x.Runs) && len(aucs) > 1 {
		sd := deviation(aucs)
		d.AUCDeviation = &sd
	}
	if j.o.Folds > 0 {
		d.PerFold = spreadOf(d.Runs)
	}
	for l, name := range j.judged.Labels {
		e := SubgroupLabel{Label: name, Positives: x.Runs[0].Counts()[l].TP + x.Runs[0].Counts()[l].FN}
		e.AUC, e.AUCInterval = pair(x.Numbers.Labels[l].AUC)
		e.Approximate = x.Numbers.Labels[l].AUC.Approximate
		d.PerLabel = append(d.PerLabel, e)
	}
	return d
}

// runOf describes one run.
func runOf(r *comparedRun) RunResult {
	t, p, raw := r.doc, r.own, r.ownRaw
	d := RunResult{Seed: r.o.Seed, Fold: r.o.Fold, Adapter: AdapterReference{r.o.Out, t.Adapter.Digest}, Bytes: t.Adapter.Bytes, Epochs: t.Epochs,
		BestEpoch: t.BestEpoch, Seconds: t.Seconds, PeakMemory: t.PeakMemory}
	if t.ImagesPerSecond > 0 {
		d.SecondsPerEpoch = float64(t.Data.Train) / t.ImagesPerSecond
	}
	if v, ok := t.Validation.Scores[train.AUC]; ok {
		d.ValidationAUC = &v
	}
	d.AUC, d.Accuracy = maybe(p.MacroAUC()), maybe(p.Accuracy())
	d.ECE, d.UncalibratedECE = maybe(p.ECE(metric.DefaultBins)), maybe(raw.ECE(metric.DefaultBins))
	return d
}

// deviation returns the standard deviation of values, with denominator n-1.
func deviation(values []float64) float64 {
	mean, sum := 0.0, 0.0
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		sum += (v - mean) * (v - mean)
	}
	return math.Sqrt(sum / float64(len(values)-1))
}

// differencesOf compares two methods.
func differencesOf(ctx context.Context, j *Judgement, first, second *Judged, margin float64) (*Difference, error) {
	n, err := j.Boot.CompareMethods(ctx, first.Runs, second.Runs, margin)
	if err != nil {
		return nil, err
	}
	d := &Difference{First: first.Name, Second: second.Name, AUC: differenceOf(n.AUC.Estimate), Accuracy: differenceOf(n.Accuracy.Estimate),
		Balanced: differenceOf(n.BalancedAccuracy.Estimate), F1: differenceOf(n.F1.Estimate), ECE: differenceOf(n.ECE.Estimate),
		Brier: differenceOf(n.Brier.Estimate), LogLoss: differenceOf(n.LogLoss.Estimate), OverSeeds: n.AUC.Seeds, Margin: margin, PerLabel: []LabelDifference{}}
	// If all resamples agree they say nothing about other images: two perfect AUCs on ten images prove nothing.
	if n.AUC.Defined && n.AUC.Bounded {
		d.NotInferior = &n.AUC.NotInferior
	}
	list := n.Labels
	if len(list) == 2 && j.Exclusive() {
		list = nil // with two labels they equal the AUC above
	}
	var p []float64
	for l, x := range list {
		d.PerLabel = append(d.PerLabel, LabelDifference{Label: j.Labels[l], AUC: differenceOf(x.Estimate)})
		if !x.Defined {
			x.P = math.NaN()
		}
		p = append(p, x.P)
	}
	for l, v := range metric.Holm(p) {
		d.PerLabel[l].Holm = maybe(v, !math.IsNaN(v))
	}
	return d, nil
}

// differenceOf converts a difference for the document.
func differenceOf(e metric.Estimate) (d DifferenceNumber) {
	d.Difference, d.Interval = pair(e)
	if e.Defined {
		d.P = &e.P
	}
	return d
}
