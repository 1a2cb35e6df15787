package main

import (
	"runtime"
	"slices"
	"testing"
)

func TestDoctor(t *testing.T) {
	var doc doctorDocument
	melo(t, "doctor", "--json").want(t, exitDone).decode(t, &doc)
	if doc.Machine.Cores != runtime.NumCPU() || doc.Machine.CPUClass == "" || !slices.Contains(doc.Kernels.Available, doc.Kernels.Set) ||
		doc.Kernels.SelfTest != "ok" {
		t.Errorf("got %+v", doc)
	}
	melo(t, "doctor").want(t, exitDone)
}
