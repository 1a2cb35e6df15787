package experiment

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"time"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/train"
)

// SweepResult is the result of a sweep: the --json document of "melo sweep".
type SweepResult struct {
	Base    string        `json:"base"`
	Data    Data          `json:"data"`
	Folder  string        `json:"folder"`
	Search  string        `json:"search"`
	Shares  []float64     `json:"shares"` // fraction of the epochs, by round
	Seeds   int           `json:"seeds"`
	Tried   []TriedValues `json:"tried"`
	Results []Candidate   `json:"results"` // best first; those of earlier rounds after those of later ones
	Given   Candidate     `json:"given"`
	Gain    *float64      `json:"gain"`    // AUC of the best minus that of the given settings
	Command string        `json:"command"` // command that trains the best; set by the caller
	Seconds float64       `json:"seconds"`
	Notice  string        `json:"notice"`
}

// TriedValues is a setting and its values.
type TriedValues struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// Candidate is a combination of values, and its results. Scores are means over the seeds, on validation,
// uncalibrated.
type Candidate struct {
	Values   []string      `json:"values"` // parallel to tried
	IsGiven  bool          `json:"is_given"`
	Round    int           `json:"round"` // last round that it took part in
	Epochs   int           `json:"epochs"`
	AUC      *float64      `json:"auc"`
	Low      *float64      `json:"auc_lowest"` // lowest over the seeds
	High     *float64      `json:"auc_highest"`
	Accuracy *float64      `json:"accuracy"`
	LogLoss  *float64      `json:"log_loss"`
	ECE      *float64      `json:"ece"`
	Trained  int64         `json:"trained"`
	Seconds  float64       `json:"seconds"` // duration of its runs in that round
	Runs     []AdapterPath `json:"runs"`
	Failed   string        `json:"failed,omitempty"`
}

// AdapterPath is one run's adapter.
type AdapterPath struct {
	Adapter string `json:"adapter"`
	Digest  string `json:"digest"`
}

// document summarises the sweep.
func (j *sweep) document(start time.Time) *SweepResult {
	settings, values, _ := j.o.tried() // cannot fail: checked before
	d := &SweepResult{Base: j.base.path, Data: j.info, Folder: j.o.Folder, Search: j.o.Search, Shares: j.rounds, Seeds: j.o.Seeds,
		Tried: []TriedValues{}, Seconds: time.Since(start).Seconds(), Notice: Notice}
	for k, s := range settings {
		d.Tried = append(d.Tried, TriedValues{s.name, values[k]})
	}
	for _, c := range j.candidates {
		r := c.result()
		d.Results = append(d.Results, r)
		if c.given {
			d.Given = r
		}
	}
	best := j.candidates[0]
	d.Gain = defined(best.auc() - d.Given.auc())
	return d
}

func (r *Candidate) auc() float64 {
	if r.AUC == nil {
		return math.NaN()
	}
	return *r.AUC
}

// defined returns v, or nil if it is not finite.
func defined(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// result describes a candidate.
func (c *candidate) result() Candidate {
	r := Candidate{Values: c.values, IsGiven: c.given, Round: c.round, Epochs: c.epochs, AUC: defined(c.auc()), Accuracy: defined(c.score(train.Accuracy)),
		LogLoss: defined(c.score(train.LogLoss)), ECE: defined(c.score(train.ECE)), Failed: c.failed(), Runs: []AdapterPath{}}
	low, high := math.Inf(1), math.Inf(-1)
	for _, run := range c.runs {
		if run.doc == nil {
			continue
		}
		r.Seconds += run.doc.Seconds
		r.Trained = run.doc.Params.Trained + run.doc.Params.Head
		r.Runs = append(r.Runs, AdapterPath{run.doc.Adapter.Path, run.doc.Adapter.Digest})
		if v, ok := run.doc.Validation.Uncalibrated[train.AUC]; ok {
			low, high = min(low, v), max(high, v)
		}
	}
	if r.AUC != nil {
		r.Low, r.High = defined(low), defined(high)
	}
	return r
}

// Write writes the table to a folder: sweep.json and sweep.csv.
func (d *SweepResult) Write(folder string) error {
	err := atomicfile.Write(filepath.Join(folder, "sweep.json"), 0o666, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(d)
	})
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(folder, "sweep.csv"), 0o666, d.writeCSV)
}

func (d *SweepResult) writeCSV(w io.Writer) error {
	head := []string{"place"}
	for _, t := range d.Tried {
		head = append(head, t.Name)
	}
	table := csv.NewWriter(w)
	if err := table.Write(append(head, "given", "round", "epochs_trained", "auc", "auc_lowest", "auc_highest", "accuracy", "log_loss", "ece", "trained", "seconds", "adapter", "failed")); err != nil {
		return err
	}
	number := func(v *float64) string {
		if v == nil {
			return ""
		}
		return strconv.FormatFloat(*v, 'g', -1, 64)
	}
	for i, r := range d.Results {
		adapter := ""
		if len(r.Runs) > 0 {
			adapter = r.Runs[0].Adapter
		}
		row := append([]string{strconv.Itoa(i + 1)}, r.Values...)
		row = append(row, strconv.FormatBool(r.IsGiven), strconv.Itoa(r.Round), strconv.Itoa(r.Epochs), number(r.AUC), number(r.Low), number(r.High),
			number(r.Accuracy), number(r.LogLoss), number(r.ECE), strconv.FormatInt(r.Trained, 10), strconv.FormatFloat(r.Seconds, 'f', 1, 64), adapter, r.Failed)
		if err := table.Write(row); err != nil {
			return err
		}
	}
	table.Flush()
	return table.Error()
}
