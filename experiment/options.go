package experiment

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"melo.example/melo/dataset"
	"melo.example/melo/imaging/processor"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/lora"
	"melo.example/melo/train"
)

// Recipe holds the training settings. [Defaults] returns the same values as the command line.
type Recipe struct {
	Rank     int     // rank of the matrices; 4 in the paper
	Alpha    float32 // scale is Alpha/Rank; 0: the rank
	Sites    string  // "q,v": some of q, k, v, proj, fc1, fc2, or all; NAME=RANK sets a separate rank
	Blocks   string  // all, last:N, or numbers and ranges from 0 such as 0,2,8-11
	RSLoRA   bool    // scale is Alpha/sqrt(Rank)
	HeadInit string  // probe: the linear probe of the bare base; zero; or uniform, as in PyTorch's linear layers
	Dropout  float32 // dropout rate on the input of A

	Epochs         int     // maximum number
	Batch          int     // images per optimizer step
	Step           float64 // multiple of the safe step, if no learning rate is given
	MinLR          float64 // learning rate at the end of the cosine
	LRUpdate       string  // step or epoch: when the cosine changes the learning rate
	LoRAPlus       float32 // LoRA+: learning rate of B / that of A; 0: a safe one or, with a given learning rate, 1
	Warmup         float64 // epochs of linear warm-up
	WeightDecay    float64 // decoupled, of matrices
	Clip           float64 // maximum norm of the gradient; 0: no clipping
	Loss           string  // ce: cross-entropy; focal
	Gamma          float64 // exponent of the focal loss
	LabelSmoothing float64 // 0 to 1
	ClassWeights   string  // none, or balanced: rare labels get larger weights
	// decay per step of the moving average that is validated and kept; 0: none; ByEpoch: two epochs
	EMA float64
	// best: epoch with the best validation; last; auto: best if validation is large enough to choose
	Keep string
	// epochs without a better validation AUC, at a low learning rate, before training stops; 0: never
	Patience    int
	Sensitivity float64 // target for choosing thresholds on validation; 0: maximise sensitivity + specificity

	Augment      bool // augment the training images, as follows
	Flip         bool // mirror left to right
	Mirror       bool // with Flip: average the answers for the image and its mirror image, at twice the cost
	Refuse       bool // the adapter refuses images unlike its training images
	FlipVertical bool
	Crop         float64 // smallest fraction of the area that a random crop keeps; 1: no crops
	Rotate       float64 // maximum rotation in either direction, in degrees
	Brightness   float64 // maximum relative change
	Contrast     float64 // maximum relative change
}

// Compute says in what form the base is trained, and which resources are used.
type Compute struct {
	ImageSize int    // side of the input in pixels; 0: the base's own
	Pool      string // pooling: class, mean or class+mean; empty: the base's own
	Precision string // of the base's products: auto, f32, bf16 or int8
	DType     string // data type in the adapter file: f32 or bf16
	Pass      int    // images in memory at once; does not affect the result. 0: see Options.PassFor
	Workers   int    // workers that load images; 0: all cores; does not affect the result
}

// Options holds everything about a training run except base and data.
type Options struct {
	Out    string // adapter file to write
	Method lora.Method
	LR     float64 // peak learning rate of all parameters; 0: rates from the safe step
	Seed   uint64  // seed of initial weights, order, augmentation and dropout

	Recipe
	Source
	Compute
	Prepare processor.Override // preprocessing that replaces or completes what the base's files say
	Fold    int                // held-out fold, from 1, if Folds is not 0

	Folder      string // for record and checkpoint; empty: beside Out, with .run in its name
	TensorBoard bool   // write TensorBoard's event files to it
	NoCurves    bool   // write no pictures of the curves to it
	Resume      bool   // continue from a checkpoint, if there is one
	Restart     bool   // start from the beginning even if there is a checkpoint
	Force       bool   // overwrite a finished adapter

	Tuned   *Tuned   // result of a search before the run, for the record
	Title   string   // name of the run in events
	Command []string // command line, for the record
}

// HeadProbe uses the linear probe of the bare base as initial head.
const HeadProbe = "probe"

// ByEpoch is the EMA value for a decay derived from the length of an epoch.
const ByEpoch = -1

// averageEpochs is the time constant of that average, in epochs.
const averageEpochs = 2

// DefaultPace is the default step size of a method in terms of its effect on outputs, used if no learning rate
// is given (docs/results.md describes how it was chosen). The resulting learning rates depend on the base.
func DefaultPace(m lora.Method) lora.Pace {
	switch m {
	case lora.MeLo:
		return lora.Pace{A: 0.3, B: 0.045, Head: 0.1}
	case lora.FullTuning:
		return lora.Pace{Full: 0.02, Decay: 0.9, Head: 0.1}
	}
	return lora.Pace{Head: 0.1}
}

// Defaults returns the default options for a low-rank adapter. Out must be set.
func Defaults() Options {
	return Options{
		Method: lora.MeLo, Seed: 1,
		Recipe: Recipe{
			Rank: 8, Sites: "q,v", Blocks: "all", HeadInit: HeadProbe,
			Epochs: 20, Batch: 16, Step: 1, LRUpdate: "step", EMA: ByEpoch, Keep: "auto", Warmup: 1, WeightDecay: 0.01, Clip: 1, Loss: "ce", Gamma: 2,
			ClassWeights: "none", Patience: 10,
			Augment: true, Flip: true, Mirror: true, Crop: 0.7, Rotate: 10, Brightness: 0.15, Contrast: 0.15,
		},
		Source:  Source{ValSplit: 0.15, TestSplit: 0.15, SplitSeed: 1},
		Compute: Compute{Precision: "auto", DType: "f32"},
	}
}

// Validate returns a [SettingError] for settings that are invalid for any base and data.
func (o *Options) Validate() error {
	share := func(v float64) bool { return v >= 0 && v < 1 }
	for _, c := range []struct {
		ok      bool
		setting string
		problem string
	}{
		{o.Epochs >= 1 && o.Epochs <= 100_000, "epochs", fmt.Sprintf("%d, expected 1 to 100000", o.Epochs)},
		{o.Batch >= 1 && o.Batch <= 65536, "batch", fmt.Sprintf("%d, expected 1 to 65536", o.Batch)},
		{o.Pass >= 0 && o.Pass <= 4096, "pass", fmt.Sprintf("%d, expected 1 to 4096", o.Pass)},
		{o.ImageSize >= 0 && o.ImageSize <= 8192, "image-size", fmt.Sprintf("%d, expected a side in pixels", o.ImageSize)},
		{o.Pool == "" || o.Pool == "class" || o.Pool == "mean" || o.Pool == "class+mean", "pool", fmt.Sprintf("%q, expected class, mean or class+mean", o.Pool)},
		{o.Rank >= 1, "rank", fmt.Sprintf("%d, expected at least 1", o.Rank)},
		{o.Alpha >= 0 && o.Alpha < 1e6, "alpha", fmt.Sprintf("%v, expected a positive number", o.Alpha)},
		{o.Dropout >= 0 && o.Dropout < 1, "dropout", fmt.Sprintf("%v, expected 0 to 1", o.Dropout)},
		{o.LR >= 0 && o.LR < 1e3, "lr", fmt.Sprintf("%v, expected a positive number", o.LR)},
		{o.MinLR >= 0 && o.MinLR < 1e3, "min-lr", fmt.Sprintf("%v, expected a positive number", o.MinLR)},
		{o.Step > 0 && o.Step <= 1e3, "step", fmt.Sprintf("%v, expected a positive number", o.Step)},
		{o.Keep == "auto" || o.Keep == "best" || o.Keep == "last", "keep", fmt.Sprintf("%s, expected auto, best or last", o.Keep)},
		{o.LR == 0 || o.Step == 1, "step", "and lr contradict each other"},
		{o.HeadInit == HeadProbe || o.HeadInit == "zero" || o.HeadInit == "uniform", "head-init", fmt.Sprintf("%s, expected probe, zero or uniform", o.HeadInit)},
		{o.LoRAPlus >= 0 && o.LoRAPlus <= 1e3, "lora-plus", fmt.Sprintf("%v, expected a positive number", o.LoRAPlus)},
		{o.Warmup >= 0 && o.Warmup <= 1e5, "warmup", fmt.Sprintf("%v, expected a number of epochs", o.Warmup)},
		{o.WeightDecay >= 0 && o.WeightDecay < 1e3, "weight-decay", fmt.Sprintf("%v, expected 0 or more", o.WeightDecay)},
		{o.Sensitivity >= 0 && o.Sensitivity <= 1, "sensitivity", fmt.Sprintf("%v, expected 0 to 1", o.Sensitivity)},
		{o.Clip >= 0 && o.Clip < 1e9, "clip", fmt.Sprintf("%v, expected 0 or more", o.Clip)},
		{o.Gamma >= 0 && o.Gamma <= train.MaxGamma, "gamma", fmt.Sprintf("%v, expected 0 to %v", o.Gamma, train.MaxGamma)},
		{share(o.EMA) || o.EMA == ByEpoch, "ema", fmt.Sprintf("%v, expected a decay below 1", o.EMA)},
		{share(o.LabelSmoothing), "label-smoothing", fmt.Sprintf("%v, expected 0 to 1", o.LabelSmoothing)},
		{o.Patience >= 0, "patience", fmt.Sprintf("%d, expected 0 or more", o.Patience)},
		{o.Folds == 0 && o.Fold == 0 || o.Fold >= 1 && o.Fold <= o.Folds, "fold", fmt.Sprintf("%d of %d folds, expected the number of a fold", o.Fold, o.Folds)},
		{!o.Resume || !o.Restart, "resume", "and restart contradict each other"},
	} {
		if !c.ok {
			return setting(c.setting, "%s", c.problem)
		}
	}
	if err := o.Check(); err != nil {
		return err
	}
	if err := o.augment().Validate(); err != nil {
		return err
	}
	if _, err := o.form(); err != nil {
		return err
	}
	_, _, err := parseSites(o.Sites)
	return err
}

// augment returns the augmentation of training images.
func (r *Recipe) augment() dataset.Augment {
	if !r.Augment {
		return dataset.Augment{}
	}
	return dataset.Augment{Flip: r.Flip, FlipVertical: r.FlipVertical, Crop: r.Crop, Rotate: r.Rotate,
		Brightness: r.Brightness, Contrast: r.Contrast}
}

// RunFolder returns the folder of the run's record and checkpoint.
func (o *Options) RunFolder() string {
	if o.Folder != "" {
		return o.Folder
	}
	return RunFolderOf(o.Out)
}

// RunFolderOf returns the default folder for the record of an adapter.
func RunFolderOf(adapter string) string { return strings.TrimSuffix(adapter, ".safetensors") + ".run" }

// CheckpointPath returns the path of the checkpoint in RunFolder.
func (o *Options) CheckpointPath() string {
	return filepath.Join(o.RunFolder(), "checkpoint.safetensors")
}

// CheckOutput checks before training that the result can be written. It returns an [UnfinishedError] if there
// is the checkpoint of an earlier run.
func (o *Options) CheckOutput() error {
	if info, err := os.Stat(o.Out); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: exists and is not a regular file", o.Out)
	}
	if err := atomicfile.TryFolder(filepath.Dir(o.Out)); err != nil {
		return err
	}
	_, unfinished := os.Stat(o.CheckpointPath())
	if unfinished == nil && !o.Resume && !o.Restart {
		return &UnfinishedError{o.CheckpointPath()}
	}
	if _, err := os.Stat(o.Out); err == nil && !o.Force && (unfinished != nil || !o.Resume) {
		return setting("force", "is needed: %s is there already and would be written over", o.Out)
	}
	return nil
}
