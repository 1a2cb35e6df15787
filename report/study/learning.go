package study

import (
	"slices"

	"melo.example/melo/experiment"
	"melo.example/melo/report"
	"melo.example/melo/train"
)

// learned is one run of training, for its learning curves.
type learned struct {
	name  string
	color int
	best  int
	steps []train.Epoch
}

// learning draws the curves of runs; a section without parts if there is nothing to draw.
func learning(runs []learned) report.Section {
	var loss, auc, logLoss []report.Run
	named := map[string]bool{}
	for _, r := range runs {
		a := report.Run{Name: r.name, Color: r.color, Best: r.best}
		if named[r.name] { // the seeds of a method are one line in the legend
			a.Name = ""
		}
		named[r.name] = true
		b, c := a, a
		for _, e := range r.steps {
			a.Epoch, a.Value = append(a.Epoch, e.Epoch), append(a.Value, e.Loss)
			if v, ok := e.Val[train.AUC]; ok {
				b.Epoch, b.Value = append(b.Epoch, e.Epoch), append(b.Value, v)
			}
			if v, ok := e.Val[train.LogLoss]; ok {
				c.Epoch, c.Value = append(c.Epoch, e.Epoch), append(c.Value, v)
			}
		}
		loss, auc, logLoss = append(loss, a), append(auc, b), append(logLoss, c)
	}
	s := report.Section{Title: "Learning curves"}
	var figures report.Figures
	for _, f := range []struct {
		title, what string
		runs        []report.Run
	}{{"Loss on the training images", "loss", loss}, {"AUC on validation", "AUC", auc}, {"Log loss on validation", "log loss", logLoss}} {
		if slices.ContainsFunc(f.runs, func(r report.Run) bool { return len(r.Epoch) > 0 }) {
			figures = append(figures, report.Learning(f.title, f.what, f.runs))
		}
	}
	if len(figures) > 0 {
		s.Parts = []report.Part{report.Text("The mark is the epoch that was kept, by validation."), figures}
	}
	return s
}

// learnedBy reads the learning curves of an adapter, if the record beside it is of this very file.
func learnedBy(path, digest string) []learned {
	best, ok := experiment.BestEpoch(path, digest)
	epochs := experiment.Epochs(experiment.RunFolderOf(path))
	if !ok || len(epochs) == 0 {
		return nil
	}
	return []learned{{name: "", color: 1, best: best, steps: epochs}}
}
