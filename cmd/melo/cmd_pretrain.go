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

	Width int `default:"192" group:"Shape:" help:"Width of the tokens."`
	Depth int `default:"6" group:"Shape:" help:"Number of blocks."`
	Heads int `default:"3" group:"Shape:" help:"Attention heads."`
	MLP   int `name:"mlp" placeholder:"N" group:"Shape:" help:"Hidden width of the MLP. Default: four times the width."`
	Image int `default:"112" group:"Shape:" help:"Side of the input in pixels."`
	Patch int `default:"16" group:"Shape:" help:"Side of a patch in pixels, a multiple of 16."`

	Epochs      int     `default:"60" group:"How:" help:"Epochs. After each the base is written, and probes are measured."`
	EpochImages int     `default:"3072" group:"How:" help:"Images of an epoch. All are new."`
	Batch       int     `default:"8" group:"How:" help:"Images of an optimizer step."`
	LR          float64 `name:"lr" default:"0.001" group:"How:" help:"Peak learning rate."`
	Warmup      int     `default:"200" group:"How:" help:"Steps of linear warm-up."`
	Average     float64 `default:"0.9995" group:"How:" help:"Greatest decay a step of the average of the weights, which is the result."`
	WeightDecay float64 `default:"0.05" group:"How:" help:"Decoupled weight decay of matrices."`
	Clip        float64 `default:"1" group:"How:" help:"Greatest norm of the gradient; 0: none."`
	LocalWeight float64 `default:"1" group:"How:" help:"Weight of what is told of patches beside what is told of the image."`
	Mask        float64 `default:"0.5" group:"How:" help:"Greatest share of blank patches."`
	Exposure    float64 `default:"0.3" group:"How:" help:"Greatest change of brightness and contrast."`
	Noise       float64 `default:"0.1" group:"How:" help:"Greatest spread of noise."`
	Seed        uint64  `default:"1" group:"How:" help:"Seed of first weights and images."`

	Probe       []string `group:"Measuring:" placeholder:"DATA" help:"Data sets whose linear probe is measured after each epoch; nothing of them flows into the base. May be repeated."`
	ProbeEvery  int      `default:"1" group:"Measuring:" help:"Epochs from one measurement to the next."`
	ProbeImages int      `default:"800" group:"Measuring:" help:"Images of a probe at most; half of them train it."`

	Precision  string `default:"auto" enum:"auto,f32,bf16" group:"Output and machine:" help:"Precision of products: ${enum}. auto: bf16 where the CPU has it, else f32."`
	DType      string `name:"dtype" default:"bf16" enum:"f32,bf16" group:"Output and machine:" help:"Numbers in the file: f32 or bf16."`
	Workers    int    `placeholder:"N" group:"Output and machine:" help:"Workers (default: all cores). The result does not depend on it."`
	Pass       int    `default:"32" group:"Output and machine:" help:"Images of a pass; fewer need less memory. The result does not depend on it."`
	Checkpoint string `group:"Output and machine:" help:"Folder for the run's checkpoint. Default: beside the base, with .run in its name." placeholder:"DIR"`
	Resume     bool   `group:"Output and machine:" help:"Go on from the checkpoint of an interrupted run, if there is one."`
	Restart    bool   `group:"Output and machine:" help:"Start over although there is a checkpoint of an interrupted run."`
}

// Help is the long help text.
func (pretrainOptions) Help() string {
	return `Trains all weights of a small base from scratch on images drawn by formula: noise, fractals, contours, dead
leaves, cells, vessels and the like. The backbone learns to tell what such an image is made of, and how edges, spots and
colours are spread over it. No data is needed, and none is in the result. "--base embedded" was made this way.

The base is written after each epoch, with its record in pretrain.json; at the end the run's folder has curves. Ctrl-C saves a checkpoint. The same options and
seed give the same file on one class of machine, whatever the number of workers, stopped and resumed or not.

Such a base is good for demonstrations and tests. For real work take one that was trained on real images.

Examples:

    melo pretrain --out small/
    melo pretrain --out small/ --epochs 3 --probe busi/ --probe brain_mri/
    melo train --base small/ --data busi/ --out busi.safetensors` + exitHelp
}

// options are those of the run; the precision is filled in when it runs.
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

// Validate refuses option values that cannot be.
func (o *pretrainOptions) Validate() error {
	p := o.options()
	return p.Validate()
}

// Run trains.
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

// unfinished gives an error its status, and says how an interrupted run goes on.
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
