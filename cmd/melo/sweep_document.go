package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/ui"
	"melo.example/melo/train"
)

// sweepDocument is the --json document of "melo sweep".
type sweepDocument struct {
	Base    string        `json:"base"`
	Data    trainData     `json:"data"`
	Folder  string        `json:"folder"`
	Search  string        `json:"search"`
	Shares  []float64     `json:"shares"` // of the epochs, by round
	Seeds   int           `json:"seeds"`
	Tried   []sweepTried  `json:"tried"`
	Results []sweepResult `json:"results"` // the best first; those of earlier rounds after those of later ones
	Given   sweepResult   `json:"given"`
	Gain    *float64      `json:"gain"`    // AUC of the best over that of the given settings
	Command string        `json:"command"` // trains the best
	Seconds float64       `json:"seconds"`
	Notice  string        `json:"notice"`
}

// sweepTried is a setting and its values.
type sweepTried struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// sweepResult is a candidate, and how it did. Scores are means over the seeds, on validation, without temperatures.
type sweepResult struct {
	Values   []string    `json:"values"` // parallel to tried
	IsGiven  bool        `json:"is_given"`
	Round    int         `json:"round"` // the last one that it was in
	Epochs   int         `json:"epochs"`
	AUC      *float64    `json:"auc"`
	Low      *float64    `json:"auc_lowest"` // over the seeds
	High     *float64    `json:"auc_highest"`
	Accuracy *float64    `json:"accuracy"`
	LogLoss  *float64    `json:"log_loss"`
	ECE      *float64    `json:"ece"`
	Trained  int64       `json:"trained"`
	Seconds  float64     `json:"seconds"` // of its runs in that round
	Runs     []sweepPath `json:"runs"`
	Failed   string      `json:"failed,omitempty"`
}

// sweepPath is one run's adapter.
type sweepPath struct {
	Adapter string `json:"adapter"`
	Digest  string `json:"digest"`
}

// document sums the sweep up.
func (j *sweepJob) document(start time.Time) *sweepDocument {
	settings, values, _ := j.o.tried() // checked before
	d := &sweepDocument{Base: j.o.Base, Data: j.info, Folder: j.o.Out, Search: j.o.Search, Shares: j.rounds, Seeds: j.o.Seeds,
		Tried: []sweepTried{}, Seconds: time.Since(start).Seconds(), Notice: notice}
	for k, s := range settings {
		d.Tried = append(d.Tried, sweepTried{s.name, values[k]})
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
	d.Command = best.command(j.s.args, settings)
	return d
}

func (r *sweepResult) auc() float64 {
	if r.AUC == nil {
		return math.NaN()
	}
	return *r.AUC
}

// defined is v, or nil if it is not a number.
func defined(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// result describes a candidate.
func (c *candidate) result() sweepResult {
	r := sweepResult{Values: c.values, IsGiven: c.given, Round: c.round, Epochs: c.epochs, AUC: defined(c.auc()), Accuracy: defined(c.score(train.Accuracy)),
		LogLoss: defined(c.score(train.LogLoss)), ECE: defined(c.score(train.ECE)), Failed: c.failed(), Runs: []sweepPath{}}
	low, high := math.Inf(1), math.Inf(-1)
	for _, run := range c.runs {
		if run.doc == nil {
			continue
		}
		r.Seconds += run.doc.Seconds
		r.Trained = run.doc.Params.Trained + run.doc.Params.Head
		r.Runs = append(r.Runs, sweepPath{run.doc.Adapter.Path, run.doc.Adapter.Digest})
		if v, ok := run.doc.Validation.Uncalibrated[train.AUC]; ok {
			low, high = min(low, v), max(high, v)
		}
	}
	if r.AUC != nil {
		r.Low, r.High = defined(low), defined(high)
	}
	return r
}

// command trains a candidate by itself: the words of the sweep without what belongs to the search, and the values.
func (c *candidate) command(args []string, settings []tunable) string {
	drop := []string{"--out", "--try", "--search", "--eta", "--seeds"}
	for _, s := range settings {
		drop = append(drop, "--"+s.name)
	}
	words := []string{"melo"}
	for i := 0; i < len(args); i++ {
		name, _, joined := strings.Cut(args[i], "=")
		switch {
		case args[i] == "sweep":
			words = append(words, "train")
		case !slices.Contains(drop, name):
			words = append(words, shellWord(args[i]))
		case !joined:
			i++ // its value
		}
	}
	for k, s := range settings {
		words = append(words, "--"+s.name, shellWord(c.values[k]))
	}
	return strings.Join(append(words, "--out", "best.safetensors"), " ")
}

// write leaves the table in the folder.
func (d *sweepDocument) write(folder string) error {
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

func (d *sweepDocument) writeCSV(w io.Writer) error {
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

// print shows the table to people.
func (d *sweepDocument) print(s *stdio) {
	s.printf("%d candidates on %s, %d images to validate", len(d.Results), d.Data.Path, d.Data.Val)
	line := "   place"
	widths := make([]int, len(d.Tried))
	for k, t := range d.Tried {
		widths[k] = len(t.Name)
		for _, r := range d.Results {
			widths[k] = max(widths[k], len(r.Values[k]))
		}
		line += fmt.Sprintf("  %-*s", widths[k], t.Name)
	}
	s.printf("%s  epochs     AUC  accuracy  log loss   trained", line)
	show := func(v *float64) string {
		if v == nil {
			return "-"
		}
		return fmt.Sprintf("%.3f", *v)
	}
	for i, r := range d.Results {
		mark := " "
		if r.IsGiven {
			mark = "*"
		}
		line := fmt.Sprintf(" %s %5d", mark, i+1)
		for k, v := range r.Values {
			line += fmt.Sprintf("  %-*s", widths[k], v)
		}
		s.printf("%s  %6d  %6s  %8s  %8s  %8s", line, r.Epochs, show(r.AUC), show(r.Accuracy), show(r.LogLoss), ui.Count(r.Trained))
	}
	s.printf("  *: the settings of the command line")
	if d.Gain != nil {
		s.printf("  the best has %.1f points of AUC more; of the best of many, part is luck", 100*(*d.Gain))
	}
	s.printf("  to train it:")
	s.printf("    %s", d.Command)
	s.printf("  table: %s", filepath.Join(d.Folder, "sweep.csv"))
	s.notef("%s", notice)
}
