package pretrain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"melo.example/melo/dataset"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/par"
	"melo.example/melo/safetensors"
	"melo.example/melo/train"
	"melo.example/melo/vit"
	"melo.example/melo/vit/checkpoint"
)

// Options say what [Run] trains, and where to.
type Options struct {
	Config Config
	Epochs int
	Out    string            // folder of the base, written after each epoch
	DType  safetensors.DType // of numbers in the file; empty: BF16

	Probe       []string // data sets whose linear probe is measured
	ProbeEvery  int      // epochs from one measurement to the next; the first and the last are measured always
	ProbeImages int      // of a probe at most; half of them train it

	Workers    int    // 0: all cores; the result does not depend on it
	Pass       int    // images of a pass; the result does not depend on it
	Checkpoint string // folder of the checkpoint; empty: beside the base, with .run in its name
	Resume     bool   // go on from the checkpoint, if there is one
	Restart    bool   // start over although there is one

	Watch Watch
}

// Watch is told how a run is getting on. Its functions may be nil.
type Watch struct {
	Note  func(text string)
	Step  func(images, total int, loss float64)
	Epoch func(Epoch)
}

// RunFolder is where the checkpoint is, and the curves at the end.
func (o *Options) RunFolder() string { return cmp.Or(o.Checkpoint, filepath.Clean(o.Out)+".run") }

func (o *Options) checkpoint() string { return filepath.Join(o.RunFolder(), "checkpoint.safetensors") }

// shape is that of the base.
func (c *Config) shape() vit.Config {
	s := Small()
	s.Width, s.Depth, s.Heads, s.MLP, s.Image, s.Patch = c.Width, c.Depth, c.Heads, c.MLP, c.Image, c.Patch
	return s
}

// Validate refuses options that cannot be. Messages name them as the flags of "melo pretrain" do.
func (o *Options) Validate() error {
	c := &o.Config
	shape := c.shape()
	if err := shape.Validate(); err != nil {
		return err
	}
	for _, x := range []struct {
		ok   bool
		text string
	}{
		{c.Patch%16 == 0, fmt.Sprintf("--patch %d, expected a multiple of 16", c.Patch)},
		{c.Image >= 3*c.Patch, fmt.Sprintf("--image %d, expected at least three patches a side", c.Image)},
		{o.Epochs >= 1 && o.Epochs <= 100_000, fmt.Sprintf("--epochs %d, expected 1 to 100000", o.Epochs)},
		{c.Batch >= 1 && c.Batch <= 65536, fmt.Sprintf("--batch %d, expected 1 to 65536", c.Batch)},
		{c.Batches >= 1, fmt.Sprintf("--epoch-images, expected at least one batch of %d", c.Batch)},
		{o.Pass >= 1 && o.Pass <= 4096, fmt.Sprintf("--pass %d, expected 1 to 4096", o.Pass)},
		{c.LR > 0 && c.LR < 1e3, fmt.Sprintf("--lr %v, expected a positive number", c.LR)},
		{c.Warmup >= 0 && c.Optimizer.WeightDecay >= 0 && c.Optimizer.Clip >= 0 && c.LocalWeight >= 0,
			"--warmup, --weight-decay, --clip and --local-weight cannot be negative"},
		{c.Distract.Mask >= 0 && c.Distract.Mask < 1, fmt.Sprintf("--mask %v, expected 0 to 1", c.Distract.Mask)},
		{c.Distract.Exposure >= 0 && c.Distract.Exposure < 1 && c.Distract.Noise >= 0 && c.Distract.Noise < 1,
			"--exposure and --noise, expected 0 to 1"},
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

// UnfinishedError is the checkpoint of an interrupted run in the place of a new one.
type UnfinishedError struct{ Checkpoint string }

// Error names the checkpoint.
func (e *UnfinishedError) Error() string { return e.Checkpoint + ": an interrupted run" }

// InputError is an error in the data of a probe, or in a checkpoint.
type InputError struct{ Err error }

// Error says what is wrong.
func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *InputError) Unwrap() error { return e.Err }

// run is one run.
type run struct {
	*Options
	pool   *par.Pool
	data   *Data
	model  *Model
	probes []*Probe
	loop   *train.Loop
	record Record
}

// Run trains a base from scratch and writes it after each epoch, with its record; at the end the run's folder has curves.
// When ctx ends, a checkpoint is saved and the error is a [train.InterruptedError]. The options are valid, and the precision
// of the configuration is one that this machine has.
func Run(ctx context.Context, o Options) (*Record, error) {
	if err := atomicfile.TryFolder(filepath.Dir(filepath.Clean(o.Out))); err != nil {
		return nil, err
	}
	if _, err := os.Stat(o.checkpoint()); err == nil && !o.Resume && !o.Restart {
		return nil, &UnfinishedError{o.checkpoint()}
	}
	r := &run{Options: &o, pool: par.New(o.Workers)}
	defer r.pool.Close()
	if err := r.build(ctx); err != nil {
		return nil, err
	}
	if err := r.train(ctx); err != nil {
		return nil, err
	}
	if err := r.record.draw(o.RunFolder()); err != nil {
		return nil, err
	}
	return &r.record, os.RemoveAll(o.checkpoint())
}

// build makes model, data and loop.
func (r *run) build(ctx context.Context) (err error) {
	c := &r.Config
	shape := c.shape()
	precision, err := vit.ParsePrecision(c.Precision)
	if err != nil {
		return err
	}
	if err := r.openProbes(ctx, &shape); err != nil {
		return &InputError{err}
	}
	if r.data, err = NewData(&shape, c.Batch, c.Batches, c.Seed, c.Distract, r.pool.Workers()); err != nil {
		return err
	}
	first, err := Init(r.pool, shape, c.Seed)
	if err != nil {
		return err
	}
	if r.model, err = NewModel(first, min(r.Pass, c.Batch), r.data.Global(), r.data.Local(), precision, c.Seed); err != nil {
		return err
	}
	r.loop, err = c.Loop(r.model, r.data, r.pool, r.Epochs)
	return err
}

// openProbes reads the images of the probes.
func (r *run) openProbes(ctx context.Context, shape *vit.Config) error {
	for _, path := range r.Probe {
		ds, err := dataset.Open(path, dataset.Options{})
		if err != nil {
			return err
		}
		p, err := NewProbe(ctx, filepath.Base(filepath.Clean(path)), ds, Recipe(shape), r.ProbeImages)
		if err := errors.Join(err, ds.Close()); err != nil {
			return err
		}
		r.probes = append(r.probes, p)
	}
	return nil
}

// checkpointEvery is the time from one checkpoint to the next.
const checkpointEvery = 2 * time.Minute

// train runs the loop, with what is written after each epoch.
func (r *run) train(ctx context.Context) error {
	if err := os.MkdirAll(r.RunFolder(), 0o777); err != nil {
		return fmt.Errorf("folder for the run: %w", err)
	}
	settings, err := train.Settings(r.Config)
	if err != nil {
		return err
	}
	r.record = Record{Config: r.Config, Program: buildinfo.Version, Epochs: []Epoch{}}
	id := &train.Identity{Base: "first weights", Data: "formula", Split: "none", Config: settings}
	if r.Resume {
		if err := r.resume(id); err != nil {
			return &InputError{err}
		}
	}
	total := r.Epochs * r.Config.Batches * r.Config.Batch
	step := func(l *train.Loop) error {
		if r.Watch.Step != nil {
			r.Watch.Step(l.State.Step*r.Config.Batch, total, l.State.Loss)
		}
		return nil
	}
	r.loop.Hooks = append(r.loop.Hooks,
		train.Hook{Name: "progress", Step: step},
		train.Hook{Name: "base", Epoch: func(l *train.Loop) error { return l.Averaged(func() error { return r.epoch(ctx, l) }) }},
		train.Checkpoints(r.checkpoint(), id, checkpointEvery, func(err error) {
			r.note("the checkpoint could not be saved, training goes on: %v", err)
		}))
	return r.loop.Run(ctx)
}

func (r *run) note(format string, args ...any) {
	if r.Watch.Note != nil {
		r.Watch.Note(fmt.Sprintf(format, args...))
	}
}

// resume goes on where an interrupted run was.
func (r *run) resume(id *train.Identity) error {
	err := r.loop.Resume(r.checkpoint(), id)
	if errors.Is(err, os.ErrNotExist) {
		r.note("no checkpoint in %s: starting from the beginning", r.RunFolder())
		return nil
	}
	if err != nil {
		return err
	}
	old, err := ReadRecord(filepath.Join(r.Out, RecordName))
	if err == nil { // probes of the epochs before; what is lost of them is lost
		r.record.Digest = old.Digest
		r.record.Epochs = append(r.record.Epochs, old.Epochs[:min(len(old.Epochs), r.loop.State.Epoch)]...)
	}
	r.note("going on after step %d, in epoch %d", r.loop.State.Step, r.loop.State.Epoch+1)
	return nil
}

// epoch measures the probes, which do not mind how features are scaled, and writes the base.
func (r *run) epoch(ctx context.Context, l *train.Loop) error {
	h := &l.State.History[len(l.State.History)-1]
	e := Epoch{Epoch: h.Epoch, Images: h.Step * r.Config.Batch, Loss: h.Loss}
	base, err := r.model.Base()
	if err != nil {
		return err
	}
	if h.Epoch%r.ProbeEvery == 0 || h.Epoch == 1 || h.Epoch == r.Epochs {
		for _, p := range r.probes {
			auc, err := p.AUC(ctx, base)
			if err != nil {
				return err
			}
			if e.Probes == nil {
				e.Probes = map[string]float64{}
			}
			e.Probes[p.Name] = auc
		}
	}
	r.record.Epochs = append(r.record.Epochs, e)
	if r.Watch.Epoch != nil {
		r.Watch.Epoch(e)
	}
	if base, err = r.data.Standardised(base); err != nil {
		return err
	}
	return r.write(base)
}

// write writes the base and its record. It is not interrupted: a base that is there after an epoch belongs to the record.
func (r *run) write(base *vit.Model) error {
	x, err := checkpoint.Folder(&checkpoint.Description{Config: base.Config, Recipe: base.Recipe}, base.Parameter, cmp.Or(r.DType, safetensors.BF16))
	if err != nil {
		return err
	}
	meta := map[string]string{"made-by": "melo pretrain", "licence": "Apache-2.0"}
	if r.record.Digest, err = x.Digest(meta); err != nil {
		return err
	}
	text, err := r.record.text()
	if err != nil {
		return err
	}
	return x.WriteFolder(context.Background(), r.Out, meta, map[string][]byte{RecordName: text})
}
