package serve

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/lora/ensemble"
)

// fellows publishes adapters of the same labels and an ensemble of them.
func fellows(t *testing.T, dir, name string, n int) []*adapterfile.File {
	t.Helper()
	var files []*adapterfile.File
	var members []ensemble.Member
	for i := range n {
		f := someAdapter(uint64(6 + 12*i)) // three labels, each of another seed
		f.Meta.Labels = adapterfile.Labels("a", "b", "c")
		f.Meta.Mirror = i == 1
		path := name + "-" + string(rune('a'+i))
		members = append(members, ensemble.Member{Path: filepath.Join(dir, path+extension), Digest: publish(t, dir, path, f)})
		files = append(files, f)
	}
	if err := ensemble.Write(filepath.Join(dir, name+ensemble.Ending), members); err != nil {
		t.Fatal(err)
	}
	return files
}

// TestEnsemble: an ensemble of the folder answers with the mean of its members' probabilities, alone, in a batch and with others on
// the same image, whatever the memory for adapters.
func TestEnsemble(t *testing.T) {
	dir := t.TempDir()
	files := fellows(t, dir, "three", 3)
	for _, budget := range []int64{0, 6000} {
		e := newEngine(t, 2, Config{Adapters: dir, Budget: budget, Batch: 4})
		var requests []Request
		for seed := range uint64(9) {
			requests = append(requests, Request{Name: "three", Input: Input{Tensor: tensor(seed)}})
		}
		img := picture(1)
		requests = append(requests, Request{Name: "three", Input: Input{Image: img}}, Request{Name: "three-a", Input: Input{Image: img}}, Request{Name: "three", Input: Input{Image: img}})
		answers, errs := e.Predict(t.Context(), requests...)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for i, a := range answers[:9] {
			want := make([]float64, 3)
			for _, f := range files {
				y := alone(e.Model(), f.Adapter, tensor(uint64(i)))
				if f.Meta.Mirror {
					for k, v := range alone(e.Model(), f.Adapter, mirrored(tensor(uint64(i)), e.Side())) {
						y[k] = (y[k] + v) / 2
					}
				}
				p, rule := make([]float64, 3), f.Meta.Rule()
				rule.Probabilities(p, y)
				for l := range p {
					want[l] += p[l] / 3
				}
			}
			for l, p := range a.Probabilities {
				if math.Abs(p-want[l]) > 1e-6 {
					t.Errorf("input %d: %v, the mean is %v", i, a.Probabilities, want)
				}
			}
			if a.Name != "three" || a.Timing.Batch < 1 {
				t.Errorf("%+v", a)
			}
		}
		if a, b := answers[9].Logits, answers[11].Logits; a[0] != b[0] || a[0] == answers[10].Logits[0] {
			t.Errorf("%v, %v, %v", a, answers[10].Logits, b)
		}
		s, err := e.Registry().Describe("three", "")
		if err != nil || s.State != Ready || s.Bytes <= 0 || len(s.Card.Labels) != 3 {
			t.Errorf("%+v, %v", s, err)
		}
		if err := e.Registry().CheckAll(t.Context(), func(id Identity, err error) {
			if err != nil {
				t.Errorf("%v: %v", id, err)
			}
		}); err != nil {
			t.Error(err)
		}
		for _, f := range []func() error{func() error { return e.Registry().Load(t.Context(), "three") }, func() error { return e.Registry().Unload("three") },
			func() error { return e.Registry().Load(t.Context(), "three") }} {
			if err := f(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestEnsembleChanges: an ensemble whose member goes, or is another, answers no more, and says why; when the member is back, it does.
func TestEnsembleChanges(t *testing.T) {
	dir := t.TempDir()
	files := fellows(t, dir, "two", 2)
	e := newEngine(t, 1, Config{Adapters: dir})
	ask := func() error {
		_, errs := e.Predict(t.Context(), Request{Name: "two", Input: Input{Tensor: tensor(1)}})
		return errs[0]
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "two-b"+extension)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	scan(t, e)
	if err := ask(); err == nil || !strings.Contains(err.Error(), "two-b") {
		t.Errorf("without a member: %v", err)
	}
	publish(t, dir, "two-b", someAdapter(42))
	scan(t, e)
	if err := ask(); err == nil || !strings.Contains(err.Error(), "two-b") {
		t.Errorf("with another member: %v", err)
	}
	publish(t, dir, "two-b", files[1])
	scan(t, e)
	if err := ask(); err != nil {
		t.Errorf("with all members: %v", err)
	}
	// What is not one question is no ensemble, and a name that two things have is ambiguous.
	odd := someAdapter(3)
	members := []ensemble.Member{{Path: filepath.Join(dir, "odd"+extension), Digest: publish(t, dir, "odd", odd)}, {Path: path, Digest: files[1].Digest}}
	if err := ensemble.Write(filepath.Join(dir, "mixed"+ensemble.Ending), members); err != nil {
		t.Fatal(err)
	}
	publish(t, dir, "two", someAdapter(4))
	scan(t, e)
	if _, errs := e.Predict(t.Context(), Request{Name: "mixed", Input: Input{Tensor: tensor(1)}}); errs[0] == nil || !strings.Contains(errs[0].Error(), "labels differ") {
		t.Errorf("mixed: %v", errs[0])
	}
	if err := ask(); err == nil || !strings.Contains(err.Error(), "ask for one of the versions") {
		t.Errorf("an ambiguous name: %v", err)
	}
}
