package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"melo.example/melo/dataset"
	"melo.example/melo/internal/par"
	"melo.example/melo/internal/ui"
	"melo.example/melo/lora"
	"melo.example/melo/train"
)

// trainOptions are the options of "melo train".
type trainOptions struct {
	Base   string  `required:"" help:"${base}" placeholder:"BASE"`
	Data   string  `required:"" help:"Data: a folder with labels.csv, a CSV file, a folder with one folder per class (with or without train, val and test above them), or an .npz archive with MedMNIST's names." placeholder:"DATA"`
	Out    string  `required:"" help:"Adapter file to write." placeholder:"FILE"`
	Method string  `default:"melo" enum:"melo,linear,full" group:"What is trained:" help:"melo: low-rank matrices and a head; linear: the head alone; full: everything."`
	LR     float64 `name:"lr" placeholder:"RATE" group:"How:" help:"Peak learning rate. Default: ${lr_melo} for melo, ${lr_linear} for linear, ${lr_full} for full."`
	Seed   uint64  `default:"1" group:"How:" help:"Seed of first weights, order, augmentation and dropout."`

	trainRecipe
	Fold int `placeholder:"N" group:"Data:" help:"With --folds: the fold that is held out, from 1."`

	Checkpoint  string `group:"Output and machine:" help:"Folder for the run's record and checkpoint. Default: beside the adapter, with .run in its name." placeholder:"DIR"`
	TensorBoard bool   `name:"tensorboard" group:"Output and machine:" help:"Write TensorBoard's event files into that folder, too."`
	Resume      bool   `group:"Output and machine:" help:"Go on from the checkpoint of an interrupted run, if there is one."`
	Restart     bool   `group:"Output and machine:" help:"Start over although there is a checkpoint of an interrupted run."`
}

// trainRecipe are the options that say how to train, and on what machine: those that commands which make many runs
// have, too.
type trainRecipe struct {
	Rank     int     `default:"8" group:"What is trained:" help:"Rank of the matrices; the paper has 4."`
	Alpha    float32 `placeholder:"ALPHA" group:"What is trained:" help:"Scale is alpha/rank. Default: ${scale} times the rank; with --rslora the rank."`
	Sites    string  `default:"q,v" group:"What is trained:" help:"Maps with matrices beside them: q, k, v, proj, fc1, fc2, or all; NAME=RANK gives one its own rank."`
	Blocks   string  `default:"all" group:"What is trained:" help:"Blocks with matrices: all, last:N, or numbers and ranges from 0 such as 0,2,8-11."`
	RSLoRA   bool    `name:"rslora" group:"What is trained:" help:"Scale is alpha/sqrt(rank)."`
	HeadInit string  `default:"zero" enum:"zero,uniform" group:"What is trained:" help:"First head: zero, or uniform as PyTorch's linear layers."`
	Dropout  float32 `default:"0" group:"What is trained:" help:"Share of the inputs of the first matrix that is dropped."`

	Epochs         int     `default:"${epochs}" group:"How:" help:"Epochs at most."`
	Batch          int     `default:"16" group:"How:" help:"Images of an optimizer step."`
	MinLR          float64 `name:"min-lr" default:"0" group:"How:" help:"Learning rate at the end of the cosine."`
	LRUpdate       string  `name:"lr-update" default:"step" enum:"step,epoch" group:"How:" help:"The cosine changes the learning rate at each step or at each epoch, as LoRA-ViT's scripts do."`
	LoRAPlus       float32 `name:"lora-plus" default:"1" group:"How:" help:"Learning rate of the second matrix over that of the first (LoRA+)."`
	Warmup         float64 `default:"1" group:"How:" help:"Epochs of linear warm-up."`
	WeightDecay    float64 `default:"0.01" group:"How:" help:"Decoupled weight decay of matrices."`
	Clip           float64 `default:"1" group:"How:" help:"Greatest norm of the gradient; 0: none."`
	Loss           string  `default:"ce" enum:"ce,focal" group:"How:" help:"ce: cross-entropy; focal: what is easy already weighs less."`
	Gamma          float64 `default:"2" group:"How:" help:"Exponent of the focal loss."`
	LabelSmoothing float64 `default:"0" group:"How:" help:"Label smoothing, 0 to 1."`
	ClassWeights   string  `default:"none" enum:"none,balanced" group:"How:" help:"none, or balanced: rare labels weigh more."`
	EMA            float64 `name:"ema" placeholder:"DECAY" group:"How:" help:"Validate and keep an exponential moving average of what is trained, with this decay a step, such as 0.99. Default: none."`
	Patience       int     `default:"10" group:"How:" help:"Stop after so many epochs without a better validation AUC; 0: never."`
	Sensitivity    float64 `placeholder:"SHARE" group:"How:" help:"Choose each label's threshold for this sensitivity on validation. Default: the greatest sum of sensitivity and specificity."`

	Augment      bool    `default:"true" negatable:"" group:"Augmentation:" help:"Vary the training images; --no-augment switches all of it off."`
	Flip         bool    `default:"true" negatable:"" group:"Augmentation:" help:"Mirror left and right; --no-flip where laterality matters."`
	FlipVertical bool    `group:"Augmentation:" help:"Mirror top and bottom."`
	Crop         float64 `default:"0.7" group:"Augmentation:" help:"Smallest share of the area that a random crop keeps; 1: no crops."`
	Rotate       float64 `default:"10" group:"Augmentation:" help:"Greatest rotation either way, in degrees."`
	Brightness   float64 `default:"0.15" group:"Augmentation:" help:"Greatest relative change of brightness."`
	Contrast     float64 `default:"0.15" group:"Augmentation:" help:"Greatest relative change of contrast."`

	dataSource
	prepareOptions

	ImageSize int    `aliases:"size" placeholder:"N" group:"Output and machine:" help:"Side of the input in pixels; position embeddings are resized for it. Default: the base's own."`
	Precision string `default:"auto" enum:"auto,f32,bf16,int8" aliases:"base-precision" group:"Output and machine:" help:"Precision of the base's products: ${enum}. auto: bf16 where the CPU has it, else f32. The numbers that are trained are f32 always."`
	DType     string `name:"dtype" default:"f32" enum:"f32,bf16" group:"Output and machine:" help:"Numbers in the adapter file: f32 or bf16."`
	Pass      int    `default:"8" group:"Output and machine:" help:"Images of a pass; fewer need less memory. The result does not depend on it."`
	Workers   int    `placeholder:"N" group:"Output and machine:" help:"Workers (default: all cores). The result does not depend on it."`
}

// trainDefaults are what the help of several commands has.
var trainDefaults = map[string]string{"epochs": "20", "lr_melo": "0.002", "lr_linear": "0.003", "lr_full": "0.0001", "scale": fmt.Sprint(defaultScale),
	"base":      "Base: a folder with config.json and model.safetensors, a file, hf:owner/name of a Hugging Face hub, or embedded: the small base that is part of melo.",
	"try_names": tunableNames(), "try_default": strings.Join(tryDefault[lora.MeLo], " ")}

// defaultScale is alpha/rank of new adapters: with 1, the matrices hardly leave zero in the few hundred steps of a small set of
// images. Rank and scale were found together (docs/results.md).
const defaultScale = 8

// defaultLR is the peak learning rate of a method.
func defaultLR(m lora.Method) float64 {
	return map[lora.Method]float64{lora.MeLo: 2e-3, lora.LinearOnly: 3e-3, lora.FullTuning: 1e-4}[m]
}

// Help is the long help text.
func (trainOptions) Help() string {
	return `Trains an adapter for a base on labelled images and writes it with everything that a prediction needs. The
best epoch on validation is kept. The test split is not touched: "melo eval" is for that.

Ctrl-C saves a checkpoint and says how to go on. The same options, data and seed give the same file on one
class of machine, whatever the number of workers, stopped and resumed or not.

--batch images make one step, in passes of --pass images whose gradients are added up: that is gradient
accumulation, and the number of passes changes no bit of the result, only memory.

Examples:

    melo train --base vit_tiny/ --data busi/ --out busi.safetensors
    melo train --base vit_tiny/ --data busi/ --out busi.safetensors --resume
    melo train --base vit_tiny/ --data busi/ --out b.safetensors --method linear
    melo train --base vit_tiny/ --data chest.csv --out chest.safetensors \
        --no-flip --group-column patient
    melo train --base vit_tiny/ --data skin/ --out skin.safetensors \
        --loss focal --class-weights balanced --ema 0.99
    melo train --base vit_tiny/ --data busi/ --out fold1.safetensors \
        --folds 5 --fold 1

Research software, not a medical device.` + exitHelp
}

// Validate refuses option values that cannot be.
func (o *trainOptions) Validate() error {
	share := func(v float64) bool { return v >= 0 && v < 1 }
	for _, c := range []struct {
		ok   bool
		text string
	}{
		{o.Epochs >= 1 && o.Epochs <= 100_000, fmt.Sprintf("--epochs %d, expected 1 to 100000", o.Epochs)},
		{o.Batch >= 1 && o.Batch <= 65536, fmt.Sprintf("--batch %d, expected 1 to 65536", o.Batch)},
		{o.Pass >= 1 && o.Pass <= 4096, fmt.Sprintf("--pass %d, expected 1 to 4096", o.Pass)},
		{o.ImageSize >= 0 && o.ImageSize <= 8192, fmt.Sprintf("--image-size %d, expected a side in pixels", o.ImageSize)},
		{o.Rank >= 1, fmt.Sprintf("--rank %d, expected at least 1", o.Rank)},
		{o.Alpha >= 0 && o.Alpha < 1e6, fmt.Sprintf("--alpha %v, expected a positive number", o.Alpha)},
		{o.Dropout >= 0 && o.Dropout < 1, fmt.Sprintf("--dropout %v, expected 0 to 1", o.Dropout)},
		{o.LR >= 0 && o.LR < 1e3, fmt.Sprintf("--lr %v, expected a positive number", o.LR)},
		{o.MinLR >= 0 && o.MinLR < 1e3, fmt.Sprintf("--min-lr %v, expected a positive number", o.MinLR)},
		{o.LoRAPlus > 0 && o.LoRAPlus <= 1e3, fmt.Sprintf("--lora-plus %v, expected a positive number", o.LoRAPlus)},
		{o.Warmup >= 0 && o.Warmup <= 1e5, fmt.Sprintf("--warmup %v, expected a number of epochs", o.Warmup)},
		{o.WeightDecay >= 0 && o.WeightDecay < 1e3, fmt.Sprintf("--weight-decay %v, expected 0 or more", o.WeightDecay)},
		{o.Sensitivity >= 0 && o.Sensitivity <= 1, fmt.Sprintf("--sensitivity %v, expected 0 to 1", o.Sensitivity)},
		{o.Clip >= 0 && o.Clip < 1e9, fmt.Sprintf("--clip %v, expected 0 or more", o.Clip)},
		{o.Gamma >= 0 && o.Gamma <= train.MaxGamma, fmt.Sprintf("--gamma %v, expected 0 to %v", o.Gamma, train.MaxGamma)},
		{share(o.EMA), fmt.Sprintf("--ema %v, expected a decay below 1", o.EMA)},
		{share(o.LabelSmoothing), fmt.Sprintf("--label-smoothing %v, expected 0 to 1", o.LabelSmoothing)},
		{o.Patience >= 0, fmt.Sprintf("--patience %d, expected 0 or more", o.Patience)},
		{o.Folds == 0 && o.Fold == 0 || o.Fold >= 1 && o.Fold <= o.Folds, fmt.Sprintf("--folds %d and --fold %d, expected the number of a fold", o.Folds, o.Fold)},
		{!o.Resume || !o.Restart, "--resume and --restart contradict each other"},
	} {
		if !c.ok {
			return errors.New(c.text)
		}
	}
	if err := o.check(); err != nil {
		return err
	}
	if err := o.augment().Validate(); err != nil {
		return err
	}
	_, _, err := parseSites(o.Sites)
	return err
}

// augment is how training images are varied.
func (o *trainRecipe) augment() dataset.Augment {
	if !o.Augment {
		return dataset.Augment{}
	}
	return dataset.Augment{Flip: o.Flip, FlipVertical: o.FlipVertical, Crop: o.Crop, Rotate: o.Rotate,
		Brightness: o.Brightness, Contrast: o.Contrast}
}

// runFolder is where the run's record and checkpoint are.
func (o *trainOptions) runFolder() string {
	return cmp.Or(o.Checkpoint, strings.TrimSuffix(o.Out, ".safetensors")+".run")
}

// checkpointPath is the checkpoint in it.
func (o *trainOptions) checkpointPath() string {
	return filepath.Join(o.runFolder(), "checkpoint.safetensors")
}

// Run trains.
func (o *trainOptions) Run(ctx context.Context, s *stdio) error {
	start := time.Now()
	if err := o.checkOutput(); err != nil {
		return err
	}
	pool := par.New(o.Workers)
	defer pool.Close()
	set, err := openTrainSet(ctx, s, o.Data, &o.dataSource)
	if err != nil {
		return err
	}
	defer set.close(s)
	base, err := openTrainBase(ctx, s, o.Base, pool)
	if err != nil {
		return err
	}
	job, err := newTrainJob(o, s, base, set, runView{})
	if err != nil {
		return err
	}
	doc, err := job.run(ctx, start)
	if err != nil {
		return job.unfinished(err)
	}
	doc.print(s)
	return s.document(doc)
}

// checkOutput finds out before the training whether its result can be written, and guards the checkpoint of
// an earlier run.
func (o *trainOptions) checkOutput() error {
	if info, err := os.Stat(o.Out); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("--out %s: exists and is not a regular file", o.Out)
	}
	if err := tryFolder(filepath.Dir(o.Out)); err != nil {
		return err
	}
	if _, err := os.Stat(o.checkpointPath()); err == nil && !o.Resume && !o.Restart {
		return usage(fmt.Errorf("%s: an interrupted run: give --resume to go on with it, or --restart to start over", o.checkpointPath()))
	}
	return nil
}

// tryFolder finds out whether files can be made in a folder.
func tryFolder(dir string) error {
	probe, err := os.CreateTemp(dir, ".melo-*.tmp")
	if err != nil {
		return fmt.Errorf("%s: cannot be written to: %w", dir, errors.Unwrap(err))
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// unfinished says how a run that ended too early can be gone on with.
func (j *trainJob) unfinished(err error) error {
	if _, statErr := os.Stat(j.o.checkpointPath()); statErr != nil {
		return err
	}
	var mismatch *train.MismatchError
	var diverged *train.NotFiniteError
	switch {
	case errors.As(err, &mismatch):
		return err
	case errors.As(err, &diverged): // and would do so again
		j.s.hints = append(j.s.hints, "the last checkpoint is in "+j.o.runFolder()+"; --restart starts over")
		return err
	}
	j.s.hints = append(j.s.hints, "the checkpoint is in "+j.o.runFolder()+"; to go on:",
		"    "+j.s.commandLine("--resume", "--restart"))
	return err
}

// commandLine is the command as it was given, with one option added and one taken away.
func (s *stdio) commandLine(with, without string) string {
	return s.sameCommand(with, without) + " " + with
}

// sameCommand is the command as it was given, without some options.
func (s *stdio) sameCommand(without ...string) string {
	return s.commandText(slices.DeleteFunc(slices.Clone(s.args), func(a string) bool { return slices.Contains(without, a) }))
}

// commandText is a command line of melo as it is typed.
func (s *stdio) commandText(args []string) string {
	words := []string{"melo"}
	for _, a := range args {
		words = append(words, shellWord(a))
	}
	return strings.Join(words, " ")
}

// shellWord quotes a word that a shell would not take as it is.
func shellWord(w string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=,:+@%", r)
	}
	if w != "" && strings.IndexFunc(w, func(r rune) bool { return !plain(r) }) < 0 {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// trainDocument is the --json document of "melo train".
type trainDocument struct {
	Adapter struct {
		Path   string `json:"path"`
		Digest string `json:"digest"`
		Bytes  int64  `json:"bytes"`
	} `json:"adapter"`
	Base   string       `json:"base"`
	Method string       `json:"method"`
	Data   trainData    `json:"data"`
	Params trainedShare `json:"parameters"`

	Epochs       int         `json:"epochs"`
	BestEpoch    int         `json:"best_epoch"`
	Steps        int         `json:"steps"`
	StoppedEarly bool        `json:"stopped_early"`
	Validation   scoreTable  `json:"validation"`
	Settings     trainConfig `json:"settings"`

	Seconds         float64  `json:"seconds"`
	ImagesPerSecond float64  `json:"images_per_second"`
	ShareOfPeak     float64  `json:"share_of_peak"`
	WaitingShare    float64  `json:"waiting_share"` // of the time of training that was spent waiting for images
	PeakMemory      int64    `json:"peak_memory_bytes"`
	Run             string   `json:"run"`
	Warnings        []string `json:"warnings"`
	Notice          string   `json:"notice"`
}

// trainData is what was trained on.
type trainData struct {
	Path   string   `json:"path"`
	Digest string   `json:"digest"`
	Task   string   `json:"task"`
	Labels []string `json:"labels"`
	Rule   string   `json:"rule"` // of the split
	Train  int      `json:"train"`
	Val    int      `json:"val"`
	Test   int      `json:"test"`
	Bad    []string `json:"bad"` // images that could not be read
}

// trainedShare counts numbers.
type trainedShare struct {
	Trained int64   `json:"trained"` // without the head, except for linear
	Head    int64   `json:"head"`
	Base    int64   `json:"base"`
	Share   float64 `json:"share"` // trained over base
}

// scoreTable is what validation found: of all labels, and of each.
type scoreTable struct {
	Samples  int                `json:"samples"`
	Scores   map[string]float64 `json:"scores"` // by name; what the data does not define is left out
	PerLabel map[string]float64 `json:"per_label_auc"`
	// Uncalibrated are the scores without temperatures, with decisions at one half.
	Uncalibrated map[string]float64 `json:"uncalibrated"`
	Temperatures []float64          `json:"temperatures"`
	Thresholds   []float64          `json:"thresholds"`
}

func (d *trainDocument) print(s *stdio) {
	s.printf("%s", d.Adapter.Path)
	s.printf("  size        %s", ui.Bytes(d.Adapter.Bytes))
	s.printf("  sha256      %s", hexOf(d.Adapter.Digest))
	s.printf("  trained     %s numbers (%.2f %% of the base) and %s in the head", ui.Count(d.Params.Trained), 100*d.Params.Share, ui.Count(d.Params.Head))
	best := ""
	if d.BestEpoch > 0 {
		best = fmt.Sprintf(", best %d", d.BestEpoch)
	}
	s.printf("  epochs      %d%s, %d steps in %s", d.Epochs, best, d.Steps, ui.Duration(time.Duration(d.Seconds*float64(time.Second))))
	if d.Validation.Samples > 0 {
		s.entry("  validation  ", "%s (%d images)", scoreLine(d.Validation.Scores, 5), d.Validation.Samples)
	}
	for _, label := range d.Data.Labels {
		if v, ok := d.Validation.PerLabel[label]; ok {
			s.printf("    AUC %.3f  %s", v, label)
		}
	}
	s.notef("%s", notice)
}

// scoreLine writes the first scores for people, the AUC, the accuracy and so on.
func scoreLine(scores map[string]float64, most int) string {
	var parts []string
	for _, x := range []struct{ name, show string }{
		{train.AUC, "AUC"}, {train.Accuracy, "accuracy"}, {train.BalancedAccuracy, "balanced"}, {train.F1, "F1"}, {train.ECE, "ECE"},
	}[:most] {
		if v, ok := scores[x.name]; ok {
			parts = append(parts, fmt.Sprintf("%s %.3f", x.show, v))
		}
	}
	return strings.Join(parts, ", ")
}
