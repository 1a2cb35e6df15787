package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/phantom"
)

// demoOptions are the options of "melo demo".
type demoOptions struct {
	Fast  bool     `help:"A first look: fewer pictures and epochs, so that it takes some 20 seconds on two cores."`
	Out   string   `default:"melo-demo" help:"Folder for data, adapters and the report." placeholder:"DIR"`
	Tasks []string `default:"chest,tb,breast,blood" enum:"chest,tb,breast,blood" placeholder:"TASK" help:"Tasks: chest, tb, breast, blood. Default: all."`

	Write    string `group:"Data alone:" help:"Write the tasks' data sets into this folder, in the forms that melo reads, and stop." placeholder:"DIR"`
	Pictures int    `default:"0" group:"Data alone:" help:"With --write: pictures of each task. Default: as many as the demo has." placeholder:"N"`

	Base    string `default:"embedded" help:"Base: embedded, a folder, a file or hf:owner/name. Larger ones take longer."`
	Seed    uint64 `default:"1" help:"Seed of the pictures."`
	Restart bool   `help:"Start over although the folder has a demo."`
	Workers int    `placeholder:"N" help:"Workers (default: all cores). The result does not depend on it."`

	size demoSize // of tests; zero: what Fast says
}

// Help is the long help text.
func (demoOptions) Help() string {
	return `Shows the whole story without any data, network or waiting: four tasks that stand for the four of the MeLo paper,
drawn by formula. For each it trains a low-rank adapter, a linear probe and a fully tuned model on one frozen base and
compares them on pictures that none has seen; then it serves all adapters from one resident base and switches between
them. It takes two to three minutes on two cores, and says how to go on.

All pictures are synthetic. The numbers say how the methods do on such pictures, and nothing about patients.

Ctrl-C keeps what is there: the same command goes on.

Examples:

    melo demo
    melo demo --fast --out first-look
    melo demo --tasks blood --base vit_tiny/     # one task, on a real base
    melo demo --write pictures --pictures 200    # the data sets alone

Research software, not a medical device.` + exitHelp
}

// maxDemoPictures bounds --pictures.
const maxDemoPictures = 100_000

// Validate refuses option values that cannot be.
func (o *demoOptions) Validate() error {
	switch {
	case o.Pictures != 0 && o.Write == "":
		return fmt.Errorf("--pictures %d: goes with --write", o.Pictures)
	case o.Pictures != 0 && (o.Pictures < 40 || o.Pictures > maxDemoPictures):
		return fmt.Errorf("--pictures %d, expected 40 to %d", o.Pictures, maxDemoPictures)
	}
	for i, name := range o.Tasks {
		if slices.Contains(o.Tasks[:i], name) {
			return fmt.Errorf("--tasks names %s twice", name)
		}
	}
	return nil
}

// demoSize is what keeps the time: how much is drawn and trained. The clock decides nothing, so that the result
// depends on the seed alone.
type demoSize struct {
	counts    phantom.Counts
	epochs    int
	resamples int
}

// sizes of a demo.
var (
	demoFull = demoSize{phantom.Counts{Train: 400, Val: 80, Test: 240}, 4, 500}
	demoFast = demoSize{phantom.Counts{Train: 90, Val: 30, Test: 60}, 2, 200}
)

func (o *demoOptions) sizing() demoSize {
	switch {
	case o.size.resamples > 0:
		return o.size
	case o.Fast:
		return demoFast
	}
	return demoFull
}

// demoSites are all maps: the embedded base is small and has seen drawings alone, and with q and v a probe of its features
// is almost as good on chest films.
const demoSites = "q,k,v,proj,fc1,fc2"

// Run shows the demo, or writes its data.
func (o *demoOptions) Run(ctx context.Context, s *stdio) error {
	var tasks []*phantom.Task
	for _, name := range o.Tasks {
		t, err := phantom.Find(name)
		if err != nil {
			return usage(err)
		}
		tasks = append(tasks, t)
	}
	if o.Write != "" {
		return o.writeData(ctx, s, tasks)
	}
	return o.show(ctx, s, tasks)
}

// demoJob is one demo.
type demoJob struct {
	o     *demoOptions
	s     *stdio
	size  demoSize
	tasks []*phantom.Task
	runs  []*demoRun // one a task
	doc   demoDocument
}

func (o *demoOptions) show(ctx context.Context, s *stdio, tasks []*phantom.Task) error {
	start := time.Now()
	j := &demoJob{o: o, s: s, size: o.sizing(), tasks: tasks}
	defer j.close()
	if err := j.prepare(ctx); err != nil {
		if errors.Is(err, context.Canceled) {
			return j.unfinished(err)
		}
		return err
	}
	base, err := openTrainBase(ctx, s, o.Base, o.Workers)
	if err != nil {
		return err
	}
	defer base.Close()
	for i, t := range tasks {
		s.notef("%d of %d: %s (in place of %s)", i+1, len(tasks), t.Title, t.StandsFor)
		if err := j.compare(ctx, base, t); err != nil {
			return j.unfinished(err)
		}
	}
	if err := j.serve(ctx); err != nil {
		return j.unfinished(err)
	}
	j.describe()
	j.doc.Seconds = time.Since(start).Seconds()
	if err := j.report(ctx); err != nil {
		return j.unfinished(err)
	}
	j.print()
	return s.document(&j.doc)
}

// unfinished says how to go on.
func (j *demoJob) unfinished(err error) error {
	j.s.hints = append(j.s.hints, "what is done is kept in "+j.o.Out+"; to go on:", "    "+j.s.sameCommand("--restart"))
	return err
}

// prepare makes the folder and draws the data that is not there yet.
func (j *demoJob) prepare(ctx context.Context) error {
	state, err := j.openFolder()
	if err != nil {
		return err
	}
	progress := j.s.progress()
	defer progress.Close()
	for _, t := range j.tasks {
		if slices.Contains(state.Written, t.Name) {
			continue
		}
		dir := j.data(t)
		if err := os.RemoveAll(dir); err != nil { // the rest of an interrupted one
			return err
		}
		if err := drawTask(ctx, progress, t, dir, j.size.counts, j.o.Seed); err != nil {
			return err
		}
		state.Written = append(state.Written, t.Name)
		if err := state.write(j.o.Out); err != nil {
			return err
		}
	}
	return nil
}

func (j *demoJob) data(t *phantom.Task) string { return filepath.Join(j.o.Out, "data", t.Name) }

// adapters is where the adapters are served from.
func (j *demoJob) adapters() string { return filepath.Join(j.o.Out, "adapters") }

// command is the comparison of one task as a user would type it.
func (j *demoJob) command(t *phantom.Task) []string {
	args := []string{"compare", "--base", j.o.Base, "--data", j.data(t), "--out", filepath.Join(j.o.Out, t.Name), "--seeds", "1",
		"--epochs", fmt.Sprint(j.size.epochs), "--batch", "8", "--rank", "4", "--sites", demoSites, "--no-augment", "--resamples", fmt.Sprint(j.size.resamples)}
	if j.o.Workers > 0 {
		args = append(args, "--workers", fmt.Sprint(j.o.Workers))
	}
	return args
}

// compare trains the methods on a task and measures them, as "melo compare" does.
func (j *demoJob) compare(ctx context.Context, base *experiment.Base, t *phantom.Task) error {
	quiet := *j.s
	quiet.args, quiet.hints = j.command(t), nil
	var c commands
	parser, err := newParser(ctx, &c, &quiet)
	if err != nil {
		return err
	}
	if _, err := parser.Parse(quiet.args); err != nil {
		return fmt.Errorf("%s: %w", j.s.commandText(quiet.args), err)
	}
	if err := os.MkdirAll(c.Compare.folder(), 0o777); err != nil {
		return err
	}
	w := quiet.watch(true)
	defer w.close()
	set, err := experiment.OpenSet(ctx, c.Compare.Data, c.Compare.source(), w.event)
	if err != nil {
		return err
	}
	r := &demoRun{set: dataSet{set}, command: quiet.sameCommand(), pictures: c.Compare.Pictures}
	j.runs = append(j.runs, r)
	e := c.Compare.options()
	e.Command, e.NoCurves, e.Apart = quiet.args, true, false
	r.Comparison, err = experiment.Compare(ctx, e, base, set, w.event)
	return err
}

// demoRun is the comparison of one task.
type demoRun struct {
	*experiment.Comparison // nil: not done
	set                    dataSet
	command                string // that makes it
	pictures               int
}

// close gives back what the data holds.
func (j *demoJob) close() {
	for _, r := range j.runs {
		r.set.close(j.s)
	}
}
