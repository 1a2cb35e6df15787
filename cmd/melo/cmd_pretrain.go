package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/text"
	"melo.example/melo/internal/ui"
	"melo.example/melo/train"
	"melo.example/melo/train/pretrain"
	"melo.example/melo/vit"
)

// pretrainOptions are the options of "melo pretrain".
type pretrainOptions struct {
	Out string `required:"" help:"Folder of the base to write." placeholder:"DIR"`

	Width int `default:"192" group:"Shape:" help:"Embedding width."`
	Depth int `default:"6" group:"Shape:" help:"Number of blocks."`
	Heads int `default:"3" group:"Shape:" help:"Attention heads."`
	MLP   int `name:"mlp" placeholder:"N" group:"Shape:" help:"Hidden width of the MLP. Default: four times the width."`
	Image int `default:"112" group:"Shape:" help:"Side of the input in pixels."`
	Patch int `default:"16" group:"Shape:" help:"Side of a patch in pixels, a multiple of 16."`

	Epochs      int     `default:"60" group:"Training:" help:"Number of epochs. After each the base is written, and probes are measured."`
	EpochImages int     `default:"3072" group:"Training:" help:"Images per epoch. Each is new."`
	Batch       int     `default:"8" group:"Training:" help:"Images per optimizer step."`
	LR          float64 `name:"lr" default:"0.001" group:"Training:" help:"Peak learning rate."`
	Warmup      int     `default:"200" group:"Training:" help:"Steps of linear warm-up."`
	Average     float64 `default:"0.9995" group:"Training:" help:"Maximum decay per step of the exponential moving average of the weights, which is the result."`
	WeightDecay float64 `default:"0.05" group:"Training:" help:"Decoupled weight decay of weight matrices."`
	Clip        float64 `default:"1" group:"Training:" help:"Maximum gradient norm; 0: no clipping."`
	LocalWeight float64 `default:"1" group:"Training:" help:"Weight of the patch-level loss relative to the image-level loss."`
	Mask        float64 `default:"0.5" group:"Training:" help:"Maximum fraction of patches that are masked."`
	Exposure    float64 `default:"0.3" group:"Training:" help:"Maximum change of brightness and contrast."`
	Noise       float64 `default:"0.1" group:"Training:" help:"Maximum standard deviation of added noise."`
	Seed        uint64  `default:"1" group:"Training:" help:"Random seed of initial weights and images."`

	Probe       []string `group:"Measuring:" placeholder:"DATA" help:"Data sets on which a linear probe is measured after each epoch; they do not influence the base. May be repeated."`
	ProbeEvery  int      `default:"1" group:"Measuring:" help:"Measure probes every so many epochs."`
	ProbeImages int      `default:"800" group:"Measuring:" help:"Maximum number of images of a probe; half of them train it."`

	Precision  string `default:"auto" enum:"auto,f32,bf16" group:"Output and machine:" help:"Precision of matrix products: ${enum}. auto: bf16 if the CPU supports it, else f32."`
	DType      string `name:"dtype" default:"bf16" enum:"f32,bf16" group:"Output and machine:" help:"Number format of the file: f32 or bf16."`
	Workers    int    `placeholder:"N" group:"Output and machine:" help:"Workers (default: all cores). The result does not depend on it."`
	Pass       int    `default:"32" group:"Output and machine:" help:"Images per forward and backward pass; fewer need less memory. The result does not depend on it."`
	Checkpoint string `group:"Output and machine:" help:"Folder for the checkpoint. Default: next to the base, with .run in its name." placeholder:"DIR"`
	Resume     bool   `group:"Output and machine:" help:"Continue from the checkpoint of an interrupted run, if there is one."`
	Restart    bool   `group:"Output and machine:" help:"Start over even if there is a checkpoint of an interrupted run."`
}

// Help returns the long help text.
func (pretrainOptions) Help() string {
	return `Pre-trains a small base from scratch on procedurally generated images: noise, fractals, contours, dead leaves,
cells, vessels and others. The training task is to predict the composition of an image, and how edges, spots and
colours are distributed over it. No data is needed, and the result contains none. "--base embedded" was made this way.

The base is written after each epoch, with its record in pretrain.json. Ctrl-C saves a checkpoint. The same options and
seed give the same file on one class of machine, for any number of workers, interrupted or not.

Such a base is suitable for demonstrations and tests. For real work use one that was trained on real images.

Examples:

    melo pretrain --out small/
    melo pretrain --out small/ --epochs 3 --probe busi/ --probe brain_mri/
    melo train --base small/ --data busi/ --out busi.safetensors` + exitHelp
}

// options returns the options of the run, without the precision, which Run fills in.
func (o *pretrainOptions) options() pretrain.Options {
	c := pretrain.Config{
		Width: o.Width, Depth: o.Depth, Heads: o.Heads, MLP: cmp.Or(o.MLP, 4*o.Width), Image: o.Image, Patch: o.Patch,
		Batches: o.EpochImages / max(o.Batch, 1), Batch: o.Batch, LR: o.LR, Warmup: o.Warmup, Average: o.Average,
		Optimizer:   train.AdamWConfig{Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, WeightDecay: o.WeightDecay, Clip: o.Clip},
		LocalWeight: o.LocalWeight, Distract: pretrain.Distract{Mask: o.Mask, Exposure: o.Exposure, Noise: o.Noise}, Seed: o.Seed,
	}
	return pretrain.Options{Config: c, Epochs: o.Epochs, Out: o.Out, DType: convertTypes[o.DType], Probe: o.Probe, ProbeEvery: o.ProbeEvery,
		ProbeImages: o.ProbeImages, Workers: o.Workers, Pass: o.Pass, Checkpoint: o.Checkpoint, Resume: o.Resume, Restart: o.Restart}
}

// Validate rejects invalid option values.
func (o *pretrainOptions) Validate() error {
	p := o.options()
	return p.Validate()
}

// Run pre-trains a base.
func (o *pretrainOptions) Run(ctx context.Context, s *stdio) error {
	precision, err := parsePrecision(o.Precision, vit.FastestTraining())
	if err != nil {
		return err
	}
	if !vit.Supports(precision) {
		return usage(fmt.Errorf("--precision %v: this CPU (%s) has no instructions for it", precision, kernel.Name()))
	}
	p := o.options()
	p.Config.Precision = precision.String()
	progress := s.progress()
	defer progress.Close()
	var meter *ui.Meter
	p.Watch = pretrain.Watch{
		Note: func(text string) { progress.Printf("melo: %s", text) },
		Step: func(images, total int, loss float64) {
			if meter == nil {
				meter = progress.Start("pre-training", int64(images), int64(total))
			}
			meter.Set(int64(images), fmt.Sprintf("loss %.4f", loss))
		},
		Epoch: func(e pretrain.Epoch) {
			line := fmt.Sprintf("%s  epoch %d  images %s  loss %.4f", time.Now().UTC().Format(time.TimeOnly), e.Epoch, text.Count(int64(e.Images)), e.Loss)
			for _, name := range slices.Sorted(maps.Keys(e.Probes)) {
				line += fmt.Sprintf("  %s %.4f", name, e.Probes[name])
			}
			progress.Printf("%s", line)
		},
	}
	record, err := pretrain.Run(ctx, p)
	if meter != nil {
		meter.Finish()
	}
	progress.Close()
	if err != nil {
		return o.unfinished(s, p.RunFolder(), err)
	}
	last := record.Epochs[len(record.Epochs)-1]
	s.printf("%s, %s images, loss %.4f", text.Plural(len(record.Epochs), "epoch", "epochs"), text.Count(int64(last.Images)), last.Loss)
	s.printf("sha256 %s", hexOf(record.Digest))
	return s.document(record)
}

// unfinished adds the exit status to an error, and prints how to continue an interrupted run.
func (o *pretrainOptions) unfinished(s *stdio, folder string, err error) error {
	switch {
	case errors.As(err, new(*pretrain.UnfinishedError)):
		return usage(fmt.Errorf("%w: give --resume to go on with it, or --restart to start over", err))
	case errors.As(err, new(*pretrain.InputError)):
		return badInput(err)
	case errors.As(err, new(*train.InterruptedError)):
		s.hints = append(s.hints, "the checkpoint is in "+folder+"; to go on:", "    "+s.commandLine("--resume", "--restart"))
	}
	return err
}
