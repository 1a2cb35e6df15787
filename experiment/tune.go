package experiment

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"melo.example/melo/lora"
)

// Tuned is what tuning found before a run.
type Tuned struct {
	Times  int     `json:"times"`  // the most that the search was allowed to cost, in runs
	Cost   float64 `json:"cost"`   // what it did cost at most, in runs
	Tried  int     `json:"tried"`  // candidates, the given settings among them
	Step   float64 `json:"step"`   // that was chosen
	Epochs int     `json:"epochs"` // that were chosen
	// Gain is the AUC on validation of the chosen settings over that of the given ones: the best of several, and so more than
	// other images will show. Absent where no AUC is defined.
	Gain *float64 `json:"gain,omitempty"`
}

// tunePlan is a search that --tune may choose, by what it costs.
type tunePlan struct {
	steps  []float64 // of the given step
	epochs []int     // times the given epochs
}

// tunePlans are the searches from the smallest on: the last one that may be paid for is made. All of them have the given settings.
var tunePlans = []tunePlan{
	{[]float64{0.5, 1, 2}, []int{1}},
	{[]float64{0.25, 0.5, 1, 2, 4}, []int{1}},
	{[]float64{0.5, 1, 2}, []int{1, 2}},
	{[]float64{0.25, 0.5, 1, 2, 4}, []int{1, 2}},
	{[]float64{0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4}, []int{1, 2}},
}

const (
	tuneEta = 3
	// minTune is the least that tuning costs, in runs.
	minTune = 3
	maxTune = 1000
)

// try is the plan as a sweep has it.
func (p *tunePlan) try(o *Options) []string {
	var steps, epochs []string
	for _, s := range p.steps {
		steps = append(steps, strconv.FormatFloat(s*o.Step, 'g', -1, 64))
	}
	for _, n := range p.epochs {
		epochs = append(epochs, strconv.Itoa(n*o.Epochs))
	}
	return []string{"step=" + strings.Join(steps, "/"), "epochs=" + strings.Join(epochs, "/")}
}

// cost bounds what a sweep of the plan costs, in runs of the given settings: the most epochs may win each round.
func (p *tunePlan) cost(o *SweepOptions) float64 {
	most, sum := 0.0, 0.0
	for _, n := range p.epochs {
		most, sum = max(most, float64(n)), sum+float64(n)
	}
	others := len(p.steps)*len(p.epochs) - 1
	all := sum*float64(len(p.steps)) - 1 // of all candidates but the given one, with all epochs
	shares := o.shares(others+1, o.Epochs)
	cost, left := 0.0, others
	for round, share := range shares {
		if round == 0 {
			cost += share * all
		} else {
			cost += share * most * float64(left)
		}
		left = max(1, (left+o.Eta-1)/o.Eta)
	}
	return cost + 1 // the given settings, in the last round
}

// Tune looks for a step and a number of epochs on validation, by successive halving, at a cost of at most so many runs, and
// puts them into the options. Its runs are in the folder of the run and are not made again.
func Tune(ctx context.Context, o *Options, times int, base *Base, set *Set, hook Hook) (*Tuned, error) {
	switch {
	case times < minTune || times > maxTune:
		return nil, setting("tune", "%d, expected the cost of the search in runs, %d to %d", times, minTune, maxTune)
	case o.LR > 0:
		return nil, setting("tune", "and lr contradict each other: the step is what is looked for")
	case o.Method == lora.LinearOnly:
		return nil, setting("tune", "%d: a linear probe has no steps to look for", times)
	}
	folder := filepath.Join(o.RunFolder(), "tune")
	if o.Restart {
		if err := os.RemoveAll(folder); err != nil {
			return nil, fmt.Errorf("runs of an earlier search: %w", err)
		}
	}
	s := &SweepOptions{Options: *o, Folder: folder, Search: "halving", Eta: tuneEta, Seeds: 1}
	s.Restart, s.NoCurves = false, true
	var plan *tunePlan
	for i := range tunePlans {
		if p := &tunePlans[i]; p.cost(s) <= float64(times) {
			plan = p
		}
	}
	if plan == nil {
		return nil, setting("tune", "%d: with %d epochs the smallest search costs %.1f runs", times, o.Epochs, tunePlans[0].cost(s))
	}
	s.Try = plan.try(o)
	found, err := Sweep(ctx, s, base, set, hook)
	if err != nil {
		return nil, err
	}
	if err := found.Write(folder); err != nil {
		return nil, err
	}
	best := found.Results[0].Values
	t := &Tuned{Times: times, Cost: plan.cost(s), Tried: len(found.Results), Gain: found.Gain}
	if t.Step, err = strconv.ParseFloat(best[0], 64); err != nil {
		return nil, err
	}
	if t.Epochs, err = strconv.Atoi(best[1]); err != nil {
		return nil, err
	}
	o.Step, o.Epochs, o.Tuned = t.Step, t.Epochs, t
	return t, nil
}
