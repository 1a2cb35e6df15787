package melo

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/explain"
	"melo.example/melo/fit"
	"melo.example/melo/imaging"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
)

// members are adapters of the same labels on a base, some with mirror images, other temperatures and another pooling.
func members(t *testing.T, b *Base, task adapterfile.Task, n int) []*Adapter {
	t.Helper()
	var list []*Adapter
	for i := range n {
		meta := adapterfile.Metadata{Task: task, Labels: labels(3), Recipe: b.model.Recipe, Mirror: i == 1, Temperatures: []float64{1 + float64(i)/2}}
		if task == adapterfile.Multilabel {
			meta.Thresholds = []float64{0.2 + 0.1*float64(i), 0.5, 0.7}
		}
		a, err := b.Adapter(write(t, b, lora.Config{}, uint64(i+1), meta))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
	return list
}

// TestEnsemble: an ensemble answers with the mean of its members' probabilities, alone, beside others and from its file, and its
// thresholds, scores and maps are means, too.
func TestEnsemble(t *testing.T) {
	b := open(t, "hf_vit", Batch(3))
	for _, task := range []adapterfile.Task{adapterfile.Multiclass, adapterfile.Multilabel} {
		list := members(t, b, task, 3)
		size := 2 * b.model.Width
		for i, a := range list {
			a.fit = &fit.Description{Size: size, Mean: make([]float32, size), Scale: slices.Repeat([]float32{1}, size), Rest: 1, Scores: []float32{0, 1, 2}, Threshold: float64(i + 1)}
			a.meta.Fit = &adapterfile.Fit{Block: b.model.Depth / 2, Size: size, Threshold: float64(i + 1)}
		}
		e, err := b.Ensemble(list...)
		if err != nil {
			t.Fatal(err)
		}
		pictures := []*imaging.Image{picture(1), picture(2), picture(3), picture(4)}
		var alone [][]Prediction
		for _, a := range list {
			alone = append(alone, predict(t, b, a, pictures...))
		}
		got := predict(t, b, e, pictures...)
		for i := range pictures {
			score, present := 0.0, 0
			for l := range e.labels {
				p, at := 0.0, 0.0
				for k := range list {
					p += alone[k][i].Probabilities[l] / 3
					at += list[k].rule.Threshold(l) / 3
				}
				if math.Abs(got[i].Probabilities[l]-p) > 1e-6 { // a float32 logit
					t.Errorf("%s, image %d: probability %v, the mean is %v", task, i, got[i].Probabilities[l], p)
				}
				if task == adapterfile.Multilabel && got[i].Present[l] == (p >= at) {
					present++
				}
			}
			if task == adapterfile.Multilabel && present != 3 {
				t.Errorf("image %d: present %v", i, got[i].Present)
			}
			for k := range list {
				score += alone[k][i].Fit.Score / float64(k+1) / 3
			}
			if v := got[i].Fit; v == nil || math.Abs(v.Score-score) > 1e-9 || v.Unlike != (score > 1) {
				t.Errorf("image %d: %+v, score %v", i, v, score)
			}
		}
		err = b.PredictAll(t.Context(), []*Adapter{list[0], e}, len(pictures), func(_ context.Context, i int, _ imaging.Recipe) (*imaging.Image, error) { return pictures[i], nil },
			func(i int, all []Prediction, errs []error) error {
				if !slices.Equal(all[1].Logits, got[i].Logits) || *all[1].Fit != *got[i].Fit {
					t.Errorf("beside others: %+v, alone %+v", all[1], got[i])
				}
				return errors.Join(errs...)
			})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "three.ensemble.json")
		if err := WriteEnsemble(path, e); err != nil {
			t.Fatal(err)
		}
		other, read, err := OpenFor(path, b.Path())
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if p := predict(t, other, read, pictures[0]); !slices.Equal(p[0].Logits, got[0].Logits) || read.Name() != "three" || len(read.Digest()) != 71 {
			t.Errorf("from its file %s %s: %v, before %v", read.Name(), read.Digest(), p[0].Logits, got[0].Logits)
		}
	}
}

// TestEnsembleExplained: the map of an ensemble is the mean of its members' maps of its own answer.
func TestEnsembleExplained(t *testing.T) {
	b := open(t, "hf_vit")
	list := members(t, b, adapterfile.Multiclass, 2)
	e, err := b.Ensemble(list...)
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range explain.Methods() {
		got, err := e.Explain(t.Context(), ExplainOptions{Method: method}, picture(1))
		if err != nil {
			t.Fatal(err)
		}
		if want := predict(t, b, e, picture(1))[0]; got[0].Label != want.Label || !slices.Equal(got[0].Prediction.Logits, want.Logits) {
			t.Errorf("%s explains %+v, predicted %+v", method, got[0].Prediction, want)
		}
		want := make([]float64, len(got[0].Map.Values))
		for _, a := range list {
			x, err := a.Explain(t.Context(), ExplainOptions{Method: method, Label: got[0].Label}, picture(1))
			if err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for _, v := range x[0].Map.Values {
				sum += float64(max(v, 0))
			}
			if method == explain.Occlusion || sum == 0 {
				sum = 1
			}
			for i, v := range x[0].Map.Values {
				want[i] += float64(v) / sum / 2
			}
		}
		for i, v := range got[0].Map.Values {
			if math.Abs(float64(v)-want[i]) > 1e-6 {
				t.Fatalf("%s: patch %d is %v, the mean is %v", method, i, v, want[i])
			}
		}
	}
}

// TestEnsembleRefuses: what does not answer one question is no ensemble, and a member that was changed is found.
func TestEnsembleRefuses(t *testing.T) {
	b := open(t, "hf_vit")
	list := members(t, b, adapterfile.Multiclass, 2)
	other, err := b.Adapter(write(t, b, lora.Config{}, 9, adapterfile.Metadata{Task: adapterfile.Multiclass, Labels: labels(2), Recipe: b.model.Recipe}))
	if err != nil {
		t.Fatal(err)
	}
	e, err := b.Ensemble(list...)
	if err != nil {
		t.Fatal(err)
	}
	for want, members := range map[string][]*Adapter{"expected 2": {list[0]}, "labels differ": {list[0], other}, "twice": {list[0], list[1], list[0]}, "an ensemble itself": {list[0], e}} {
		if _, err := b.Ensemble(members...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := e.Set(&Prediction{Probabilities: make([]float64, 3)}, 0.9); err == nil || !strings.Contains(err.Error(), "ensemble") {
		t.Errorf("a set: %v", err)
	}
	if _, err := b.Merged(e); err == nil {
		t.Error("an ensemble was merged")
	}
	path := filepath.Join(t.TempDir(), "two.ensemble.json")
	if err := WriteEnsemble(path, e); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(write(t, b, lora.Config{}, 77, adapterfile.Metadata{Task: adapterfile.Multiclass, Labels: labels(3), Recipe: b.model.Recipe}))
	if err == nil {
		err = os.WriteFile(list[1].path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Adapter(path); err == nil || !strings.Contains(err.Error(), "it was changed") {
		t.Errorf("a changed member: %v", err)
	}
	if err := os.Remove(list[1].path); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Adapter(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a member that is gone: %v", err)
	}
}
