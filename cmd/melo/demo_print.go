package main

import (
	"fmt"
	"path/filepath"
	"time"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/phantom"
	"melo.example/melo/internal/text"
)

// taskReport is the full report of one task.
func (j *demoJob) taskReport(t *phantom.Task) string {
	return filepath.Join(j.o.Out, t.Name, experiment.ComparisonReport)
}

// print shows the demo to people.
func (j *demoJob) print() {
	s, d := j.s, &j.doc
	if s.json {
		return
	}
	s.printf("%d synthetic tasks on one frozen base (%s),\n%s\n", len(d.Tasks), d.Base, j.sizeText())
	s.printf("  task    method    trained   of base      file    AUC  95 %%            accuracy")
	for i := range d.Tasks {
		for k := range d.Tasks[i].Methods {
			m := &d.Tasks[i].Methods[k]
			name := ""
			if k == 0 {
				name = d.Tasks[i].Name
			}
			s.printf("  %-7s %-7s %9s %7.2f %% %9s  %s  %s  %s", name, m.Method, text.Count(m.Params.Trained+m.Params.Head),
				100*m.Params.WithHead(), text.Bytes(m.Bytes), share(m.AUC), interval95(m.AUCInterval), share(m.Accuracy))
		}
	}
	s.printf("\n%s", servingText(&d.Serving))
	s.printf("\n%s, in %s:\n  %s   table, pictures, curves, confusion matrices", text.Duration(time.Duration(d.Seconds*float64(time.Second))), d.Folder, d.Report)
	s.printf("\nnext:")
	for _, c := range j.next() {
		s.printf("  %s", c)
	}
	s.notef("the pictures are synthetic; %s", notice)
}

func (j *demoJob) sizeText() string {
	p := j.doc.Tasks[0].Pictures
	return fmt.Sprintf("%d pictures each to train, %d to validate, %d to test", p.Train, p.Val, p.Test)
}

// servingText says what the resident base did.
func servingText(d *demoServing) string {
	return fmt.Sprintf("One resident base, %d adapters: a switch takes %s.\nA batch of %d images for %d tasks takes %s, one after the other %s;\nthe logits are equal to the bit.",
		d.Adapters, seconds(d.SwitchSeconds), d.Images, d.Adapters, seconds(d.MixedSeconds), seconds(d.SeparateSeconds))
}

// next are three commands to go on with.
func (j *demoJob) next() []string {
	last := len(j.tasks) - 1
	image := j.runs[last].Judgement.File(0)
	return []string{
		j.s.commandText([]string{"predict", "--adapter", j.adapter(j.tasks[last]), image}),
		j.s.commandText([]string{"inspect", j.adapter(j.tasks[0])}),
		"melo train --base embedded --data YOUR_FOLDER --out yours.safetensors",
	}
}
