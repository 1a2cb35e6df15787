// Package demo shows the whole story without any data, network or waiting: tasks that stand for those of the MeLo paper,
// drawn by formula. For each it trains a low-rank adapter, a linear probe and a fully tuned model on one frozen base and
// compares them on pictures that none has seen; then it serves all adapters from one resident base. Its numbers say nothing
// about patients.
package demo

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"melo.example/melo"
	"melo.example/melo/experiment"
	"melo.example/melo/internal/phantom"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora"
)

// Size is how much is drawn and trained. The clock decides nothing, so that the result depends on the seed alone.
type Size struct {
	Pictures  Counts // of each task
	Epochs    int
	Resamples int // of the bootstrap
}

// Full takes a minute and a half on two idle cores, Fast some 20 seconds.
var (
	Full = Size{Counts{Train: 400, Val: 80, Test: 240}, 4, 500}
	Fast = Size{Counts{Train: 90, Val: 30, Test: 60}, 2, 200}
)

// Options say what is shown.
type Options struct {
	Out     string   // folder for data, adapters and the report
	Tasks   []string // chest, tb, breast, blood
	Base    string
	Seed    uint64 // of the pictures
	Size    Size
	Restart bool // start over although the folder has a demo
	Masks   bool // Write writes where findings lie, too, below "masks"
	Workers int  // 0: all cores; the result does not depend on it

	Cache   string          // folder for what is remembered of files; empty: none
	Command []string        // that this demo is made by, for its report
	Hook    experiment.Hook // is told what happens; may be nil
}

// sites are all maps: the embedded base is small and has seen drawings alone, and with q and v a probe of its features
// is almost as good on chest films.
const sites = "q,k,v,proj,fc1,fc2"

// mistakes is how many pictures of mistakes the report of a task has, of each method.
const mistakes = 12

// job is one demo.
type job struct {
	o     *Options
	tasks []*phantom.Task
	runs  []*run // one a task
	doc   *Document
}

// run is the comparison of one task.
type run struct {
	*experiment.Comparison // nil: not done
	set                    *experiment.Set
	command                string // that makes it
}

// Run shows the demo. What an interrupted one left is used by the next in the same folder.
func Run(ctx context.Context, o *Options) (doc *Document, err error) {
	start := time.Now()
	j := &job{o: o, doc: &Document{}}
	if j.tasks, err = find(o.Tasks); err != nil {
		return nil, err
	}
	defer func() { err = j.close(err) }()
	if err := j.prepare(ctx); err != nil {
		return nil, err
	}
	base, err := experiment.OpenBase(o.Base, o.Workers, o.Cache)
	if err != nil {
		return nil, err
	}
	defer base.Close()
	for i, t := range j.tasks {
		j.note("%d of %d: %s (in place of %s)", i+1, len(j.tasks), t.Title, t.StandsFor)
		if err := j.compare(ctx, base, t); err != nil {
			return nil, err
		}
	}
	if err := j.serve(ctx); err != nil {
		return nil, err
	}
	j.describe()
	j.doc.Seconds = time.Since(start).Seconds()
	return j.doc, j.report(ctx)
}

// find returns tasks by their names.
func find(names []string) (tasks []*phantom.Task, err error) {
	for _, name := range names {
		t, err := phantom.Find(name)
		if err != nil {
			return nil, &experiment.SettingError{Setting: "tasks", Problem: err.Error()}
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

func (j *job) tell(e experiment.Event) {
	if j.o.Hook != nil {
		j.o.Hook(e)
	}
}

func (j *job) note(format string, args ...any) {
	j.tell(experiment.Note{Text: fmt.Sprintf(format, args...)})
}

// prepare makes the folder and draws the data that is not there yet.
func (j *job) prepare(ctx context.Context) error {
	state, err := j.openFolder()
	if err != nil {
		return err
	}
	for _, t := range j.tasks {
		if slices.Contains(state.Written, t.Name) {
			continue
		}
		dir := j.data(t)
		if err := os.RemoveAll(dir); err != nil { // the rest of an interrupted one
			return err
		}
		if err := draw(ctx, t, dir, j.o.Size.Pictures, j.o.Seed, j.o.Hook); err != nil {
			return err
		}
		state.Written = append(state.Written, t.Name)
		if err := state.write(j.o.Out); err != nil {
			return err
		}
	}
	return nil
}

// draw writes the pictures of a task.
func draw(ctx context.Context, t *phantom.Task, dir string, n Counts, seed uint64, hook experiment.Hook) error {
	counts := phantom.Counts(n)
	return t.Write(ctx, dir, counts, seed, func(done int) {
		if hook != nil {
			hook(experiment.Meter{Stage: "drawing " + t.Name, Done: done, Total: counts.Total()})
		}
	})
}

func (j *job) data(t *phantom.Task) string { return filepath.Join(j.o.Out, "data", t.Name) }

// adapters is where the adapters are served from.
func (j *job) adapters() string { return filepath.Join(j.o.Out, "adapters") }

// adapter is where the adapter of a task is served from.
func (j *job) adapter(t *phantom.Task) string {
	return filepath.Join(j.adapters(), t.Name+".safetensors")
}

// taskReport is the full report of one task.
func (j *job) taskReport(t *phantom.Task) string {
	return filepath.Join(j.o.Out, t.Name, experiment.ComparisonReport)
}

// command is the comparison of one task as a user would type it: the same as comparison.
func (j *job) command(t *phantom.Task) []string {
	args := []string{"compare", "--base", j.o.Base, "--data", j.data(t), "--out", filepath.Join(j.o.Out, t.Name), "--seeds", "1",
		"--epochs", fmt.Sprint(j.o.Size.Epochs), "--batch", "8", "--rank", "4", "--sites", sites, "--no-augment", "--resamples", fmt.Sprint(j.o.Size.Resamples)}
	if j.o.Workers > 0 {
		args = append(args, "--workers", fmt.Sprint(j.o.Workers))
	}
	return args
}

// comparison are the options of the comparison of one task.
func (j *job) comparison(t *phantom.Task) *experiment.CompareOptions {
	o := experiment.Defaults()
	o.Epochs, o.Batch, o.Rank, o.Sites, o.Augment, o.Workers = j.o.Size.Epochs, 8, 4, sites, false, j.o.Workers
	o.Command, o.NoCurves = j.command(t), true
	return &experiment.CompareOptions{Options: o, Folder: filepath.Join(j.o.Out, t.Name), Seeds: 1, Repeats: 1, Resamples: j.o.Size.Resamples,
		Margin: experiment.DefaultMargin, Methods: []lora.Method{lora.MeLo, lora.LinearOnly, lora.FullTuning}, Rates: map[lora.Method]float64{},
		Open: melo.Opener(j.o.Base, melo.Workers(j.o.Workers), melo.Batch(cmp.Or(o.Pass, experiment.UsualPass)), melo.Remember(j.o.Cache))}
}

// compare trains the methods on a task and measures them.
func (j *job) compare(ctx context.Context, base *experiment.Base, t *phantom.Task) error {
	o := j.comparison(t)
	if err := os.MkdirAll(o.Folder, 0o777); err != nil {
		return err
	}
	set, err := experiment.OpenSet(ctx, j.data(t), &o.Source, j.o.Hook)
	if err != nil {
		return err
	}
	r := &run{set: set, command: text.Command(o.Command)}
	j.runs = append(j.runs, r)
	r.Comparison, err = experiment.Compare(ctx, o, base, set, j.o.Hook)
	return err
}

// close gives back what the data holds.
func (j *job) close(err error) error {
	for _, r := range j.runs {
		if e := r.set.Close(); err == nil {
			err = e
		}
	}
	return err
}

// next are three commands to go on with.
func (j *job) next() []string {
	last := len(j.tasks) - 1
	image := j.runs[last].Judgement.File(0)
	return []string{
		text.Command([]string{"predict", "--adapter", j.adapter(j.tasks[last]), image}),
		text.Command([]string{"inspect", j.adapter(j.tasks[0])}),
		"melo train --base embedded --data YOUR_FOLDER --out yours.safetensors",
	}
}

// Write writes the data sets of tasks into a folder, in the forms that melo reads: pictures of each, or as many as the size
// says if that is 0.
func Write(ctx context.Context, o *Options, pictures int) (*Document, error) {
	counts := o.Size.Pictures
	if pictures > 0 { // in about the same shares, whole patients
		counts.Train, counts.Val = pictures*5/10/2*2, pictures*2/10/2*2
		counts.Test = pictures - counts.Train - counts.Val
	}
	tasks, err := find(o.Tasks)
	if err != nil {
		return nil, err
	}
	doc := &Document{Folder: o.Out, Seed: o.Seed, Tasks: []Task{}, Notice: experiment.Notice}
	for _, t := range tasks {
		dir := filepath.Join(o.Out, t.Name)
		if err := draw(ctx, t, dir, counts, o.Seed, o.Hook); err != nil {
			return nil, err
		}
		masks := ""
		if o.Masks {
			masks = filepath.Join(o.Out, "masks", t.Name)
			if err := t.WriteMasks(ctx, masks, phantom.Counts(counts), o.Seed); err != nil {
				return nil, err
			}
		}
		form := "class folders below train, val and test"
		if t.Table() {
			form = "labels.csv beside a folder of images"
		}
		doc.Tasks = append(doc.Tasks, Task{Name: t.Name, Title: t.Title, StandsFor: t.StandsFor, Data: dir, Labels: t.Labels, Form: form, Masks: masks,
			Pictures: counts, Methods: []Method{}})
	}
	doc.Next = []string{
		text.Command([]string{"data", doc.Tasks[0].Data, "--sheet", "sheet.png"}),
		text.Command([]string{"train", "--base", "embedded", "--data", doc.Tasks[0].Data, "--out", doc.Tasks[0].Name + ".safetensors"}),
	}
	return doc, nil
}
