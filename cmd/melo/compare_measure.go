package main

import (
	"context"
	"fmt"
	"math"

	facade "melo.example/melo"
	"melo.example/melo/metric"
	"melo.example/melo/train"
)

// evaluate lets every adapter answer for the test images.
func (j *compareJob) evaluate(ctx context.Context) error {
	form := []facade.Option{facade.Workers(j.o.Workers), facade.Batch(j.o.Pass), facade.Remember(cacheDir()), facade.ImageSize(j.o.ImageSize)}
	base, err := facade.Open(j.o.Base, form...)
	if err != nil {
		return badInput(err)
	}
	defer base.Close()
	j.judged = &judgement{labels: j.set.Labels}
	for i := range j.runs {
		r := &j.runs[i]
		adapter, err := base.Adapter(r.o.Out)
		if err != nil {
			return badInput(err)
		}
		e := &evalJob{o: &evalOptions{Data: j.o.Data, Resamples: j.o.Resamples, Seed: bootstrapSeed, Workers: j.o.Workers}, s: j.s,
			base: base, adapter: adapter, data: j.set.Dataset, samples: j.test, title: "testing " + r.title}
		if err := e.predict(ctx); err != nil {
			return err
		}
		m := i / j.o.Seeds
		if m == len(j.judged.all) {
			j.judged.all = append(j.judged.all, &judged{name: j.o.Methods[m], color: m + 1})
		}
		x := j.judged.all[m]
		x.runs, x.raw = append(x.runs, e.predictions(true)), append(x.raw, e.predictions(false))
		if i == 0 {
			boot, unit := e.bootstrap(nil)
			j.judged.boot, j.judged.image = boot, e.image
			j.judged.file = func(k int) string { return j.set.Samples[j.test[k]].Path }
			j.doc.Bootstrap = bootstrapDocument{metric.DefaultLevel, j.o.Resamples, bootstrapSeed, unit, len(boot.Units)}
			if reason := e.few(x.runs[0], len(boot.Units)); reason != "" {
				j.doc.Warnings = append(j.doc.Warnings, "the numbers are uncertain: "+reason)
			}
		}
	}
	return nil
}

// bootstrapSeed is that of the resamples, the same for every comparison.
const bootstrapSeed = 1

// measure computes everything in the document.
func (j *compareJob) measure(ctx context.Context) error {
	d := &j.doc
	d.Base, d.Folder, d.Notice = j.o.Base, j.o.folder(), notice
	d.Warnings = append(append([]string{}, j.set.Warnings...), d.Warnings...)
	for seed := 1; seed <= j.o.Seeds; seed++ {
		d.Seeds = append(d.Seeds, uint64(seed))
	}
	for m, x := range j.judged.all {
		var err error
		if x.numbers, err = j.judged.boot.MeasureRuns(ctx, x.runs); err != nil {
			return err
		}
		if x.rawAll, err = j.judged.boot.MeasureRuns(ctx, x.raw); err != nil {
			return err
		}
		d.Methods = append(d.Methods, j.method(x, j.runs[m*j.o.Seeds:(m+1)*j.o.Seeds]))
	}
	d.Differences = []compareDifference{}
	for a, first := range j.judged.all {
		for _, second := range j.judged.all[a+1:] {
			n, err := j.judged.boot.CompareRuns(ctx, first.runs, second.runs)
			if err != nil {
				return err
			}
			d.Differences = append(d.Differences, compareDifference{First: first.name, Second: second.name, AUC: differenceOf(n.AUC),
				Accuracy: differenceOf(n.Accuracy), Balanced: differenceOf(n.BalancedAccuracy), F1: differenceOf(n.F1), ECE: differenceOf(n.ECE),
				Brier: differenceOf(n.Brier), LogLoss: differenceOf(n.LogLoss)})
		}
	}
	return nil
}

// method sums up the runs of one method.
func (j *compareJob) method(x *judged, runs []compareRun) compareMethod {
	first := runs[0].doc
	d := compareMethod{Method: x.name, Params: first.Params, evalNumbers: numbersOf(x.numbers, x.runs[0].N()), Uncalibrated: probabilitiesOf(x.rawAll),
		Settings: first.Settings}
	n := float64(len(runs))
	measured := true
	var aucs []float64
	for k, r := range runs {
		d.Runs = append(d.Runs, runOf(&r, x.runs[k], x.raw[k]))
		e := &d.Runs[k]
		d.SecondsPerEpoch += e.SecondsPerEpoch / n
		d.Epochs += float64(e.Epochs) / n
		d.Bytes, d.PeakMemory = max(d.Bytes, e.Bytes), max(d.PeakMemory, e.PeakMemory)
		measured = measured && e.PeakMemory > 0
		if e.AUC != nil {
			aucs = append(aucs, *e.AUC)
		}
	}
	if !measured {
		d.PeakMemory = 0
	}
	if len(aucs) == len(runs) && len(runs) > 1 {
		sd := deviation(aucs)
		d.AUCDeviation = &sd
	}
	for l, name := range j.judged.labels {
		e := evalSubgroupLabel{Label: name, Positives: x.runs[0].Counts()[l].TP + x.runs[0].Counts()[l].FN}
		e.AUC, e.AUCInterval = pair(x.numbers.Labels[l].AUC)
		d.PerLabel = append(d.PerLabel, e)
	}
	return d
}

// runOf describes one run.
func runOf(r *compareRun, p, raw *metric.Predictions) compareRunDocument {
	t := r.doc
	d := compareRunDocument{Seed: r.o.Seed, Adapter: adapterReference{r.o.Out, t.Adapter.Digest}, Bytes: t.Adapter.Bytes, Epochs: t.Epochs,
		BestEpoch: t.BestEpoch, Seconds: t.Seconds, PeakMemory: t.PeakMemory}
	if t.ImagesPerSecond > 0 {
		d.SecondsPerEpoch = float64(t.Data.Train) / t.ImagesPerSecond
	}
	if v, ok := t.Validation.Scores[train.AUC]; ok {
		d.ValidationAUC = &v
	}
	defined := func(v float64, ok bool) *float64 {
		if !ok {
			return nil
		}
		return &v
	}
	d.AUC, d.Accuracy = defined(p.MacroAUC()), defined(p.Accuracy())
	d.ECE, d.UncalibratedECE = defined(p.ECE(metric.DefaultBins)), defined(raw.ECE(metric.DefaultBins))
	return d
}

// deviation is the standard deviation of values, with n-1 below.
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

// differenceOf is a difference for the document.
func differenceOf(e metric.Estimate) (d compareNumber) {
	d.Difference, d.Interval = pair(e)
	if e.Defined {
		d.P = &e.P
	}
	return d
}

// seedsText says how many runs there are of each method.
func (j *compareJob) seedsText() string {
	if j.o.Seeds == 1 {
		return "one seed"
	}
	return fmt.Sprintf("%d seeds", j.o.Seeds)
}
