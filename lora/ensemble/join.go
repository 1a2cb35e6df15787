package ensemble

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"melo.example/melo/fit"
	"melo.example/melo/imaging"
	"melo.example/melo/lora/adapterfile"
)

// Part is a member as it was read: its description, and the recipe that holds for it on its base.
type Part struct {
	Name   string
	Meta   *adapterfile.Metadata
	Recipe imaging.Recipe
}

// Join returns the description of an ensemble, or says why the parts are none: they must answer the same question about the same
// input. Its thresholds are the parts' means, its temperatures none, and it has no prediction sets.
func Join(parts []Part) (meta adapterfile.Metadata, err error) {
	if n := len(parts); n < 2 || n > MaxMembers {
		return meta, fmt.Errorf("an ensemble of %d adapters, expected 2 to %d", n, MaxMembers)
	}
	first := &parts[0]
	for i := range parts {
		if err := first.alike(&parts[i]); err != nil {
			return meta, err
		}
	}
	m := first.Meta
	return adapterfile.Metadata{Base: m.Base, Method: m.Method, Task: m.Task, Labels: m.Labels, Recipe: first.Recipe, Thresholds: thresholds(parts), Fit: fitOf(parts),
		Training: trainingOf(parts), Licence: m.Licence, IntendedUse: m.IntendedUse}, nil
}

// alike refuses a part that answers another question than p, or about another input.
func (p *Part) alike(q *Part) error {
	differs := func(what string, a, b any) error {
		return fmt.Errorf("%s and %s do not make an ensemble: their %s differ: %.200v and %.200v", p.Name, q.Name, what, a, b)
	}
	a, b := p.Meta.LabelNames(), q.Meta.LabelNames()
	switch {
	case !slices.Equal(a, b):
		return differs("labels", strings.Join(a, ", "), strings.Join(b, ", "))
	case p.Meta.Task != q.Meta.Task:
		return differs("tasks", p.Meta.Task, q.Meta.Task)
	case p.Recipe != q.Recipe:
		return differs("recipes", fmt.Sprintf("%+v", p.Recipe), fmt.Sprintf("%+v", q.Recipe))
	case p.Meta.Rule().ByThreshold != q.Meta.Rule().ByThreshold:
		return differs("rules of decision", p.Meta.Rule().ByThreshold, q.Meta.Rule().ByThreshold)
	}
	return nil
}

// thresholds are the means of the parts' thresholds; nil if none has any.
func thresholds(parts []Part) []float64 {
	if !slices.ContainsFunc(parts, func(p Part) bool { return len(p.Meta.Thresholds) > 0 }) {
		return nil
	}
	mean := make([]float64, len(parts[0].Meta.Labels))
	for i := range parts {
		rule := parts[i].Meta.Rule()
		for l := range mean {
			mean[l] += rule.Threshold(l) / float64(len(parts))
		}
	}
	return mean
}

// fitOf describes the mean of the parts' scores, whose threshold is 1; nil if one of them knows nothing.
func fitOf(parts []Part) *adapterfile.Fit {
	f := &adapterfile.Fit{Threshold: 1}
	for i := range parts {
		x := parts[i].Meta.Fit
		if x == nil {
			return nil
		}
		f.Images, f.OnImages, f.Refusal, f.Expected = max(f.Images, x.Images), max(f.OnImages, x.OnImages), max(f.Refusal, x.Refusal), max(f.Expected, x.Expected)
		f.Policy = cmp.Or(f.Policy, x.Policy)
		if i == 0 {
			f.Block, f.Size, f.On = x.Block, x.Size, x.On
		}
	}
	return f
}

// MeanFit is the verdict of an ensemble from those of its parts, in their order; nil if one is not known.
func MeanFit(parts []*adapterfile.Metadata, verdicts []*fit.Verdict) *fit.Verdict {
	var v fit.Verdict
	for i, p := range verdicts {
		if p == nil || parts[i].Fit == nil || !(parts[i].Fit.Threshold > 0) {
			return nil
		}
		v.Score += p.Score / parts[i].Fit.Threshold / float64(len(verdicts))
		v.Percentile += p.Percentile / float64(len(verdicts))
	}
	v.Unlike = v.Score > 1
	return &v
}

// trainingOf is what the parts' trainings have in common: the data, and how it was divided if all were divided alike, so that no part has
// seen what is set aside to test.
func trainingOf(parts []Part) *adapterfile.Training {
	first := parts[0].Meta.Training
	if first == nil {
		return nil
	}
	out := *first
	for i := range parts[1:] {
		t := parts[i+1].Meta.Training
		if t == nil || t.Data == nil || first.Data == nil || t.Data.Digest != first.Data.Digest {
			return &adapterfile.Training{Program: first.Program, Data: out.Data}
		}
		same := t.Split != nil && out.Split != nil && t.Split.Seed == out.Split.Seed && t.Split.Test == out.Split.Test
		for _, name := range []string{"val_split", "test_split", "folds", "fold"} {
			same = same && fmt.Sprint(t.Hyperparameters[name]) == fmt.Sprint(out.Hyperparameters[name])
		}
		if !same {
			out.Split = nil
		}
	}
	return &out
}
