package experiment

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"melo.example/melo/internal/regular"
	"melo.example/melo/metric"
)

// ExistingDocument is the result of comparing existing adapters, and answers of other programs, on the same
// images.
type ExistingDocument struct {
	Data        EvaluatedData    `json:"data"`
	Labels      []string         `json:"labels"`
	Answers     []ExistingResult `json:"answers"`
	Differences []Difference     `json:"differences"`
	Bootstrap   Bootstrap        `json:"bootstrap"`
	Warnings    []string         `json:"warnings"`
	Seconds     float64          `json:"seconds"`
	Notice      string           `json:"notice"`
}

// ExistingResult is the evaluation of one of them.
type ExistingResult struct {
	Name   string `json:"name"`   // path of the adapter or the CSV file
	Digest string `json:"digest"` // of the adapter; empty for a CSV file
	// BasePrecision is the precision of the base's products; missing for a CSV file.
	BasePrecision string `json:"base_precision,omitempty"`
	Numbers
	DeLong *float64 `json:"p_delong"` // against the first, for two labels; assumes independent images
}

// CompareExisting evaluates adapters on the same images, and also answers in CSV files with the columns of
// [Evaluation.WritePredictions]: path, and probability:LABEL for each label. The first is compared with each of
// the others by AUC, with a margin of non-inferiority (0: DefaultMargin). attach opens an adapter.
func CompareExisting(ctx context.Context, adapters, tables []string, attach func(path string) (Predictor, error), o *EvaluateOptions, margin float64,
	hook Hook) (*ExistingDocument, error) {
	start := time.Now()
	if len(adapters) == 0 {
		return nil, setting("adapters", "names none: the first says which labels there are and which images are tested")
	}
	if len(adapters)+len(tables) < 2 {
		return nil, setting("adapters", "names one, and there is no table of answers beside it: nothing to compare")
	}
	d := &ExistingDocument{Differences: []Difference{}, Warnings: []string{}, Notice: Notice}
	var all []*Judged
	var first *Evaluation
	for i, path := range adapters {
		a, err := attach(path)
		if err != nil {
			return nil, badInput(err)
		}
		e, err := Evaluate(ctx, a, o, hook)
		if err != nil {
			return nil, err
		}
		defer e.Close()
		x := e.Judgement.All[0]
		x.Name = path
		switch {
		case i == 0:
			first = e
			d.Data, d.Labels, d.Bootstrap = e.Data, e.Labels, e.EvaluationDocument.Bootstrap
		case !slices.Equal(e.Labels, first.Labels):
			return nil, badInput(fmt.Errorf("%s: has the labels %s, but %s has %s", path, strings.Join(e.Labels, ", "), adapters[0], strings.Join(first.Labels, ", ")))
		case !slices.Equal(e.tested(), first.tested()):
			return nil, badInput(fmt.Errorf("%s: its %s split is not that of %s: what one was trained on the other would be tested on; --split all, on data that neither has seen", path, o.Split, adapters[0]))
		}
		for _, w := range e.Warnings {
			if !slices.Contains(d.Warnings, w) {
				d.Warnings = append(d.Warnings, w)
			}
		}
		all = append(all, x)
		d.Answers = append(d.Answers, ExistingResult{Name: path, Digest: a.Digest(), BasePrecision: a.Precision(), Numbers: e.Numbers})
	}
	for _, path := range tables {
		p, err := readAnswers(path, first)
		if err != nil {
			return nil, badInput(err)
		}
		n, err := first.Judgement.Boot.Measure(ctx, p)
		if err != nil {
			return nil, err
		}
		all = append(all, &Judged{Name: path, Runs: []*metric.Predictions{p}, Numbers: n})
		d.Answers = append(d.Answers, ExistingResult{Name: path, Numbers: numbersOf(n, p.N())})
	}
	if margin == 0 {
		margin = DefaultMargin
	}
	for i, x := range all[1:] {
		diff, err := differencesOf(ctx, first.Judgement, all[0], x, margin)
		if err != nil {
			return nil, err
		}
		d.Differences = append(d.Differences, *diff)
		if p := all[0].Runs[0]; p.Labels <= 2 {
			a, truth := p.Column(p.Labels - 1)
			b, _ := x.Runs[0].Column(p.Labels - 1)
			if _, v, ok := metric.DeLongTest(a, b, truth); ok {
				d.Answers[i+1].DeLong = &v
			}
		}
	}
	d.Seconds = time.Since(start).Seconds()
	return d, nil
}

// tested returns the paths of the images.
func (e *Evaluation) tested() []string {
	var list []string
	for _, i := range e.j.samples {
		list = append(list, e.j.data.Samples[i].Path)
	}
	return list
}

// maxAnswers limits the size of a table of answers in bytes.
const maxAnswers = 1 << 30

// readAnswers reads the probabilities for the images of an evaluation. Every image must occur once; others are
// ignored.
func readAnswers(path string, e *Evaluation) (*metric.Predictions, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(io.LimitReader(f, maxAnswers))
	head, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: expected a table of answers with a head: %w", path, err)
	}
	head = slices.Clone(head)
	at := slices.Index(head, "path")
	if at < 0 {
		return nil, fmt.Errorf("%s: has no column path", path)
	}
	var columns []int
	for _, l := range e.Labels {
		k := slices.Index(head, "probability:"+l)
		if k < 0 {
			return nil, fmt.Errorf("%s: has no column probability:%s", path, l)
		}
		columns = append(columns, k)
	}
	place := map[string]int{}
	for k, name := range e.tested() {
		place[filepath.ToSlash(name)] = k
	}
	p := *e.Judgement.All[0].Runs[0]
	p.Prob, p.Thresholds = make([]float64, len(p.Prob)), nil
	seen := make([]bool, p.N())
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		k, ok := place[filepath.ToSlash(row[at])]
		if !ok {
			continue
		}
		if seen[k] {
			return nil, fmt.Errorf("%s: has %s twice", path, row[at])
		}
		seen[k] = true
		sum := 0.0
		for l, c := range columns {
			v, err := strconv.ParseFloat(row[c], 64)
			if err != nil || !(v >= 0 && v <= 1) {
				return nil, fmt.Errorf("%s: %s: probability %q of %s, expected 0 to 1", path, row[at], row[c], e.Labels[l])
			}
			p.Prob[k*p.Labels+l] = v
			sum += v
		}
		if p.Exclusive && !(sum > 0.98 && sum < 1.02) {
			return nil, fmt.Errorf("%s: %s: the probabilities of labels that exclude each other add up to %.3f, expected 1", path, row[at], sum)
		}
	}
	if k := slices.Index(seen, false); k >= 0 {
		return nil, fmt.Errorf("%s: has no answer for %s", path, e.tested()[k])
	}
	return &p, nil
}
