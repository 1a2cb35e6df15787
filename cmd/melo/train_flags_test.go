package main

import (
	"reflect"
	"testing"

	"melo.example/melo/experiment"
)

// TestTrainDefaults: the defaults of the flags are those of the library.
func TestTrainDefaults(t *testing.T) {
	o := parseTrain(t, "train", "--base", "b", "--data", "d", "--out", "o.safetensors")
	want := experiment.Defaults()
	want.Out = "o.safetensors"
	if got := *o.options(); !reflect.DeepEqual(got, want) {
		t.Errorf("flags %+v\nlibrary %+v", got, want)
	}
}
