package experiment

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"melo.example/melo/dataset"
	"melo.example/melo/imaging"
	"melo.example/melo/imaging/processor"
	"melo.example/melo/internal/sysinfo"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora"
	"melo.example/melo/train"
	"melo.example/melo/vit"
)

// Run is one training run: options, with a base and data that may be shared. It is used once, by one goroutine.
type Run struct {
	o    *Options
	base *Base
	set  *Set
	hook Hook

	model     *vit.Model
	precision vit.Precision // of the products
	info      Data
	parts     [3][]int // training, validation and test samples
	config    Config
	id        *train.Identity

	tuner     *lora.Tuner
	net       train.Model // the tuner, or a cache in front of it
	data      train.Data
	valNet    train.Model // the same for validation
	valData   train.Data
	caches    []*train.Cache
	loop      *train.Loop
	start     *Start // nil: the run starts without a linear probe
	trainLoad *dataset.Loader
	valLoad   *dataset.Loader // nil: no validation
	progress  *progress
	record    record
}

// Config holds every setting that the result depends on, resolved. It identifies a run, and is stored in the
// adapter as its hyperparameters.
type Config struct {
	Method   lora.Method    `json:"method"`
	Sites    map[string]int `json:"sites,omitempty"`  // rank by kind
	Blocks   []int          `json:"blocks,omitempty"` // missing: all
	Alpha    float32        `json:"alpha,omitempty"`  // missing: scale times the rank
	Scale    float32        `json:"scale,omitempty"`  // missing: 1
	RSLoRA   bool           `json:"rslora,omitempty"`
	Dropout  float32        `json:"dropout,omitempty"`
	HeadInit string         `json:"head_init"`

	Epochs    int               `json:"epochs"`
	Batch     int               `json:"batch"`
	LR        float64           `json:"lr,omitempty"`   // missing: from Pace
	Pace      *lora.Pace        `json:"pace,omitempty"` // step size at the peak; missing: LR
	MinLR     float64           `json:"min_lr"`
	LRUpdate  string            `json:"lr_update,omitempty"` // missing: at each step
	LoRAPlus  float32           `json:"lora_plus,omitempty"`
	Warmup    float64           `json:"warmup"`
	Optimizer train.AdamWConfig `json:"optimizer"`
	Gamma     float64           `json:"gamma,omitempty"` // of the focal loss; missing: cross-entropy
	EMA       float64           `json:"ema,omitempty"`   // decay of the average that is kept; missing: none
	// instead of the best epoch: validation is too small to choose
	KeepLast bool `json:"keep_last,omitempty"`
	// the adapter refuses images unlike its training images
	Refuse bool `json:"refuse,omitempty"`
	// answers are means over the image and its mirror image
	Mirror         bool            `json:"mirror,omitempty"`
	LabelSmoothing float64         `json:"label_smoothing"`
	ClassWeights   []float64       `json:"class_weights,omitempty"`
	Patience       int             `json:"patience"`
	Sensitivity    float64         `json:"sensitivity,omitempty"` // target for thresholds; missing: Youden
	Seed           uint64          `json:"seed"`
	Augment        dataset.Augment `json:"augment"`

	ValSplit  float64 `json:"val_split"`
	TestSplit float64 `json:"test_split"`
	SplitSeed uint64  `json:"split_seed"`
	Folds     int     `json:"folds,omitempty"`
	Fold      int     `json:"fold,omitempty"`  // held-out fold, from 1
	Shots     int     `json:"shots,omitempty"` // training images per label; missing: all
	MaxBad    int     `json:"max_bad"`
	DType     string  `json:"dtype"`
	Precision string  `json:"precision"`            // of the base's products
	ImageSize int     `json:"image_size,omitempty"` // side of the input; missing: the base's own
	Pool      string  `json:"pool,omitempty"`       // pooling; missing: the base's own
	// Prepare is the preprocessing if an option changes it; missing: that of the base's files.
	Prepare *imaging.Recipe `json:"prepare,omitempty"`
}

// Adam's usual constants.
const (
	adamBeta1 = 0.9
	adamBeta2 = 0.999
	adamEps   = 1e-8
)

// NewRun splits the data and resolves the settings of the run. It starts no computation.
func NewRun(o *Options, base *Base, set *Set, hook Hook) (*Run, error) {
	if o == nil || base == nil || set == nil {
		return nil, errors.New("experiment: a run needs options, a base and data; got nil")
	}
	j := &Run{o: o, base: base, set: set, hook: hook}
	source := o.Source
	source.ShotSeed = o.Seed
	parts, rule, err := source.Divide(set.Dataset, o.Fold)
	if err != nil {
		return nil, badInput(err)
	}
	set.few(parts)
	set.tell(hook)
	j.parts = parts
	j.info = Data{Path: set.path, Digest: set.digest, Task: string(set.Task), Labels: set.Labels, Rule: rule,
		Train: len(parts[0]), Val: len(parts[1]), Test: len(parts[2]), Bad: slices.Clone(set.bad)}
	f, err := o.form()
	if err != nil {
		return nil, err
	}
	if j.precision, err = j.choosePrecision(); err != nil {
		return nil, err
	}
	if o.Method != lora.FullTuning { // full fine-tuning starts from the weights as they are
		f.precision = j.precision
	}
	if j.model, err = base.model(f); err != nil {
		return nil, err
	}
	if err := base.tellPrepare(hook, j.model); err != nil {
		return nil, err
	}
	return j, j.resolve()
}

// form returns the float32 form of the base for a run.
func (o *Options) form() (form, error) {
	prepare := o.prepare()
	r := imaging.Recipe{Size: 1}
	if err := prepare.Apply(&r); err != nil {
		name, problem, _ := strings.Cut(err.Error(), " ")
		if name == "crop" {
			name = "crop-pct"
		}
		return form{}, &SettingError{Setting: name, Problem: problem}
	}
	return form{image: o.ImageSize, prepare: prepare, pool: o.Pool}, nil
}

// prepare returns the preprocessing options of the base and of the data.
func (o *Options) prepare() processor.Override {
	p := o.Prepare
	p.Depth, p.Window = o.Depth, o.Window
	return p
}

// Data describes the training data.
func (j *Run) Data() Data { return j.info }

// Parts returns the samples for training, validation and testing.
func (j *Run) Parts() (train, val, test []int) { return j.parts[0], j.parts[1], j.parts[2] }

// Train trains from the beginning or, with Resume, from the checkpoint, and writes adapter and record. If it
// fails after training has begun, the checkpoint remains. The duration in the result counts from start.
func (j *Run) Train(ctx context.Context, start time.Time) (*Result, error) {
	if err := j.build(); err != nil {
		return nil, err
	}
	defer j.close()
	if err := j.begin(start); err != nil {
		return nil, err
	}
	if err := j.prepare(ctx); err != nil {
		return nil, err
	}
	if err := j.average(); err != nil {
		return nil, err
	}
	if err := j.train(ctx); err != nil {
		return nil, err
	}
	return j.finish(ctx, start)
}

// average starts the moving average with the initial parameters.
func (j *Run) average() (err error) {
	if d := j.config.EMA; d > 0 {
		j.loop.Average, err = train.NewAverage(j.tuner.Params(), d, j.base.pool)
	}
	return err
}

// choosePrecision returns the precision of the products: the requested one, if the CPU supports it.
func (j *Run) choosePrecision() (vit.Precision, error) {
	p, err := parsePrecision(j.o.Precision)
	switch {
	case err != nil:
		return p, err
	case j.o.Method == lora.FullTuning && p == vit.I8:
		return p, setting("precision", "%v: method full trains the weights themselves: expected f32, bf16 or auto", p)
	case !vit.Supports(p):
		j.hook.note(fmt.Sprintf("this CPU (%s) has no instructions for %v: using %v", vit.Kernels(), p, vit.FastestTraining()))
		p = vit.FastestTraining()
	}
	return p, nil
}

// resolve sets what depends on base and data.
func (j *Run) resolve() error {
	o := j.o
	c := Config{
		Method: o.Method, Epochs: o.Epochs, Batch: o.Batch, MinLR: o.MinLR, Warmup: o.Warmup,
		Optimizer:      train.AdamWConfig{Beta1: adamBeta1, Beta2: adamBeta2, Eps: adamEps, WeightDecay: o.WeightDecay, Clip: o.Clip},
		LabelSmoothing: o.LabelSmoothing, Patience: o.Patience, Sensitivity: o.Sensitivity, Seed: o.Seed, Augment: o.augment(),
		ValSplit: o.ValSplit, TestSplit: o.TestSplit, SplitSeed: o.SplitSeed, Folds: o.Folds, Fold: o.Fold, Shots: o.Shots, MaxBad: o.MaxBad, DType: o.DType, Precision: j.precision.String(),
		ImageSize: o.ImageSize, Pool: o.Pool, EMA: o.EMA, HeadInit: o.HeadInit,
	}
	if !o.prepare().Empty() {
		c.Prepare = &j.model.Recipe
	}
	j.settleSteps(&c)
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
			return err
		}
		c.Sites = map[string]int{}
		for _, k := range kinds {
			c.Sites[k.String()] = cmp.Or(ranks[k], o.Rank)
		}
		if c.Blocks, err = ParseBlocks(o.Blocks, j.model.Depth); err != nil {
			return err
		}
		c.Alpha, c.RSLoRA, c.Dropout, c.LoRAPlus = o.Alpha, o.RSLoRA, o.Dropout, o.LoRAPlus
	}
	j.config = c
	settings, err := train.Settings(c)
	if err != nil {
		return err
	}
	j.id = &train.Identity{Base: j.base.digest, Data: j.info.Digest, Split: splitDigest(j.set.Dataset, j.parts), Config: settings}
	return nil
}

// settleSteps sets the step size, the averaging, and what is kept.
func (j *Run) settleSteps(c *Config) {
	o := j.o
	if c.LR = o.LR; c.LR == 0 {
		p := DefaultPace(c.Method)
		p.A, p.B, p.Full, p.Head = o.Step*p.A, o.Step*p.B, o.Step*p.Full, o.Step*p.Head
		p.Ratio = float64(o.LoRAPlus)
		c.Pace = &p
		if c.Method == lora.LinearOnly && c.HeadInit == HeadProbe {
			c.Epochs = 0 // the probe is the result
		}
	}
	if c.EMA == ByEpoch {
		perEpoch := (len(j.parts[0]) + c.Batch - 1) / c.Batch
		c.EMA = math.Exp(-1 / float64(averageEpochs*perEpoch))
	}
	c.KeepLast = o.Keep == "last" || o.Keep == "auto" && !train.CanChoose(len(j.parts[1]))
	c.Refuse = o.Refuse
	c.Mirror = o.Mirror && o.Flip && o.Augment
}

// splitDigest identifies the assignment of samples to training, validation and test.
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
func (j *Run) build() error {
	c := &j.config
	classes := len(j.set.Labels)
	start, err := j.startAdapter(classes)
	if err != nil {
		return &SettingError{Setting: "rank", Problem: err.Error()}
	}
	pass := min(j.o.PassFor(j.model, start.Deltas), c.Batch, len(j.parts[0]))
	j.tuner, err = lora.NewTuner(j.model, pass, c.Method, start, lora.Options{Dropout: c.Dropout, BRatio: cmp.Or(c.LoRAPlus, 1), Seed: c.Seed, Precision: j.precision})
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
		Model: j.net, Data: j.data, Loss: loss, Epochs: c.Epochs,
		Optimizer: train.NewAdamW(j.tuner.Params(), c.Optimizer, j.base.pool),
		Schedule:  c.schedule(perEpoch),
		Last:      c.KeepLast, Returns: c.HeadInit == HeadProbe, Retreats: retreats,
	}
	j.progress = newProgress(j)
	if j.valLoad != nil {
		e := j.evaluator()
		e.Views = nil // epochs are compared without the additional views
		e.Progress = j.progress.validated
		j.loop.Validate = func(ctx context.Context) (train.Scores, error) {
			defer j.progress.beginValidation()()
			return e.Scores(ctx)
		}
		if c.Patience > 0 {
			j.loop.Hooks = append(j.loop.Hooks, train.EarlyStopping(c.Patience, fallen))
		}
	}
	j.loop.Hooks = append(j.loop.Hooks,
		j.progress.hook(),
		j.recordHook(),
		j.curvesHook(),
		train.Checkpoints(j.o.CheckpointPath(), j.id, checkpointEvery, func(err error) {
			j.hook.note("the checkpoint could not be saved, training goes on: " + text.OneLine(err))
		}))
	if j.o.TensorBoard {
		j.loop.Hooks = append(j.loop.Hooks, j.eventsHook(time.Now()))
	}
	return nil
}

// retreats is how often a run may return to the start of an epoch and halve its rates. fallen is the fraction
// of the peak to which the learning rate must have fallen before a run may stop early.
const (
	retreats = 3
	fallen   = 0.1
)

// schedule returns the learning rate by step, given the number of steps per epoch; with a pace, a fraction of
// it.
func (c *Config) schedule(perEpoch int) train.Schedule {
	warmUp := int(math.Round(c.Warmup * float64(perEpoch)))
	peak := c.LR
	if c.Pace != nil {
		peak = 1
	}
	cosine := train.Cosine(peak, c.MinLR, warmUp, c.Epochs*perEpoch)
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

// checkpointEvery is the maximum work within an epoch that a crash can lose.
const checkpointEvery = 2 * time.Minute

// startAdapter returns the initial adapter.
func (j *Run) startAdapter(classes int) (*lora.Adapter, error) {
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
	if c.HeadInit != "uniform" { // initially uninformative, instead of confidently wrong: docs/results.md
		clear(a.Head.W)
		clear(a.Head.Bias)
	}
	return a, nil
}

// load makes the loaders of training and validation images. Both cache decoded images in memory, up to a
// fraction of the machine's.
func (j *Run) load(pass int) (err error) {
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

// cache puts a cache in front of the frozen part, if images are not augmented and there is room in memory or on
// disk. Every image is then loaded and passed through the frozen part only once.
func (j *Run) cache() {
	j.net, j.data = j.tuner, j.trainLoad
	if j.valLoad != nil {
		j.valNet, j.valData = j.tuner, j.valLoad
	}
	row := int64(j.tuner.PrefixSize()) * 4
	size := row * int64(len(j.parts[0])+len(j.parts[1]))
	if size == 0 || j.config.Augment != (dataset.Augment{}) || size > cacheLimit()+sysinfo.FreeBytes(filepath.Dir(j.o.RunFolder()))/2 {
		return
	}
	limits := train.CacheLimits{Memory: cacheLimit() * int64(len(j.parts[0])) / int64(len(j.parts[0])+len(j.parts[1])), Dir: filepath.Dir(j.o.RunFolder())}
	c := train.NewCache(j.tuner, j.trainLoad, limits)
	j.net, j.data = c, c
	j.caches = append(j.caches, c)
	if j.valLoad != nil {
		limits.Memory = cacheLimit() - limits.Memory
		v := train.NewCache(j.tuner, j.valLoad, limits)
		j.valNet, j.valData = v, v
		j.caches = append(j.caches, v)
	}
}

// close removes the caches' files.
func (j *Run) close() {
	for _, c := range j.caches {
		if err := c.Close(); err != nil {
			j.hook.note(text.OneLine(err))
		}
	}
}

// cacheLimit returns the memory that each kind of cache may use, in bytes.
func cacheLimit() int64 {
	limit := int64(1) << 30
	if m := sysinfo.Memory(); m > 0 {
		limit = min(limit, m/8)
	}
	return limit
}

// evaluator returns the evaluator of the model in training on validation.
func (j *Run) evaluator() *train.Evaluator {
	return &train.Evaluator{Model: j.valNet, Data: j.valData, Task: j.set.Task, Views: j.views()}
}

// train resumes if requested, and runs the loop.
func (j *Run) train(ctx context.Context) error {
	if j.o.Resume {
		err := j.loop.Resume(j.o.CheckpointPath(), j.id)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return badInput(err)
		}
		s := &j.loop.State
		j.hook.tell(Resumed{Title: j.o.Title, Folder: j.o.RunFolder(), Found: err == nil, Finished: s.Stopped || s.Epoch >= j.config.Epochs,
			Step: s.Step, Epoch: s.Epoch})
	}
	j.progress.start()
	defer j.hook.tell(Ended{j.o.Title})
	err := j.loop.Run(ctx)
	var data *train.DataError
	if errors.As(err, &data) {
		return badInput(err)
	}
	return err
}

// parsePrecision parses a precision; auto is the fastest one for training.
func parsePrecision(s string) (vit.Precision, error) {
	if s == "auto" {
		return vit.FastestTraining(), nil
	}
	p, err := vit.ParsePrecision(s)
	if err != nil {
		return p, setting("precision", "%s", err)
	}
	return p, nil
}
