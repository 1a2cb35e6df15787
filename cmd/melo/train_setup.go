package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"melo.example/melo/dataset"
	"melo.example/melo/imaging"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/sysinfo"
	"melo.example/melo/internal/ui"
	"melo.example/melo/lora"
	"melo.example/melo/train"
	"melo.example/melo/vit"
)

// trainJob is one training run: options on a base and data that others may use, too.
type trainJob struct {
	o    *trainOptions
	s    *stdio
	base *trainBase
	set  *trainSet
	view runView

	model     *vit.Model
	precision vit.Precision // of the products
	info      trainData
	parts     [3][]int // training, validation and test samples
	config    trainConfig
	id        *train.Identity

	tuner     *lora.Tuner
	net       train.Model // the tuner, or a cache before it
	trainData train.Data
	valNet    train.Model // the same for validation
	valData   train.Data
	caches    []*train.Cache
	loop      *train.Loop
	trainLoad *dataset.Loader
	valLoad   *dataset.Loader // nil: no validation
	progress  *trainProgress
	record    runRecord
}

// runView is how a run shows itself.
type runView struct {
	title string       // before each of its lines; empty: the only run
	quiet bool         // no line an epoch, nor what the run is
	bare  bool         // no pictures of the curves beside the record
	ui    *ui.Progress // to draw on; nil: its own
}

// trainConfig is every setting that the result depends on, resolved. It identifies a run, and stands in the
// adapter as its hyperparameters.
type trainConfig struct {
	Method   lora.Method    `json:"method"`
	Sites    map[string]int `json:"sites,omitempty"`  // rank by kind
	Blocks   []int          `json:"blocks,omitempty"` // absent: all
	Alpha    float32        `json:"alpha,omitempty"`  // absent: scale times the rank
	Scale    float32        `json:"scale,omitempty"`  // absent: 1
	RSLoRA   bool           `json:"rslora,omitempty"`
	Dropout  float32        `json:"dropout,omitempty"`
	HeadInit string         `json:"head_init"`

	Epochs         int               `json:"epochs"`
	Batch          int               `json:"batch"`
	LR             float64           `json:"lr"`
	MinLR          float64           `json:"min_lr"`
	LRUpdate       string            `json:"lr_update,omitempty"` // absent: at each step
	LoRAPlus       float32           `json:"lora_plus,omitempty"`
	Warmup         float64           `json:"warmup"`
	Optimizer      train.AdamWConfig `json:"optimizer"`
	Gamma          float64           `json:"gamma,omitempty"` // of the focal loss; absent: cross-entropy
	EMA            float64           `json:"ema,omitempty"`   // decay of the average that is kept; absent: none
	LabelSmoothing float64           `json:"label_smoothing"`
	ClassWeights   []float64         `json:"class_weights,omitempty"`
	Patience       int               `json:"patience"`
	Sensitivity    float64           `json:"sensitivity,omitempty"` // that thresholds are chosen for; absent: Youden
	Seed           uint64            `json:"seed"`
	Augment        dataset.Augment   `json:"augment"`

	ValSplit  float64 `json:"val_split"`
	TestSplit float64 `json:"test_split"`
	SplitSeed uint64  `json:"split_seed"`
	Folds     int     `json:"folds,omitempty"`
	Fold      int     `json:"fold,omitempty"` // that is held out, from 1
	MaxBad    int     `json:"max_bad"`
	DType     string  `json:"dtype"`
	Precision string  `json:"precision"`            // of the base's products
	ImageSize int     `json:"image_size,omitempty"` // side of the input; absent: the base's own
	// Prepare is how images become the input where an option says it; absent: as the base's files say.
	Prepare *imaging.Recipe `json:"prepare,omitempty"`
}

// Adam's usual constants.
const (
	adamBeta1 = 0.9
	adamBeta2 = 0.999
	adamEps   = 1e-8
)

// newTrainJob divides the data and settles what the run is. It computes nothing yet.
func newTrainJob(o *trainOptions, s *stdio, base *trainBase, set *trainSet, view runView) (*trainJob, error) {
	j := &trainJob{o: o, s: s, base: base, set: set, view: view}
	parts, rule, err := o.divide(set.Dataset, o.Fold)
	if err != nil {
		return nil, badInput(err)
	}
	set.tell(s)
	j.parts = parts
	j.info = trainData{Path: set.path, Digest: set.digest, Task: string(set.Task), Labels: set.Labels, Rule: rule,
		Train: len(parts[0]), Val: len(parts[1]), Test: len(parts[2]), Bad: slices.Clone(set.bad)}
	form, err := o.form()
	if err != nil {
		return nil, err
	}
	if j.precision, err = j.choosePrecision(); err != nil {
		return nil, err
	}
	if lora.Method(o.Method) != lora.FullTuning { // which starts from the weights as they are
		form.precision = j.precision
	}
	if j.model, err = base.model(form); err != nil {
		return nil, err
	}
	if err := base.tellPrepare(s, j.model); err != nil {
		return nil, err
	}
	return j, j.resolve()
}

// form is how the base lies in memory for a run, in float32.
func (o *trainOptions) form() (baseForm, error) {
	prepare, err := o.override(0)
	return baseForm{image: o.ImageSize, prepare: prepare}, err
}

// run trains from the beginning or, with --resume, from the checkpoint, and writes adapter and record. When it
// fails after it began, the checkpoint is what is left.
func (j *trainJob) run(ctx context.Context, start time.Time) (*trainDocument, error) {
	if err := j.build(); err != nil {
		return nil, err
	}
	defer j.close()
	if err := j.begin(start); err != nil {
		return nil, err
	}
	if err := j.train(ctx); err != nil {
		return nil, err
	}
	return j.finish(ctx, start)
}

// choosePrecision returns that of the products: what was asked for, if the CPU has it.
func (j *trainJob) choosePrecision() (vit.Precision, error) {
	p, err := parsePrecision(j.o.Precision, vit.FastestTraining())
	switch {
	case err != nil:
		return p, err
	case lora.Method(j.o.Method) == lora.FullTuning && p == vit.I8:
		return p, usage(fmt.Errorf("--precision %v: method full trains the weights themselves: expected f32, bf16 or auto", p))
	case !vit.Supports(p):
		j.s.notef("this CPU (%s) has no instructions for %v: using %v", kernel.Name(), p, vit.FastestTraining())
		p = vit.FastestTraining()
	}
	return p, nil
}

// resolve fills in what depends on base and data.
func (j *trainJob) resolve() error {
	o := j.o
	c := trainConfig{
		Method: lora.Method(o.Method), Epochs: o.Epochs, Batch: o.Batch, MinLR: o.MinLR, Warmup: o.Warmup,
		Optimizer:      train.AdamWConfig{Beta1: adamBeta1, Beta2: adamBeta2, Eps: adamEps, WeightDecay: o.WeightDecay, Clip: o.Clip},
		LabelSmoothing: o.LabelSmoothing, Patience: o.Patience, Sensitivity: o.Sensitivity, Seed: o.Seed, Augment: o.augment(),
		ValSplit: o.ValSplit, TestSplit: o.TestSplit, SplitSeed: o.SplitSeed, Folds: o.Folds, Fold: o.Fold, MaxBad: o.MaxBad, DType: o.DType, Precision: j.precision.String(),
		ImageSize: o.ImageSize, EMA: o.EMA, HeadInit: o.HeadInit,
	}
	if o.prepareOptions != (prepareOptions{}) {
		c.Prepare = &j.model.Recipe
	}
	c.LR = cmp.Or(o.LR, defaultLR(c.Method))
	if o.LRUpdate != "step" {
		c.LRUpdate = o.LRUpdate
	}
	if o.Loss == "focal" {
		c.Gamma = o.Gamma
	}
	if o.ClassWeights == "balanced" {
		c.ClassWeights = train.BalancedWeights(j.set.Dataset, j.parts[0])
	}
	if c.Method == lora.MeLo {
		kinds, ranks, err := parseSites(o.Sites)
		if err != nil {
			return usage(err)
		}
		c.Sites = map[string]int{}
		for _, k := range kinds {
			c.Sites[k.String()] = cmp.Or(ranks[k], o.Rank)
		}
		if c.Blocks, err = parseBlocks(o.Blocks, j.model.Depth); err != nil {
			return usage(err)
		}
		c.Alpha, c.RSLoRA, c.Dropout, c.LoRAPlus = o.Alpha, o.RSLoRA, o.Dropout, o.LoRAPlus
		if c.Alpha == 0 && !c.RSLoRA {
			c.Scale = defaultScale
		}
	}
	j.config = c
	settings, err := asMap(c)
	if err != nil {
		return err
	}
	j.id = &train.Identity{Base: j.base.digest, Data: j.info.Digest, Split: splitDigest(j.set.Dataset, j.parts), Config: settings}
	return nil
}

// asMap is v as a JSON object.
func asMap(v any) (out map[string]any, err error) {
	text, err := json.Marshal(v)
	if err == nil {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		err = dec.Decode(&out)
	}
	return out, err
}

// splitDigest identifies who is trained, validated and tested on.
func splitDigest(ds *dataset.Dataset, parts [3][]int) string {
	h := sha256.New()
	for p, part := range parts {
		for _, i := range part {
			fmt.Fprintf(h, "%d %q\n", p, ds.Samples[i].Path)
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// build makes the model in training, the loaders and the loop.
func (j *trainJob) build() error {
	c := &j.config
	classes := len(j.set.Labels)
	start, err := j.startAdapter(classes)
	if err != nil {
		return usage(err)
	}
	pass := min(j.o.Pass, c.Batch, len(j.parts[0]))
	j.tuner, err = lora.NewTuner(j.model, j.base.pool, pass, c.Method, start, lora.Options{Dropout: c.Dropout, BRatio: c.LoRAPlus, Seed: c.Seed, Precision: j.precision})
	if err != nil {
		return err
	}
	if err := j.load(pass); err != nil {
		return err
	}
	loss, err := train.NewFocalLoss(j.set.Task, classes, c.Gamma, c.LabelSmoothing, c.ClassWeights)
	if err != nil {
		return err
	}
	perEpoch := j.trainLoad.Batches()
	j.cache()
	j.loop = &train.Loop{
		Model: j.net, Data: j.trainData, Loss: loss, Epochs: c.Epochs,
		Optimizer: train.NewAdamW(j.tuner.Params(), c.Optimizer, j.base.pool),
		Schedule:  c.schedule(perEpoch),
	}
	if c.EMA > 0 {
		if j.loop.Average, err = train.NewAverage(j.tuner.Params(), c.EMA, j.base.pool); err != nil {
			return err
		}
	}
	j.progress = newTrainProgress(j)
	if j.valLoad != nil {
		e := j.evaluator()
		e.Progress = j.progress.validated
		j.loop.Validate = func(ctx context.Context) (train.Scores, error) {
			defer j.progress.beginValidation()()
			return e.Scores(ctx)
		}
		if c.Patience > 0 {
			j.loop.Hooks = append(j.loop.Hooks, train.EarlyStopping(c.Patience))
		}
	}
	j.loop.Hooks = append(j.loop.Hooks,
		j.progress.hook(),
		j.recordHook(),
		j.curvesHook(),
		train.Checkpoints(j.o.checkpointPath(), j.id, checkpointEvery, func(err error) {
			j.progress.printf("melo: the checkpoint could not be saved, training goes on: %s", oneLine(err))
		}))
	if j.o.TensorBoard {
		j.loop.Hooks = append(j.loop.Hooks, j.eventsHook(time.Now()))
	}
	return nil
}

// schedule is the learning rate by step, with so many steps an epoch.
func (c *trainConfig) schedule(perEpoch int) train.Schedule {
	warmUp := int(math.Round(c.Warmup * float64(perEpoch)))
	cosine := train.Cosine(c.LR, c.MinLR, warmUp, c.Epochs*perEpoch)
	if c.LRUpdate != "epoch" {
		return cosine
	}
	return func(step int) float64 {
		if step >= warmUp {
			step = max(step-step%perEpoch, warmUp)
		}
		return cosine(step)
	}
}

// checkpointEvery is the most that a crash can cost within an epoch.
const checkpointEvery = 2 * time.Minute

// startAdapter returns the first weights.
func (j *trainJob) startAdapter(classes int) (*lora.Adapter, error) {
	c := &j.config
	cfg := lora.Config{Blocks: c.Blocks, Alpha: c.Alpha, Scale: c.Scale, RSLoRA: c.RSLoRA, Dropout: c.Dropout, PerKind: map[vit.Kind]int{}}
	for name, rank := range c.Sites {
		kind, err := vit.ParseKind(name)
		if err != nil {
			return nil, err
		}
		cfg.Kinds = append(cfg.Kinds, kind)
		cfg.PerKind[kind] = rank
	}
	slices.Sort(cfg.Kinds)
	a, err := lora.New(&j.model.Config, cfg, classes, c.Seed)
	if err != nil {
		return nil, err
	}
	if c.Method != lora.MeLo {
		a.Deltas = nil
	}
	if c.HeadInit == "zero" { // as good as blind at first, instead of confidently wrong: docs/results.md
		clear(a.Head.W)
		clear(a.Head.Bias)
	}
	return a, nil
}

// load makes the loaders of training and validation images. Both keep decoded images in memory, within a
// share of the machine's.
func (j *trainJob) load(pass int) (err error) {
	c := &j.config
	cache := cacheLimit()
	opt := dataset.LoaderOptions{Batch: c.Batch, Workers: j.o.Workers, Shuffle: true, Seed: c.Seed, Augment: c.Augment,
		CacheBytes: cache, MaxBad: c.MaxBad}
	if j.trainLoad, err = dataset.NewLoader(j.set.Dataset, j.parts[0], j.model.Recipe, opt); err != nil {
		return err
	}
	if len(j.parts[1]) == 0 {
		return nil
	}
	opt = dataset.LoaderOptions{Batch: pass, Workers: j.o.Workers, CacheBytes: cache / 2, MaxBad: c.MaxBad}
	j.valLoad, err = dataset.NewLoader(j.set.Dataset, j.parts[1], j.model.Recipe, opt)
	return err
}

// cache puts a cache before a frozen part, where images are not varied and there is room in memory or on disk.
// Then every image is loaded and passes the frozen part once.
func (j *trainJob) cache() {
	j.net, j.trainData = j.tuner, j.trainLoad
	if j.valLoad != nil {
		j.valNet, j.valData = j.tuner, j.valLoad
	}
	row := int64(j.tuner.PrefixSize()) * 4
	size := row * int64(len(j.parts[0])+len(j.parts[1]))
	if size == 0 || j.config.Augment != (dataset.Augment{}) || size > cacheLimit()+sysinfo.FreeBytes(filepath.Dir(j.o.runFolder()))/2 {
		return
	}
	limits := train.CacheLimits{Memory: cacheLimit() * int64(len(j.parts[0])) / int64(len(j.parts[0])+len(j.parts[1])), Dir: filepath.Dir(j.o.runFolder())}
	c := train.NewCache(j.tuner, j.trainLoad, limits)
	j.net, j.trainData = c, c
	j.caches = append(j.caches, c)
	if j.valLoad != nil {
		limits.Memory = cacheLimit() - limits.Memory
		v := train.NewCache(j.tuner, j.valLoad, limits)
		j.valNet, j.valData = v, v
		j.caches = append(j.caches, v)
	}
}

// close removes what the caches have on disk.
func (j *trainJob) close() {
	for _, c := range j.caches {
		if err := c.Close(); err != nil {
			j.s.notef("%s", oneLine(err))
		}
	}
}

// cacheLimit is the memory that each kind of cache may take.
func cacheLimit() int64 {
	limit := int64(1) << 30
	if m := sysinfo.Memory(); m > 0 {
		limit = min(limit, m/8)
	}
	return limit
}

// evaluator measures the model in training on validation.
func (j *trainJob) evaluator() *train.Evaluator {
	return &train.Evaluator{Model: j.valNet, Data: j.valData, Task: j.set.Task}
}

// train resumes if asked to, and runs the loop.
func (j *trainJob) train(ctx context.Context) error {
	if j.o.Resume {
		err := j.loop.Resume(j.o.checkpointPath(), j.id)
		switch {
		case errors.Is(err, os.ErrNotExist) && j.view.quiet: // whoever runs many resumes all of them
		case errors.Is(err, os.ErrNotExist):
			j.s.notef("%sno checkpoint in %s: starting from the beginning", j.progress.prefix(), j.o.runFolder())
		case err != nil:
			if other := (*train.MismatchError)(nil); errors.As(err, &other) {
				j.s.hints = append(j.s.hints, "give what that run was given, or --restart instead of --resume to start over")
			}
			return badInput(err)
		case j.loop.State.Stopped || j.loop.State.Epoch >= j.config.Epochs:
			j.s.notef("%sthe training was finished after step %d: the adapter is measured and written", j.progress.prefix(), j.loop.State.Step)
		default:
			j.s.notef("%sgoing on after step %d, in epoch %d", j.progress.prefix(), j.loop.State.Step, j.loop.State.Epoch+1)
		}
	}
	j.progress.start()
	defer j.progress.close()
	err := j.loop.Run(ctx)
	var data *train.DataError
	if errors.As(err, &data) {
		return badInput(err)
	}
	return err
}
