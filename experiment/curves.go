package experiment

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/text"
	"melo.example/melo/internal/tfevents"
	"melo.example/melo/report/plot"
	"melo.example/melo/train"
)

// pixelsPerUnit is the resolution of the PNG pictures of curves.
const pixelsPerUnit = 2

// maxCurvePoints limits the points of the learning rate's curve; more could not be distinguished.
const maxCurvePoints = 1000

// curveFigures returns the curves of a run by file name.
func curveFigures(l *train.Loop) map[string]*plot.Figure {
	var epochs, loss, valLoss, auc []float64
	for _, e := range l.State.History {
		epochs, loss = append(epochs, float64(e.Epoch)), append(loss, e.Loss)
		valLoss, auc = appendScore(valLoss, e.Val, train.LogLoss), appendScore(auc, e.Val, train.AUC)
	}
	kind := plot.Line
	if len(epochs) < 2 {
		kind = plot.Points
	}
	axis := plot.Axis{Label: "epoch", Whole: true}
	lossFigure := &plot.Figure{Title: "Loss", X: axis, Y: plot.Axis{Label: "loss"}, Series: []plot.Series{{Name: "training", Kind: kind, X: epochs, Y: loss}}}
	figures := map[string]*plot.Figure{"loss": lossFigure, "lr": rateFigure(l)}
	if l.Validate != nil {
		lossFigure.Series = append(lossFigure.Series, plot.Series{Name: "validation (log loss)", Kind: kind, X: epochs, Y: valLoss})
		figures["auc"] = &plot.Figure{Title: "Validation", X: axis, Y: plot.Axis{Label: "AUC"}, Series: []plot.Series{{Kind: kind, X: epochs, Y: auc}}}
		if b := l.State.BestEpoch; b > 0 && b <= len(auc) {
			figures["auc"].Series = append(figures["auc"].Series, plot.Series{Name: fmt.Sprintf("best, epoch %d", b), Kind: plot.Points, X: epochs[b-1 : b], Y: auc[b-1 : b]})
		}
	}
	return figures
}

// appendScore appends a score, or NaN if there is none.
func appendScore(list []float64, s train.Scores, name string) []float64 {
	if v, ok := s[name]; ok {
		return append(list, v)
	}
	return append(list, math.NaN())
}

// rateFigure draws the learning rate of the steps so far.
func rateFigure(l *train.Loop) *plot.Figure {
	var steps, rates []float64
	n := l.State.Step
	for i := 0; i < n; i += max(1, n/maxCurvePoints) {
		steps, rates = append(steps, float64(i+1)), append(rates, l.Rate(i))
	}
	return &plot.Figure{Title: "Learning rate", X: plot.Axis{Label: "step", Whole: true}, Y: plot.Axis{Label: "learning rate"},
		Series: []plot.Series{{X: steps, Y: rates}}}
}

// writeCurves writes the curves to the run's folder, as SVG and PNG.
func (j *Run) writeCurves() error {
	if j.o.NoCurves {
		return nil
	}
	for name, f := range curveFigures(j.loop) {
		path := filepath.Join(j.o.RunFolder(), name)
		if err := atomicfile.Write(path+".svg", 0o666, f.WriteSVG); err != nil {
			return err
		}
		if err := atomicfile.Write(path+".png", 0o666, func(w io.Writer) error { return f.WritePNG(w, pixelsPerUnit) }); err != nil {
			return err
		}
	}
	return nil
}

// curvesHook draws the curves so far if a run is interrupted. A finished run draws them at its end.
func (j *Run) curvesHook() train.Hook {
	return train.Hook{Name: "curves", Interrupted: func(*train.Loop) error {
		if err := j.writeCurves(); err != nil {
			j.hook.note(text.OneLine(err))
		}
		return nil
	}}
}

// maxEvents is the size of an event file from which a new one is started, because a file is rewritten after
// each epoch.
const maxEvents = 4 << 20

// eventLog writes TensorBoard's files of this process.
type eventLog struct {
	dir   string
	name  string
	part  int
	bytes []byte
}

// eventPattern matches the event files of all processes of a run.
const eventPattern = "events.out.tfevents.*"

func newEventLog(dir string, now time.Time) *eventLog {
	return &eventLog{dir: dir, name: fmt.Sprintf("events.out.tfevents.%d.%d", now.Unix(), os.Getpid())}
}

func (e *eventLog) add(now time.Time, step int, scalars []tfevents.Scalar) {
	if len(e.bytes) == 0 {
		e.bytes = tfevents.AppendHeader(e.bytes, now)
	}
	e.bytes = tfevents.AppendScalars(e.bytes, now, int64(step), scalars)
}

func (e *eventLog) write() error {
	if len(e.bytes) == 0 {
		return nil
	}
	err := atomicfile.Write(filepath.Join(e.dir, fmt.Sprintf("%s.%d.melo", e.name, e.part)), 0o666, func(w io.Writer) error {
		_, err := w.Write(e.bytes)
		return err
	})
	if err == nil && len(e.bytes) > maxEvents {
		e.part, e.bytes = e.part+1, e.bytes[:0]
	}
	return err
}

// eventsHook writes TensorBoard's files: loss, gradient norm and learning rate of each step, scores of each
// epoch.
func (j *Run) eventsHook(now time.Time) train.Hook {
	log := newEventLog(j.o.RunFolder(), now)
	write := func() error {
		if err := log.write(); err != nil {
			j.hook.note(text.OneLine(err))
		}
		return nil
	}
	return train.Hook{
		Name: "tensorboard",
		Step: func(l *train.Loop) error {
			s := &l.State
			log.add(time.Now(), s.Step, []tfevents.Scalar{{Tag: "step/loss", Value: s.Loss}, {Tag: "step/gradient_norm", Value: s.Norm},
				{Tag: "step/learning_rate", Value: l.Rate(s.Step - 1)}})
			return nil
		},
		Epoch: func(l *train.Loop) error {
			e := &l.State.History[len(l.State.History)-1]
			scalars := []tfevents.Scalar{{Tag: "epoch/loss", Value: e.Loss}}
			for _, name := range train.ScoreNames() {
				if v, ok := e.Val[name]; ok {
					scalars = append(scalars, tfevents.Scalar{Tag: "val/" + name, Value: v})
				}
			}
			log.add(time.Now(), e.Step, scalars)
			return write()
		},
		Interrupted: func(*train.Loop) error { return write() },
	}
}

// removeEvents removes the files of an earlier run, whose steps would be mixed with the new ones.
func removeEvents(dir string) error {
	old, err := filepath.Glob(filepath.Join(dir, eventPattern))
	for _, path := range slices.Sorted(slices.Values(old)) {
		if err == nil {
			err = os.Remove(path)
		}
	}
	return err
}
