package melo

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"melo.example/melo/explain"
	"melo.example/melo/fit"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/lora/answer"
	"melo.example/melo/lora/ensemble"
)

// Ensemble returns an adapter that answers with the mean of the members' probabilities, each calibrated by itself. All are on one
// base, have the same labels in the same order, and see images in the same way; each costs a pass of its own. Thresholds are
// the members' means. An image is unlike the training images if it is by the mean of the members' scores, each divided by its own
// threshold; where one member does not know, the ensemble does not. Maps are means, too. There are no prediction sets: those of the
// members are calibrated to other probabilities.
func (b *Base) Ensemble(members ...*Adapter) (*Adapter, error) {
	if len(members) < 2 || len(members) > ensemble.MaxMembers {
		return nil, fmt.Errorf("melo: an ensemble of %d adapters, expected 2 to %d", len(members), ensemble.MaxMembers)
	}
	var parts []ensemble.Part
	for i, m := range members {
		m, err := b.attached(m)
		switch {
		case err != nil:
			return nil, err
		case len(m.members) > 0:
			return nil, fmt.Errorf("melo: %s is an ensemble itself, expected adapters", m.Name())
		case slices.Contains(members[:i], m):
			return nil, fmt.Errorf("melo: %s is there twice", m.Name())
		}
		parts = append(parts, ensemble.Part{Name: m.Name(), Meta: &m.meta, Recipe: m.recipe})
	}
	meta, err := ensemble.Join(parts)
	if err != nil {
		return nil, fmt.Errorf("melo: %w", err)
	}
	return &Adapter{base: b, members: slices.Clone(members), labels: members[0].labels, recipe: members[0].recipe, meta: meta, rule: meta.Rule()}, nil
}

// ensembleAt reads a list of adapters and the adapters in it.
func (b *Base) ensembleAt(path string) (*Adapter, error) {
	list, err := ensemble.Read(path)
	if err != nil {
		return nil, fmt.Errorf("melo: %w", err)
	}
	var members []*Adapter
	for i := range list.Members {
		m, err := b.Adapter(list.File(i))
		if err != nil {
			return nil, fmt.Errorf("melo: %s: %w", path, err)
		}
		if m.digest != list.Members[i].Digest {
			return nil, fmt.Errorf("melo: %s: its member %s has the digest %s, expected %s: it was changed", path, list.Members[i].Path, m.digest, list.Members[i].Digest)
		}
		members = append(members, m)
	}
	e, err := b.Ensemble(members...)
	if err != nil {
		return nil, fmt.Errorf("melo: %s: %w", path, err)
	}
	e.path, e.digest = list.Path, list.Digest
	return e, nil
}

// firstOf returns the first member of the ensemble at path, which says on which base it is.
func firstOf(path string) (string, error) {
	list, err := ensemble.Read(path)
	if err != nil {
		return "", fmt.Errorf("melo: %w", err)
	}
	return list.File(0), nil
}

// WriteEnsemble writes an ensemble as a list of its members, which stay where they are. The name ends with ".ensemble.json".
func WriteEnsemble(path string, e *Adapter) error {
	if e == nil || len(e.members) == 0 {
		return errors.New("melo: no ensemble")
	}
	var list []ensemble.Member
	for _, m := range e.members {
		if m.path == "" {
			return fmt.Errorf("melo: %s: the base's own head lies in no file", filepath.Base(path))
		}
		list = append(list, ensemble.Member{Path: m.path, Digest: m.digest})
	}
	return ensemble.Write(path, list)
}

// Members returns the adapters of an ensemble; nil of any other adapter. Do not change it.
func (a *Adapter) Members() []*Adapter { return a.members }

// answerTogether is answer of an ensemble.
func (b *Base) answerTogether(e *Adapter, pixels []float32, n int) ([]answered, error) {
	all := make([][]answered, len(e.members))
	for k, m := range e.members {
		var err error
		if all[k], err = b.answer(m, slices.Clone(pixels), n); err != nil { // which may be mirrored
			return nil, err
		}
	}
	answers := make([]answered, n)
	for i := range answers {
		parts, verdicts, metas := make([]answer.Answer, 0, len(all)), make([]*fit.Verdict, 0, len(all)), make([]*adapterfile.Metadata, 0, len(all))
		for k := range all {
			if all[k][i].err != nil {
				answers[i].err = fmt.Errorf("%s: %w", e.members[k].Name(), all[k][i].err)
				break
			}
			p := all[k][i].prediction
			parts, verdicts, metas = append(parts, p), append(verdicts, p.Fit), append(metas, &e.members[k].meta)
		}
		if answers[i].err == nil {
			answers[i].prediction, answers[i].err = e.rule.Mean(parts)
			answers[i].prediction.Fit = ensemble.MeanFit(metas, verdicts)
		}
	}
	return answers, nil
}

// explainTogether makes the mean map of an ensemble's members for an input: each member's is scaled so that what is positive adds up to
// 1, but for occlusion, whose numbers mean something.
func (x *explaining) explainTogether(out *Explanation) (explain.Answer, error) {
	answers, err := x.base.answer(x.adapter, slices.Clone(x.pixels), 1)
	if err == nil {
		err = answers[0].err
	}
	if err != nil {
		return explain.Answer{}, err
	}
	out.Prediction = answers[0].prediction
	if _, err := x.score(out); err != nil {
		return explain.Answer{}, err
	}
	var mean explain.Answer
	for _, m := range x.members {
		m.pixels = x.pixels
		if m.choice, err = explain.Choose(m.adapter.labels, out.Label, out.Against); err != nil {
			return explain.Answer{}, err
		}
		found, err := m.run(&Explanation{})
		if err != nil {
			return explain.Answer{}, err
		}
		scale := 1.0
		if x.explainer.Method() != explain.Occlusion {
			sum := 0.0
			for _, v := range found.Maps {
				sum += float64(max(v, 0))
			}
			if sum > 0 {
				scale = 1 / sum
			}
		}
		if mean.Maps == nil {
			mean.Maps = make([]float32, len(found.Maps))
		}
		for i, v := range found.Maps {
			mean.Maps[i] += float32(float64(v) * scale / float64(len(x.members)))
		}
	}
	return mean, nil
}
