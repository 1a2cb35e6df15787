package lines

import (
	"fmt"
	"math"
	"sync"
	"time"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora"
	"melo.example/melo/train"
)

// Screen is where an experiment is watched.
type Screen interface {
	// Show draws a meter: another one if its title is another.
	Show(title string, done, total int64, status string)
	// Finish takes the meter away, if there is one.
	Finish()
	// Remark prints a line that stays, about what happens; Print one that is a result.
	Remark(line string)
	Print(line string)
}

// Watch shows the events of an experiment on a screen: a meter, a line for each epoch, remarks. Its method Event is an
// [experiment.Hook].
type Watch struct {
	Screen
	Quiet bool // there are many runs: no line for each epoch, nor what a run is

	mu sync.Mutex // one event at a time
}

// Event shows an event.
func (w *Watch) Event(e experiment.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case experiment.Note:
		w.Remark(e.Text)
	case experiment.Meter:
		w.Show(e.Stage, int64(e.Done), int64(e.Total), "")
		if e.Done == e.Total {
			w.Finish()
		}
	case experiment.Prepared:
		w.Remark(fmt.Sprintf("note: %s: %s (%s); --mean, --std, --crop-pct and --interpolation change that", e.Base, e.Why, Recipe(e.Recipe)))
	case experiment.Resumed:
		w.resumed(e)
	case experiment.Probed:
		w.probed(e)
	case experiment.Retreated:
		r := e.Retreat
		w.Remark(fmt.Sprintf("%snote: %s: epoch %d again, at half the rates (%d of at most 3 times)", prefix(e.Title), r.Reason, r.Epoch, e.Number))
	case experiment.Returned:
		told := "the probe is kept"
		switch {
		case e.Epoch > 0:
			told = fmt.Sprintf("epoch %d is kept (AUC %s)", e.Epoch, Score(e.Top, train.AUC))
		case e.Kept:
			told = "chance explains that, and the adapter is kept (--method linear makes the probe)"
		}
		w.Remark(fmt.Sprintf("%snote: the run ended below its linear probe on validation (AUC %s, the probe %s): %s",
			prefix(e.Title), Score(e.Scores, train.AUC), Score(e.Start.Scores, train.AUC), told))
	case experiment.Began:
		w.began(e)
	case experiment.Stepped:
		status := fmt.Sprintf("epoch %d/%d  loss %.2f", e.Epoch, e.Epochs, e.Loss)
		if v, ok := e.Scores[train.AUC]; ok {
			status += fmt.Sprintf("  AUC %.3f", v)
		}
		w.Show(runTitle(e.Title), e.Done, e.Total, status+Speed(e.Speed))
	case experiment.Validating:
		w.Show(runTitle(e.Title), e.Done, e.Total, fmt.Sprintf("epoch %d/%d  validating", e.Epoch, e.Epochs))
	case experiment.EpochEnded:
		w.epoch(e)
	case experiment.Ended:
		w.Finish()
	case experiment.Tried:
		told := e.Failed
		if told == "" {
			told = "-"
			if !math.IsNaN(e.AUC) {
				told = fmt.Sprintf("%.4f", e.AUC)
			}
		}
		w.Remark(fmt.Sprintf("%s: %s: AUC %s", e.Title, e.Candidate, told))
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

func (w *Watch) resumed(e experiment.Resumed) {
	switch p := prefix(e.Title); {
	case !e.Found && w.Quiet: // whoever runs many resumes all of them
	case !e.Found:
		w.Remark(fmt.Sprintf("%sno checkpoint in %s: starting from the beginning", p, e.Folder))
	case e.Finished:
		w.Remark(fmt.Sprintf("%sthe training was finished after step %d: the adapter is measured and written", p, e.Step))
	default:
		w.Remark(fmt.Sprintf("%sgoing on after step %d, in epoch %d", p, e.Step, e.Epoch+1))
	}
}

func (w *Watch) began(e experiment.Began) {
	if !w.Quiet {
		p, d := prefix(e.Title), &e.Data
		w.Remark(fmt.Sprintf("%s%s on %s, %d labels (%s): %d images to train, %d to validate, %d for testing later", p,
			e.Config.Method.Title(), d.Path, len(d.Labels), d.Task, d.Train, d.Val, d.Test))
		w.Remark(p + Plan(&e))
	}
	w.Show(runTitle(e.Title), e.Done, e.Total, "")
}

func (w *Watch) probed(e experiment.Probed) {
	if w.Quiet {
		return
	}
	then := "the run begins with it"
	if e.Method == lora.LinearOnly {
		then = "--lr trains on from it"
	}
	scores := ""
	if len(e.Start.Scores) > 0 {
		scores = fmt.Sprintf(": %s (%d images)", Scores(e.Start.Scores, 2), e.Samples)
	}
	w.Remark(fmt.Sprintf("%slinear probe of the bare base%s; %s", prefix(e.Title), scores, then))
}

func (w *Watch) epoch(e experiment.EpochEnded) {
	if w.Quiet {
		return
	}
	line := fmt.Sprintf("epoch %*d/%d  loss %.3f", len(fmt.Sprint(e.Epochs)), e.Epoch.Epoch, e.Epochs, e.Epoch.Loss)
	if e.Epoch.Val != nil {
		line += "  val " + Scores(e.Epoch.Val, 1)
		if v, ok := e.Epoch.Val[train.Accuracy]; ok {
			line += fmt.Sprintf(" acc %.3f", v)
		}
	}
	line += Speed(e.Speed)
	if e.Best {
		line += "  best"
	}
	w.Print(prefix(e.Title) + line)
	if e.Stopped {
		w.Print(fmt.Sprintf("%sno better validation for %d epochs: stopping", prefix(e.Title), e.Patience))
	}
}

func (w *Watch) compared(e experiment.Compared) {
	if e.Before {
		w.Remark(fmt.Sprintf("%s: done before (%d of %d)", e.Title, e.Number, e.Runs))
		return
	}
	d := e.Result
	w.Remark(fmt.Sprintf("%s: val %s, epoch %d of %d, %s (%d of %d)", e.Title, Scores(d.Validation.Scores, 2), d.BestEpoch, d.Epochs,
		text.Duration(time.Duration(d.Seconds*float64(time.Second))), e.Number, e.Runs))
}
