package demo

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/phantom"
	"melo.example/melo/internal/sysinfo"
	"melo.example/melo/internal/text"
	"melo.example/melo/report"
	"melo.example/melo/report/study"
)

// Report is the name of the report of a demo, in its folder.
const Report = "report.html"

// samplePictures is how many test images of a task the report shows.
const samplePictures = 6

// report writes the reports of the tasks, and the one of all.
func (j *job) report(ctx context.Context) error {
	p := &report.Page{Title: "melo demo: synthetic tasks on one frozen base", Notice: text.Capital(experiment.Notice) + ". All pictures are synthetic.",
		Lead: fmt.Sprintf("%d tasks, each learnt by a low-rank adapter, a linear probe and full fine-tuning: %s.", len(j.tasks), j.doc.Size()),
		Facts: []report.Fact{{Name: "Command", Value: text.Command(j.o.Command)}, {Name: "Base", Value: j.doc.Base}, {Name: "Program", Value: "melo " + programText()},
			{Name: "Machine", Value: fmt.Sprintf("%s, %s, %s/%s", sysinfo.This().CPU, sysinfo.This().CPUClass, runtime.GOOS, runtime.GOARCH)},
			{Name: "Time", Value: fmt.Sprintf("%.0f s", j.doc.Seconds)}},
		Sections: []report.Section{j.table(), {Title: "Switching", Parts: []report.Part{report.Text(j.doc.Serving.String())}}}}
	for i, t := range j.tasks {
		if err := study.WriteComparison(ctx, j.runs[i].Comparison, j.runs[i].command, mistakes); err != nil {
			return err
		}
		s, err := j.taskSection(ctx, t, j.runs[i])
		if err != nil {
			return err
		}
		p.Sections = append(p.Sections, s)
	}
	next := report.Section{Title: "Next", Parts: []report.Part{report.Text("The adapters can be used, looked at, and made of your own images:")}}
	for _, c := range j.doc.Next {
		next.Parts = append(next.Parts, report.Command(c))
	}
	p.Sections = append(p.Sections, next)
	j.doc.Report = filepath.Join(j.o.Out, Report)
	return p.WriteFile(j.doc.Report)
}

// table is the paper's table.
func (j *job) table() report.Section {
	t := &report.Table{Caption: "Methods on each task, with 95\u00a0% intervals", Words: 2,
		Head: []string{"task", "method", "AUC", "accuracy", "trainable parameters", "of the base", "file", "seconds"}}
	for i, task := range j.tasks {
		for k, x := range j.runs[i].Judgement.All {
			m := &j.doc.Tasks[i].Methods[k]
			t.Rows = append(t.Rows, []string{task.Name, study.MethodName(m.Method), report.Stacked(x.Numbers.AUC), report.Stacked(x.Numbers.Accuracy), text.Count(m.Params.Trained + m.Params.Head),
				fmt.Sprintf("%.2f %%", 100*m.Params.WithHead()), text.Bytes(m.Bytes), strconv.FormatFloat(m.Seconds, 'f', 1, 64)})
		}
	}
	return report.Section{Title: "Results", Parts: []report.Part{t,
		report.Text("Trainable parameters are with the head; the file holds them. Intervals are those of the test images (bootstrap), of one run each.")}}
}

// taskSection has sample pictures, curves and decisions of one task.
func (j *job) taskSection(ctx context.Context, t *phantom.Task, r *run) (s report.Section, err error) {
	s.Title = text.Capital(t.Title)
	s.Parts = append(s.Parts, report.Text(fmt.Sprintf("In place of %s. Everything about this task is in %s, made by:", t.StandsFor, filepath.Base(filepath.Dir(j.taskReport(t)))+"/"+experiment.ComparisonReport)),
		report.Command(r.command))
	pictures := &report.Pictures{Title: "Test images, truth and the adapter's answer"}
	for k := range samplePictures {
		img, err := r.Judgement.Image(ctx, k)
		if err != nil {
			return s, err
		}
		p, err := report.NewPicture(img, phantom.Size)
		if err != nil {
			return s, err
		}
		truth, answer, right := j.judgedText(r, k)
		p.Verdict = report.Wrong
		if right {
			p.Verdict = report.Right
		}
		p.Alt = "synthetic picture: " + truth
		p.Lines = []string{"truth: " + truth, "melo: " + answer}
		pictures.List = append(pictures.List, *p)
	}
	roc, err := study.ROC(ctx, r.Judgement)
	if err != nil {
		return s, err
	}
	s.Parts = append(s.Parts, pictures)
	s.Parts = append(s.Parts, roc.Parts...)
	s.Parts = append(s.Parts, report.Text("What the adapter decided; the other methods are in the task's own report."), study.Matrices(r.Judgement, r.Judgement.All[0]))
	return s, nil
}

// judgedText is the truth about a test image, what the adapter decided, and whether that is all of the truth and nothing else.
func (j *job) judgedText(r *run, k int) (truth, answer string, right bool) {
	p := r.Judgement.All[0].Runs[0]
	n := len(r.Judgement.Labels)
	add := func(text *string, name string) {
		if *text != "" {
			*text += ", "
		}
		*text += name
	}
	right = true
	for l, name := range r.Judgement.Labels {
		if p.Truth[k*n+l] {
			add(&truth, name)
		}
		right = right && (p.Exclusive || p.Truth[k*n+l] == (p.Prob[k*n+l] >= p.Threshold(l)))
		if !p.Exclusive && p.Prob[k*n+l] >= p.Threshold(l) {
			add(&answer, fmt.Sprintf("%s %.0f %%", name, 100*p.Prob[k*n+l]))
		}
	}
	if p.Exclusive {
		best := p.Decided(k)
		right = p.Truth[k*n+best]
		answer = fmt.Sprintf("%s %.0f %%", r.Judgement.Labels[best], 100*p.Prob[k*n+best])
	}
	if truth == "" {
		truth = "none of the findings"
	}
	if answer == "" {
		answer = "none of the findings"
	}
	return truth, answer, right
}
