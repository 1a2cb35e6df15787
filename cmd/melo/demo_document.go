package main

import "melo.example/melo/experiment"

// demoDocument is the --json document of "melo demo". With --write it has no methods and no serving.
type demoDocument struct {
	Base    string      `json:"base,omitempty"`
	Folder  string      `json:"folder"`
	Fast    bool        `json:"fast"`
	Seed    uint64      `json:"seed"`
	Tasks   []demoTask  `json:"tasks"`
	Serving demoServing `json:"serving"`
	Report  string      `json:"report,omitempty"`
	Seconds float64     `json:"seconds"`
	Notice  string      `json:"notice"`
}

// demoTask is one synthetic task.
type demoTask struct {
	Name      string       `json:"name"`
	Title     string       `json:"title"`
	StandsFor string       `json:"stands_for"`
	Data      string       `json:"data"`
	Labels    []string     `json:"labels"`
	Pictures  demoCounts   `json:"pictures"`
	Methods   []demoMethod `json:"methods"`
	Adapter   string       `json:"adapter,omitempty"`
	Report    string       `json:"report,omitempty"`
}

// demoCounts are numbers of pictures.
type demoCounts struct {
	Train int `json:"train"`
	Val   int `json:"val"`
	Test  int `json:"test"`
}

// demoMethod is what came of one method on a task.
type demoMethod struct {
	Method           string                `json:"method"`
	Params           experiment.Parameters `json:"parameters"`
	Bytes            int64                 `json:"bytes"`
	AUC              *float64              `json:"auc"`
	AUCInterval      *[2]float64           `json:"auc_ci"`
	Accuracy         *float64              `json:"accuracy"`
	AccuracyInterval *[2]float64           `json:"accuracy_ci"`
	Seconds          float64               `json:"seconds"` // of the training
}

// demoServing is what the resident base with all adapters did.
type demoServing struct {
	Adapters        int     `json:"adapters"`
	Images          int     `json:"images"` // of the mixed batch
	SwitchSeconds   float64 `json:"switch_seconds"`
	MixedSeconds    float64 `json:"mixed_seconds"`    // all images in one batch
	SeparateSeconds float64 `json:"separate_seconds"` // one after the other
	BitEqual        bool    `json:"bit_equal"`
}

// describe fills in the tasks.
func (j *demoJob) describe() {
	d := &j.doc
	d.Base, d.Folder, d.Fast, d.Seed, d.Notice = j.o.Base, j.o.Out, j.o.Fast, j.o.Seed, notice
	for i, t := range j.tasks {
		r := j.runs[i]
		e := demoTask{Name: t.Name, Title: t.Title, StandsFor: t.StandsFor, Data: j.data(t), Labels: t.Labels,
			Pictures: demoCounts{r.Data.Train, r.Data.Val, r.Data.Test}, Adapter: j.adapter(t), Report: j.taskReport(t)}
		for k := range r.Methods {
			m := &r.Methods[k]
			e.Methods = append(e.Methods, demoMethod{Method: m.Method, Params: m.Params, Bytes: m.Bytes, AUC: m.AUC, AUCInterval: m.AUCInterval,
				Accuracy: m.Accuracy, AccuracyInterval: m.AccuracyInterval, Seconds: m.Runs[0].Seconds})
		}
		d.Tasks = append(d.Tasks, e)
	}
}
