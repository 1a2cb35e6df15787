package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/predictions"
)

// TestEnsembleCommand: a list of adapters is made, answers, explains, and stands beside others in a folder.
func TestEnsembleCommand(t *testing.T) {
	data := table(t, trainingSet(t, 2, 14), "label")
	dir := t.TempDir()
	var paths []string
	for _, seed := range []string{"1", "2"} {
		path := filepath.Join(dir, "busi-"+seed+".safetensors")
		melo(t, trainArgs(data, path, "--seed", seed)...).want(t, exitDone)
		paths = append(paths, path)
	}
	list := filepath.Join(dir, "busi.ensemble.json")
	melo(t, append([]string{"ensemble", "--out", list}, paths...)...).want(t, exitDone)
	image := pictures(t, 1)[0]
	probability := func(adapter string) float64 {
		var doc predictions.Document
		if err := json.Unmarshal([]byte(melo(t, "--json", "predict", "--adapter", adapter, image).want(t, exitDone).out), &doc); err != nil {
			t.Fatal(err)
		}
		return doc.Results[0].Probabilities[1]
	}
	if got, want := probability(list), (probability(paths[0])+probability(paths[1]))/2; got < want-1e-6 || got > want+1e-6 {
		t.Errorf("probability %v, the mean is %v", got, want)
	}
	if r := melo(t, "--json", "predict", "--adapters", dir, image).want(t, exitDone); !strings.Contains(r.out, "busi.ensemble.json") {
		t.Errorf("beside others: %s", r.out)
	}
	melo(t, "explain", "--adapter", list, "--out", filepath.Join(dir, "maps"), image).want(t, exitDone)
	if doc := evaluate(t, list, data); doc.Adapter.Path != list || !doc.Data.Training {
		t.Errorf("evaluated %+v on %+v", doc.Adapter, doc.Data)
	}
	melo(t, "predict", "--adapter", list, "--coverage", "0.9", image).want(t, exitBadInput)
	melo(t, "ensemble", "--out", filepath.Join(dir, "x.json"), paths[0], paths[1]).want(t, exitFailed)
	melo(t, "ensemble", "--out", list, paths[0]).want(t, exitBadInput)
}
