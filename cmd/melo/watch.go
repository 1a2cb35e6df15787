package main

import (
	"fmt"
	"math"
	"sync"
	"time"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/text"
	"melo.example/melo/internal/ui"
	"melo.example/melo/lora"
	"melo.example/melo/report/lines"
	"melo.example/melo/train"
)

// watcher shows what an experiment reports: meters, a line for each epoch, remarks.
type watcher struct {
	s     *stdio
	quiet bool // there are many runs: no line an epoch, nor what a run is

	mu    sync.Mutex
	ui    *ui.Progress // nil: no meter was shown yet
	meter *ui.Meter
	title string // of meter
}

// watch returns a watcher. Close it before the result is printed.
func (s *stdio) watch(quiet bool) *watcher { return &watcher{s: s, quiet: quiet} }

// close takes the meters away.
func (w *watcher) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finish()
	if w.ui != nil {
		w.ui.Close()
		w.ui = nil
	}
}

// show draws a meter, a new one if the title is new.
func (w *watcher) show(title string, done, total int64, status string) {
	if w.ui == nil {
		w.ui = w.s.progress()
	}
	if w.meter == nil || w.title != title {
		w.finish()
		w.meter, w.title = w.ui.Start(title, done, total), title
		return
	}
	w.meter.Set(done, status)
}

func (w *watcher) finish() {
	if w.meter != nil {
		w.meter.Finish()
		w.meter = nil
	}
}

// line prints a line that stays.
func (w *watcher) line(line string) {
	if w.ui == nil {
		w.s.notef("%s", line)
		return
	}
	w.ui.Printf("melo: %s", text.Visible(line))
}

// event is the experiment.Hook.
func (w *watcher) event(e experiment.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case experiment.Note:
		w.line(e.Text)
	case experiment.Meter:
		w.show(e.Stage, int64(e.Done), int64(e.Total), "")
		if e.Done == e.Total {
			w.finish()
		}
	case experiment.Prepared:
		w.line(fmt.Sprintf("note: %s: %s (%s); --mean, --std, --crop-pct and --interpolation change that", e.Base, e.Why, lines.Recipe(e.Recipe)))
	case experiment.Resumed:
		w.resumed(e)
	case experiment.Probed:
		w.probed(e)
	case experiment.Retreated:
		r := e.Retreat
		w.line(fmt.Sprintf("%snote: %s: epoch %d again, at half the rates (%d of at most 3 times)", prefix(e.Title), r.Reason, r.Epoch, e.Number))
	case experiment.Returned:
		w.line(fmt.Sprintf("%snote: the run ended below its linear probe on validation (AUC %s, the probe %s): the probe is kept",
			prefix(e.Title), lines.Score(e.Scores, train.AUC), lines.Score(e.Start.Scores, train.AUC)))
	case experiment.Began:
		w.began(e)
	case experiment.Stepped:
		status := fmt.Sprintf("epoch %d/%d  loss %.2f", e.Epoch, e.Epochs, e.Loss)
		if v, ok := e.Scores[train.AUC]; ok {
			status += fmt.Sprintf("  AUC %.3f", v)
		}
		w.show(runTitle(e.Title), e.Done, e.Total, status+lines.Speed(e.Speed))
	case experiment.Validating:
		w.show(runTitle(e.Title), e.Done, e.Total, fmt.Sprintf("epoch %d/%d  validating", e.Epoch, e.Epochs))
	case experiment.EpochEnded:
		w.epoch(e)
	case experiment.Ended:
		w.finish()
	case experiment.Tried:
		told := e.Failed
		if told == "" {
			told = "-"
			if !math.IsNaN(e.AUC) {
				told = fmt.Sprintf("%.4f", e.AUC)
			}
		}
		w.line(fmt.Sprintf("%s: %s: AUC %s", e.Title, e.Candidate, told))
	case experiment.Compared:
		w.compared(e)
	}
}

// runTitle is the title of a run's meter.
func runTitle(title string) string {
	if title == "" {
		return "training"
	}
	return title
}

// prefix is what the lines of a run begin with.
func prefix(title string) string {
	if title == "" {
		return ""
	}
	return title + ": "
}

func (w *watcher) resumed(e experiment.Resumed) {
	switch p := prefix(e.Title); {
	case !e.Found && w.quiet: // whoever runs many resumes all of them
	case !e.Found:
		w.line(fmt.Sprintf("%sno checkpoint in %s: starting from the beginning", p, e.Folder))
	case e.Finished:
		w.line(fmt.Sprintf("%sthe training was finished after step %d: the adapter is measured and written", p, e.Step))
	default:
		w.line(fmt.Sprintf("%sgoing on after step %d, in epoch %d", p, e.Step, e.Epoch+1))
	}
}

func (w *watcher) began(e experiment.Began) {
	if !w.quiet {
		p, d := prefix(e.Title), &e.Data
		w.line(fmt.Sprintf("%s%s on %s, %d labels (%s): %d images to train, %d to validate, %d for testing later", p,
			e.Config.Method.Title(), d.Path, len(d.Labels), d.Task, d.Train, d.Val, d.Test))
		w.line(p + lines.Plan(&e))
	}
	w.show(runTitle(e.Title), e.Done, e.Total, "")
}

func (w *watcher) probed(e experiment.Probed) {
	if w.quiet {
		return
	}
	text := "the run begins with it"
	if e.Method == lora.LinearOnly {
		text = "--lr trains on from it"
	}
	scores := ""
	if len(e.Start.Scores) > 0 {
		scores = fmt.Sprintf(": %s (%d images)", lines.Scores(e.Start.Scores, 2), e.Samples)
	}
	w.line(fmt.Sprintf("%slinear probe of the bare base%s; %s", prefix(e.Title), scores, text))
}

func (w *watcher) epoch(e experiment.EpochEnded) {
	if w.quiet {
		return
	}
	line := fmt.Sprintf("epoch %*d/%d  loss %.3f", len(fmt.Sprint(e.Epochs)), e.Epoch.Epoch, e.Epochs, e.Epoch.Loss)
	if e.Epoch.Val != nil {
		line += "  val " + lines.Scores(e.Epoch.Val, 1)
		if v, ok := e.Epoch.Val[train.Accuracy]; ok {
			line += fmt.Sprintf(" acc %.3f", v)
		}
	}
	line += lines.Speed(e.Speed)
	if e.Best {
		line += "  best"
	}
	w.ui.Printf("%s%s", prefix(e.Title), line)
	if e.Stopped {
		w.ui.Printf("%sno better validation for %d epochs: stopping", prefix(e.Title), e.Patience)
	}
}

func (w *watcher) compared(e experiment.Compared) {
	if e.Before {
		w.line(fmt.Sprintf("%s: done before (%d of %d)", e.Title, e.Number, e.Runs))
		return
	}
	d := e.Result
	w.line(fmt.Sprintf("%s: val %s, epoch %d of %d, %s (%d of %d)", e.Title, lines.Scores(d.Validation.Scores, 2), d.BestEpoch, d.Epochs,
		text.Duration(time.Duration(d.Seconds*float64(time.Second))), e.Number, e.Runs))
}
