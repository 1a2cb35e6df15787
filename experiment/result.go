package experiment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"melo.example/melo/conformal"
	"melo.example/melo/dataset"
	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/sysinfo"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/metric"
	"melo.example/melo/safetensors"
	"melo.example/melo/train"
	"melo.example/melo/vit"
)

// Result is the result of a run: the --json document of "melo train".
type Result struct {
	Adapter struct {
		Path   string `json:"path"`
		Digest string `json:"digest"`
		Bytes  int64  `json:"bytes"`
	} `json:"adapter"`
	Base   string     `json:"base"`
	Method string     `json:"method"`
	Data   Data       `json:"data"`
	Params Parameters `json:"parameters"`

	Epochs       int  `json:"epochs"`
	BestEpoch    int  `json:"best_epoch"`
	Steps        int  `json:"steps"`
	StoppedEarly bool `json:"stopped_early"`
	// Kept says which parameters the adapter has: best, of the epoch with the best validation; last; or start,
	// because the training ended with worse scores than its initial linear probe.
	Kept       train.Kept      `json:"kept"`
	Start      *Start          `json:"start,omitempty"`
	Retreats   []train.Retreat `json:"retreats"`
	Tuned      *Tuned          `json:"tuned,omitempty"`
	Validation Validation      `json:"validation"`
	// Fit describes how the adapter recognises images unlike its training images; missing if it cannot.
	Fit      *adapterfile.Fit `json:"fit,omitempty"`
	Settings Config           `json:"settings"`

	Seconds         float64  `json:"seconds"`
	ImagesPerSecond float64  `json:"images_per_second"`
	ShareOfPeak     float64  `json:"share_of_peak"`
	WaitingShare    float64  `json:"waiting_share"` // fraction of training time spent waiting for images
	PeakMemory      int64    `json:"peak_memory_bytes"`
	Run             string   `json:"run"`
	Warnings        []string `json:"warnings"`
	Notice          string   `json:"notice"`
}

// Data describes the training data.
type Data struct {
	Path   string   `json:"path"`
	Digest string   `json:"digest"`
	Task   string   `json:"task"`
	Labels []string `json:"labels"`
	Rule   string   `json:"rule"` // how it was split
	Train  int      `json:"train"`
	Val    int      `json:"val"`
	Test   int      `json:"test"`
	Bad    []string `json:"bad"` // unreadable images
}

// Parameters holds numbers of parameters.
type Parameters struct {
	Trained int64   `json:"trained"` // without the head, except for method linear
	Head    int64   `json:"head"`
	Base    int64   `json:"base"`
	Share   float64 `json:"share"` // trained / base
}

// WithHead returns the number of trained parameters, including the head, divided by that of the base.
func (p *Parameters) WithHead() float64 {
	if p.Base == 0 {
		return 0
	}
	return float64(p.Trained+p.Head) / float64(p.Base)
}

// Validation holds the validation results over all labels, and for each.
type Validation struct {
	Samples  int                `json:"samples"`
	Scores   map[string]float64 `json:"scores"` // by name; undefined ones are left out
	PerLabel map[string]float64 `json:"per_label_auc"`
	// Uncalibrated holds the scores without temperatures, with decisions at one half.
	Uncalibrated map[string]float64 `json:"uncalibrated"`
	Temperatures []float64          `json:"temperatures"`
	Thresholds   []float64          `json:"thresholds"`
}

// selfTestInputs is the number of inputs of an adapter's self-test, and selfTestSeed their seed.
const (
	selfTestInputs = 2
	selfTestSeed   = 0x6d656c6f // "melo"
)

// dtypes maps the values of --dtype.
var dtypes = map[string]safetensors.DType{"f32": safetensors.F32, "bf16": safetensors.BF16}

// finish evaluates the trained model as it will be stored, writes the adapter, and returns the result.
func (j *Run) finish(ctx context.Context, start time.Time) (*Result, error) {
	dtype := dtypes[j.config.DType]
	file, out, err := j.settle(ctx, dtype)
	if err != nil {
		return nil, err
	}
	doc := j.document(start)
	if out != nil {
		doc.Validation = j.measure(out, &file.Meta)
	}
	if file.Meta.SelfTest, err = j.selfTest(); err != nil {
		return nil, err
	}
	if err := j.describe(ctx, file); err != nil {
		return nil, err
	}
	doc.Fit = file.Meta.Fit
	if err := file.Write(j.o.Out, dtype); err != nil {
		return nil, fmt.Errorf("the adapter could not be written: %w", err)
	}
	doc.Adapter.Path, doc.Adapter.Digest = j.o.Out, file.Digest
	if info, err := os.Stat(j.o.Out); err == nil {
		doc.Adapter.Bytes = info.Size()
	}
	doc.Seconds = time.Since(start).Seconds()
	_, doc.PeakMemory = sysinfo.Resident()
	j.record.Finished, j.record.Result = time.Now().UTC().Format(time.RFC3339), doc
	for _, write := range []func() error{j.writeCurves, j.writeRecord} {
		if err := write(); err != nil {
			j.hook.note(text.OneLine(err))
		}
	}
	// The adapter has been written, so the checkpoint is no longer needed and would only mislead.
	if err := os.Remove(j.o.CheckpointPath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		j.hook.note(text.OneLine(err))
	}
	return doc, nil
}

// settle decides which parameters the adapter gets, and loads them into the model with the precision of the
// file. With validation it returns their evaluation. If the end of training is worse than the initial linear
// probe, it takes the best epoch on validation if that is better than the probe; else the end, if chance
// explains the difference; else the probe.
func (j *Run) settle(ctx context.Context, dtype safetensors.DType) (*adapterfile.File, *train.Evaluation, error) {
	file, out, err := j.store(ctx, dtype)
	if err != nil || out == nil || j.loop.State.Kept == train.KeptStart || !j.steps() {
		return file, out, err
	}
	told := Returned{Title: j.o.Title, Method: j.config.Method, Scores: train.ScoresOf(out.Predictions())}
	if !j.start.below(told.Scores) {
		return file, out, nil
	}
	told.Start = *j.start
	if s := &j.loop.State; s.TopEpoch > 0 && !j.start.below(s.Top) {
		undo := j.loop.ReturnToTop()
		topFile, top, err := j.store(ctx, dtype)
		if err != nil {
			return nil, nil, err
		}
		if scores := train.ScoresOf(top.Predictions()); !j.start.below(scores) {
			told.Epoch, told.Top = s.TopEpoch, scores
			j.hook.tell(told)
			return topFile, top, nil
		}
		undo()
	}
	undo := j.loop.ReturnToStart()
	probeFile, probe, err := j.store(ctx, dtype)
	if err != nil {
		return nil, nil, err
	}
	if told.Kept, err = j.byChance(ctx, out, probe); err != nil {
		return nil, nil, err
	}
	j.hook.tell(told)
	if !told.Kept {
		return probeFile, probe, nil
	}
	undo()
	return file, out, j.adopt(file)
}

// store rounds the adapter to the precision of its file, loads it into the model, and returns it with its
// evaluation on validation, which is nil without validation.
func (j *Run) store(ctx context.Context, dtype safetensors.DType) (*adapterfile.File, *train.Evaluation, error) {
	file, err := j.adapterFile()
	if err != nil {
		return nil, nil, err
	}
	if file, err = file.Stored(dtype); err != nil {
		return nil, nil, err
	}
	if err := j.adopt(file); err != nil || j.valLoad == nil {
		return file, nil, err
	}
	out, err := j.evaluator().Run(ctx)
	return file, out, err
}

// An adapter counts as below its probe if its AUC is lower by more than the margin, or if the two-sided p-value of the
// difference is below doubt. 160 images do not tell apart AUCs of 0.988 and 0.992.
const (
	probeMargin = 0.01
	doubt       = 0.1
)

// byChance reports whether chance explains that an adapter has a lower AUC on validation than its probe.
func (j *Run) byChance(ctx context.Context, adapter, probe *train.Evaluation) (bool, error) {
	groups := make([]string, len(adapter.Indices))
	for i, sample := range adapter.Indices {
		groups[i] = j.set.Samples[sample].Group
	}
	b := metric.Bootstrap{Resamples: 1000, Seed: 1, Workers: j.o.Workers, Units: metric.Units(groups)}
	n, err := b.Compare(ctx, adapter.Predictions(), probe.Predictions())
	if err != nil {
		return false, err
	}
	d := n.AUC
	return d.Defined && d.Value < 0 && d.Value >= -probeMargin && d.P >= doubt, nil
}

// adapterFile returns the trained adapter with its description, except for what must still be measured.
func (j *Run) adapterFile() (*adapterfile.File, error) {
	settings, err := train.Settings(j.config)
	if err != nil {
		return nil, err
	}
	settings["best_epoch"], settings["steps"], settings["kept"] = j.loop.State.BestEpoch, j.loop.State.Step, j.loop.State.Kept
	if j.start != nil {
		settings["start"] = j.start
	}
	if j.o.Tuned != nil {
		settings["tuned"] = j.o.Tuned
	}
	if n := j.loop.State.Retreats; len(n) > 0 {
		settings["retreats"] = n
	}
	settings["split_digest"] = j.id.Split // "melo eval" reproduces the split
	f := &adapterfile.File{Path: j.o.Out, Adapter: j.tuner.Adapter(), Meta: adapterfile.Metadata{
		Base:   adapterfile.NewBase(&j.model.Config, filepath.Base(filepath.Clean(j.base.path)), j.base.path, j.base.digest),
		Method: j.config.Method, Task: adapterfile.Task(j.set.Task), Labels: adapterfile.Labels(j.set.Labels...),
		Recipe: j.model.Recipe, Pool: j.config.Pool, Mirror: j.config.Mirror,
		Training: &adapterfile.Training{
			Program: "melo " + buildinfo.Version, Seed: j.config.Seed,
			Data:            &adapterfile.DataInfo{Name: filepath.Base(filepath.Clean(j.set.path)), Digest: j.info.Digest, Images: len(j.set.Samples)},
			Split:           &adapterfile.SplitInfo{Rule: j.info.Rule, Seed: j.config.SplitSeed, Train: j.info.Train, Val: j.info.Val, Test: j.info.Test},
			Hyperparameters: settings,
		},
	}}
	if j.config.Method != lora.FullTuning {
		return f, nil
	}
	for _, p := range j.tuner.Params() {
		if p.Name == "head.weight" || p.Name == "head.bias" {
			continue
		}
		t, err := safetensors.FromFloat32s(adapterfile.BasePrefix+p.Name, safetensors.F32, p.Shape, p.Data)
		if err != nil {
			return nil, err
		}
		f.Extra = append(f.Extra, t)
	}
	return f, nil
}

// adopt loads the values as stored in the file into the model, so that they are what is evaluated.
func (j *Run) adopt(f *adapterfile.File) error {
	a := j.tuner.Adapter()
	for i, d := range f.Adapter.Deltas {
		copy(a.Deltas[i].A, d.A)
		copy(a.Deltas[i].B, d.B)
	}
	copy(a.Head.W, f.Adapter.Head.W)
	copy(a.Head.Bias, f.Adapter.Head.Bias)
	extra := map[string]safetensors.TensorData{}
	for _, x := range f.Extra {
		extra[x.Name] = x
	}
	for _, p := range j.tuner.Params() {
		x, ok := extra[adapterfile.BasePrefix+p.Name]
		if !ok {
			continue
		}
		v, err := safetensors.Tensor{Name: x.Name, DType: x.DType, Shape: x.Shape, Data: x.Data}.Float32s(nil)
		if err != nil {
			return err
		}
		copy(p.Data, v)
	}
	j.tuner.Updated()
	return nil
}

// measure fits temperatures and thresholds on validation, and returns the calibrated results for the document
// and the adapter.
func (j *Run) measure(out *train.Evaluation, meta *adapterfile.Metadata) Validation {
	c := out.Calibrate(j.config.Sensitivity)
	meta.Temperatures, meta.Thresholds = c.Temperatures, c.Thresholds
	p := out.Calibrated(c)
	meta.Conformal = conformal.New(p.Prob, p.Truth, p.Labels, meta.Exclusive())
	table := Validation{Samples: p.N(), Scores: train.ScoresOf(p), PerLabel: map[string]float64{},
		Uncalibrated: train.ScoresOf(out.Predictions()), Temperatures: append([]float64{}, c.Temperatures...), Thresholds: c.Thresholds}
	for _, name := range train.ScoreNames() {
		if v, ok := table.Scores[name]; ok {
			meta.Metrics = append(meta.Metrics, adapterfile.Metric{Name: name, Split: "val", Value: v, N: p.N()})
		}
	}
	for l, label := range j.set.Labels {
		if v, ok := p.AUC(l); ok {
			table.PerLabel[label] = v
			meta.Metrics = append(meta.Metrics, adapterfile.Metric{Name: train.AUC, Split: "val", Label: label, Value: v, N: p.N()})
		}
	}
	return table
}

// Evaluate runs the model of a finished run, with the values stored in its file, on samples of the data.
func (j *Run) Evaluate(ctx context.Context, samples []int) (*train.Evaluation, error) {
	opt := dataset.LoaderOptions{Batch: j.tuner.MaxBatch(), Workers: j.o.Workers, MaxBad: j.config.MaxBad}
	load, err := dataset.NewLoader(j.set.Dataset, samples, j.model.Recipe, opt)
	if err != nil {
		return nil, err
	}
	e := train.Evaluator{Model: j.tuner, Data: load, Task: j.set.Task, Views: j.views()}
	out, err := e.Run(ctx)
	var data *train.DataError
	if errors.As(err, &data) {
		return nil, badInput(err)
	}
	return out, err
}

// selfTest computes the logits of the self-test, in f32 whatever the precision of the training.
func (j *Run) selfTest() (*adapterfile.SelfTest, error) {
	values, classes := j.model.Recipe.Values(), j.tuner.Classes()
	inputs := make([]float32, selfTestInputs*values)
	for i := range selfTestInputs {
		adapterfile.SelfTestInput(inputs[i*values:(i+1)*values], selfTestSeed, i)
	}
	logits := make([]float32, selfTestInputs*classes)
	if j.precision == vit.F32 {
		for i := range selfTestInputs {
			copy(logits[i*classes:], j.tuner.Forward(inputs[i*values:], 1, false))
		}
	} else {
		features, err := j.exactFeatures(inputs, selfTestInputs)
		if err != nil {
			return nil, err
		}
		j.tuner.Adapter().Head.Logits(logits, features)
	}
	t := &adapterfile.SelfTest{Seed: selfTestSeed}
	for i := range selfTestInputs {
		t.Logits = append(t.Logits, slices.Clone(logits[i*classes:(i+1)*classes]))
	}
	return t, nil
}

// exactFeatures computes the features of n inputs in f32 with the present adapter.
func (j *Run) exactFeatures(inputs []float32, n int) ([]float32, error) {
	now := lora.Segment{Adapter: j.tuner.Adapter().Resident(vit.F32), Images: n}
	if m := j.tuner.Float32Base(); m != nil {
		return m.NewEngine(n).Features(inputs, n, now), nil
	}
	f, err := j.o.form()
	if err != nil {
		return nil, err
	}
	return j.base.features(f, inputs, n, now)
}

// document returns the part of the result that is known without evaluation.
func (j *Run) document(start time.Time) *Result {
	s := &j.loop.State
	for _, l := range []*dataset.Loader{j.trainLoad, j.valLoad} {
		if l == nil {
			continue
		}
		for _, b := range l.Bad() {
			j.info.Bad = append(j.info.Bad, b.Path)
		}
	}
	d := &Result{
		Base: j.base.path, Method: string(j.config.Method), Data: j.info, Epochs: s.Epoch, BestEpoch: s.BestEpoch, Steps: s.Step,
		StoppedEarly: s.Stopped, Kept: s.Kept, Start: j.start, Tuned: j.o.Tuned, Retreats: append([]train.Retreat{}, s.Retreats...), Settings: j.config, Run: j.o.RunFolder(), Warnings: append([]string{}, j.set.Warnings...), Notice: Notice,
		ImagesPerSecond: j.progress.rate(), ShareOfPeak: j.progress.share(), WaitingShare: j.progress.waiting(), Seconds: time.Since(start).Seconds(),
	}
	d.Params = j.parameters()
	return d
}

// parameters counts the trained parameters.
func (j *Run) parameters() Parameters {
	deltas, head := j.tuner.Adapter().Parameters()
	p := Parameters{Trained: int64(deltas), Head: int64(head), Base: j.model.Parameters()}
	if j.config.Method == lora.FullTuning {
		p.Trained = p.Base
	}
	p.Share = float64(p.Trained) / float64(p.Base)
	return p
}
