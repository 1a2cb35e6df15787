package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"melo.example/melo/dataset"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/par"
	"melo.example/melo/internal/text"
	"melo.example/melo/internal/ui"
	"melo.example/melo/safetensors"
	"melo.example/melo/train"
	"melo.example/melo/train/pretrain"
	"melo.example/melo/vit"
	"melo.example/melo/vit/checkpoint"
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

// Validate refuses option values that cannot be.
func (o *pretrainOptions) Validate() error {
	c := o.shape()
	if err := c.Validate(); err != nil {
		return err
	}
	for _, x := range []struct {
		ok   bool
		text string
	}{
		{o.Patch%16 == 0, fmt.Sprintf("--patch %d, expected a multiple of 16", o.Patch)},
		{o.Image >= 3*o.Patch, fmt.Sprintf("--image %d, expected at least three patches a side", o.Image)},
		{o.Epochs >= 1 && o.Epochs <= 100_000, fmt.Sprintf("--epochs %d, expected 1 to 100000", o.Epochs)},
		{o.Batch >= 1 && o.Batch <= 65536, fmt.Sprintf("--batch %d, expected 1 to 65536", o.Batch)},
		{o.EpochImages >= o.Batch, fmt.Sprintf("--epoch-images %d, expected at least one batch of %d", o.EpochImages, o.Batch)},
		{o.Pass >= 1 && o.Pass <= 4096, fmt.Sprintf("--pass %d, expected 1 to 4096", o.Pass)},
		{o.LR > 0 && o.LR < 1e3, fmt.Sprintf("--lr %v, expected a positive number", o.LR)},
		{o.Warmup >= 0 && o.WeightDecay >= 0 && o.Clip >= 0 && o.LocalWeight >= 0, "--warmup, --weight-decay, --clip and --local-weight cannot be negative"},
		{o.Mask >= 0 && o.Mask < 1, fmt.Sprintf("--mask %v, expected 0 to 1", o.Mask)},
		{o.Exposure >= 0 && o.Exposure < 1 && o.Noise >= 0 && o.Noise < 1, "--exposure and --noise, expected 0 to 1"},
		{o.ProbeEvery >= 1, fmt.Sprintf("--probe-every %d, expected at least 1", o.ProbeEvery)},
		{o.ProbeImages >= 16, fmt.Sprintf("--probe-images %d, expected at least 16", o.ProbeImages)},
		{!o.Resume || !o.Restart, "--resume and --restart exclude each other"},
	} {
		if !x.ok {
			return errors.New(x.text)
		}
	}
	return nil
}

// shape is that of the base.
func (o *pretrainOptions) shape() vit.Config {
	c := pretrain.Small()
	c.Width, c.Depth, c.Heads, c.MLP, c.Image, c.Patch = o.Width, o.Depth, o.Heads, cmp.Or(o.MLP, 4*o.Width), o.Image, o.Patch
	return c
}

// runFolder is where the checkpoint is.
func (o *pretrainOptions) runFolder() string {
	return cmp.Or(o.Checkpoint, filepath.Clean(o.Out)+".run")
}

func (o *pretrainOptions) checkpointPath() string {
	return filepath.Join(o.runFolder(), "checkpoint.safetensors")
}

// pretrainJob is one run of "melo pretrain".
type pretrainJob struct {
	o      *pretrainOptions
	s      *stdio
	pool   *par.Pool
	config pretrain.Config
	data   *pretrain.Data
	model  *pretrain.Model
	probes []*pretrain.Probe
	loop   *train.Loop
	record pretrainDocument
	ui     *ui.Progress
	meter  *ui.Meter
}

// Run trains.
func (o *pretrainOptions) Run(ctx context.Context, s *stdio) error {
	if err := atomicfile.TryFolder(filepath.Dir(filepath.Clean(o.Out))); err != nil {
		return err
	}
	if _, err := os.Stat(o.checkpointPath()); err == nil && !o.Resume && !o.Restart {
		return usage(fmt.Errorf("%s: an interrupted run: give --resume to go on with it, or --restart to start over", o.checkpointPath()))
	}
	pool := par.New(o.Workers)
	defer pool.Close()
	j := &pretrainJob{o: o, s: s, pool: pool}
	if err := j.build(ctx); err != nil {
		return err
	}
	if err := j.train(ctx); err != nil {
		if _, statErr := os.Stat(o.checkpointPath()); statErr == nil && errors.As(err, new(*train.InterruptedError)) {
			s.hints = append(s.hints, "the checkpoint is in "+o.runFolder()+"; to go on:", "    "+s.commandLine("--resume", "--restart"))
		}
		return err
	}
	if err := j.record.draw(o.runFolder()); err != nil {
		return err
	}
	if err := os.RemoveAll(o.checkpointPath()); err != nil {
		return err
	}
	j.record.print(s)
	return s.document(&j.record)
}

// build makes model, data and loop.
func (j *pretrainJob) build(ctx context.Context) (err error) {
	o, shape := j.o, j.o.shape()
	prec, err := parsePrecision(o.Precision, vit.FastestTraining())
	if err != nil {
		return err
	}
	if !vit.Supports(prec) {
		return usage(fmt.Errorf("--precision %v: this CPU (%s) has no instructions for it", prec, kernel.Name()))
	}
	j.config = pretrain.Config{
		Width: shape.Width, Depth: shape.Depth, Heads: shape.Heads, MLP: shape.MLP, Image: shape.Image, Patch: shape.Patch,
		Batches: o.EpochImages / o.Batch, Batch: o.Batch, LR: o.LR, Warmup: o.Warmup, Average: o.Average,
		Optimizer:   train.AdamWConfig{Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, WeightDecay: o.WeightDecay, Clip: o.Clip},
		LocalWeight: o.LocalWeight, Distract: pretrain.Distract{Mask: o.Mask, Exposure: o.Exposure, Noise: o.Noise},
		Seed: o.Seed, Precision: prec.String(),
	}
	if err := j.openProbes(ctx, &shape); err != nil {
		return badInput(err)
	}
	if j.data, err = pretrain.NewData(&shape, o.Batch, j.config.Batches, o.Seed, j.config.Distract, j.pool.Workers()); err != nil {
		return err
	}
	first, err := pretrain.Init(j.pool, shape, o.Seed)
	if err != nil {
		return err
	}
	if j.model, err = pretrain.NewModel(first, min(o.Pass, o.Batch), j.data.Global(), j.data.Local(), prec, o.Seed); err != nil {
		return err
	}
	j.loop, err = j.config.Loop(j.model, j.data, j.pool, o.Epochs)
	return usage(err)
}

// openProbes reads the images of the probes.
func (j *pretrainJob) openProbes(ctx context.Context, shape *vit.Config) error {
	for _, path := range j.o.Probe {
		ds, err := dataset.Open(path, dataset.Options{})
		if err != nil {
			return err
		}
		p, err := pretrain.NewProbe(ctx, filepath.Base(filepath.Clean(path)), ds, pretrain.Recipe(shape), j.o.ProbeImages)
		if err := errors.Join(err, ds.Close()); err != nil {
			return err
		}
		j.probes = append(j.probes, p)
	}
	return nil
}

// train runs the loop, with what is written after each epoch.
func (j *pretrainJob) train(ctx context.Context) error {
	if err := os.MkdirAll(j.o.runFolder(), 0o777); err != nil {
		return fmt.Errorf("folder for the run: %w", err)
	}
	settings, err := train.Settings(j.config)
	if err != nil {
		return err
	}
	j.record = pretrainDocument{Config: j.config, Program: buildinfo.Version, Epochs: []pretrainEpoch{}}
	id := &train.Identity{Base: "first weights", Data: "formula", Split: "none", Config: settings}
	if j.o.Resume {
		if err := j.resume(id); err != nil {
			return badInput(err)
		}
	}
	j.ui = j.s.progress()
	defer j.ui.Close()
	images := int64(j.config.Batches * j.config.Batch)
	j.meter = j.ui.Start("pre-training", int64(j.loop.State.Step*j.config.Batch), int64(j.o.Epochs)*images)
	defer j.meter.Finish()
	j.loop.Hooks = append(j.loop.Hooks,
		train.Hook{Name: "progress", Step: func(l *train.Loop) error {
			j.meter.Set(int64(l.State.Step*j.config.Batch), fmt.Sprintf("loss %.4f", l.State.Loss))
			return nil
		}},
		train.Hook{Name: "base", Epoch: func(l *train.Loop) error { return l.Averaged(func() error { return j.epoch(ctx, l) }) }},
		train.Checkpoints(j.o.checkpointPath(), id, 2*time.Minute, func(err error) {
			j.ui.Printf("melo: the checkpoint could not be saved, training goes on: %s", oneLine(err))
		}))
	return j.loop.Run(ctx)
}

// resume goes on where an interrupted run was.
func (j *pretrainJob) resume(id *train.Identity) error {
	err := j.loop.Resume(j.o.checkpointPath(), id)
	if errors.Is(err, os.ErrNotExist) {
		j.s.notef("no checkpoint in %s: starting from the beginning", j.o.runFolder())
		return nil
	}
	if err != nil {
		return err
	}
	old, err := readPretrainRecord(filepath.Join(j.o.Out, pretrainRecord))
	if err == nil { // probes of the epochs before; what is lost of them is lost
		j.record.Digest = old.Digest
		j.record.Epochs = append(j.record.Epochs, old.Epochs[:min(len(old.Epochs), j.loop.State.Epoch)]...)
	}
	j.s.notef("going on after step %d, in epoch %d", j.loop.State.Step, j.loop.State.Epoch+1)
	return nil
}

// epoch measures the probes, which do not mind how features are scaled, and writes the base.
func (j *pretrainJob) epoch(ctx context.Context, l *train.Loop) error {
	h := &l.State.History[len(l.State.History)-1]
	e := pretrainEpoch{Epoch: h.Epoch, Images: h.Step * j.config.Batch, Loss: h.Loss}
	base, err := j.model.Base()
	if err != nil {
		return err
	}
	line := ""
	for _, p := range j.due(h.Epoch) {
		auc, err := p.AUC(ctx, base)
		if err != nil {
			return err
		}
		if e.Probes == nil {
			e.Probes = map[string]float64{}
		}
		e.Probes[p.Name] = auc
		line += fmt.Sprintf("  %s %.4f", p.Name, auc)
	}
	j.record.Epochs = append(j.record.Epochs, e)
	j.ui.Printf("%s  epoch %d  images %s  loss %.4f%s", time.Now().UTC().Format(time.TimeOnly), e.Epoch, text.Count(int64(e.Images)), e.Loss, line)
	if base, err = j.data.Standardised(base); err != nil {
		return err
	}
	return j.write(base)
}

// due returns the probes that are measured after an epoch: every so many epochs, after the first and after the last.
func (j *pretrainJob) due(epoch int) []*pretrain.Probe {
	if epoch%j.o.ProbeEvery == 0 || epoch == 1 || epoch == j.o.Epochs {
		return j.probes
	}
	return nil
}

// write writes the base and its record.
func (j *pretrainJob) write(base *vit.Model) error {
	x, err := checkpoint.Folder(&checkpoint.Description{Config: base.Config, Recipe: base.Recipe}, base.Parameter, convertTypes[j.o.DType])
	if err != nil {
		return err
	}
	meta := map[string]string{"format": "pt", "made-by": "melo pretrain", "licence": "Apache-2.0"}
	if j.record.Digest, err = digestOfWeights(x, meta); err != nil {
		return err
	}
	files := map[string]func(io.Writer) error{
		"model.safetensors": func(w io.Writer) error { return safetensors.Write(w, x.Tensors, meta) },
		pretrainRecord:      j.record.write,
	}
	for name, text := range x.Files {
		files[name] = func(w io.Writer) error {
			_, err := w.Write(text)
			return err
		}
	}
	return atomicfile.WriteFolder(j.o.Out, 0o666, files)
}
