package demo

import (
	"fmt"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/text"
)

// Document is what a demo did, and the --json document of "melo demo". When data alone is written, it has no methods and no serving.
type Document struct {
	Base    string  `json:"base,omitempty"`
	Folder  string  `json:"folder"`
	Fast    bool    `json:"fast"`
	Seed    uint64  `json:"seed"`
	Tasks   []Task  `json:"tasks"`
	Serving Serving `json:"serving"`
	Report  string  `json:"report,omitempty"`
	Seconds float64 `json:"seconds"`
	Notice  string  `json:"notice"`

	Next []string `json:"-"` // commands to go on with
}

// Task is one synthetic task.
type Task struct {
	Name      string   `json:"name"`
	Title     string   `json:"title"`
	StandsFor string   `json:"stands_for"`
	Data      string   `json:"data"`
	Labels    []string `json:"labels"`
	Masks     string   `json:"masks,omitempty"` // folder with where the findings lie, if that was written
	Form      string   `json:"-"`               // of the data
	Pictures  Counts   `json:"pictures"`
	Methods   []Method `json:"methods"`
	Adapter   string   `json:"adapter,omitempty"`
	Report    string   `json:"report,omitempty"`
}

// Counts are numbers of pictures.
type Counts struct {
	Train int `json:"train"`
	Val   int `json:"val"`
	Test  int `json:"test"`
}

// Method is what came of one method on a task.
type Method struct {
	Method           string                `json:"method"`
	Params           experiment.Parameters `json:"parameters"`
	Bytes            int64                 `json:"bytes"`
	AUC              *float64              `json:"auc"`
	AUCInterval      *[2]float64           `json:"auc_ci"`
	Accuracy         *float64              `json:"accuracy"`
	AccuracyInterval *[2]float64           `json:"accuracy_ci"`
	Seconds          float64               `json:"seconds"` // of the training
}

// Serving is what the resident base with all adapters did.
type Serving struct {
	Adapters        int     `json:"adapters"`
	Images          int     `json:"images"` // of the mixed batch
	SwitchSeconds   float64 `json:"switch_seconds"`
	MixedSeconds    float64 `json:"mixed_seconds"`    // all images in one batch
	SeparateSeconds float64 `json:"separate_seconds"` // one after the other
	BitEqual        bool    `json:"bit_equal"`
}

// describe fills in the tasks.
func (j *job) describe() {
	d := j.doc
	d.Base, d.Folder, d.Fast, d.Seed, d.Notice = j.o.Base, j.o.Out, j.o.Size == Fast, j.o.Seed, experiment.Notice
	for i, t := range j.tasks {
		r := j.runs[i]
		e := Task{Name: t.Name, Title: t.Title, StandsFor: t.StandsFor, Data: j.data(t), Labels: t.Labels,
			Pictures: Counts{r.Data.Train, r.Data.Val, r.Data.Test}, Adapter: j.adapter(t), Report: j.taskReport(t)}
		for k := range r.Methods {
			m := &r.Methods[k]
			e.Methods = append(e.Methods, Method{Method: m.Method, Params: m.Params, Bytes: m.Bytes, AUC: m.AUC, AUCInterval: m.AUCInterval,
				Accuracy: m.Accuracy, AccuracyInterval: m.AccuracyInterval, Seconds: m.Runs[0].Seconds})
		}
		d.Tasks = append(d.Tasks, e)
	}
	d.Next = j.next()
}

// Size says how many pictures each task has.
func (d *Document) Size() string {
	p := d.Tasks[0].Pictures
	return fmt.Sprintf("%d pictures each to train, %d to validate, %d to test", p.Train, p.Val, p.Test)
}

// String says what the resident base did.
func (s *Serving) String() string {
	return fmt.Sprintf("One resident base, %d adapters: a switch takes %s.\nA batch of %d images for %d tasks takes %s, one after the other %s;\nthe logits are equal to the bit.",
		s.Adapters, text.Seconds(s.SwitchSeconds), s.Images, s.Adapters, text.Seconds(s.MixedSeconds), text.Seconds(s.SeparateSeconds))
}
