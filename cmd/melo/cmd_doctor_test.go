package main

import (
	"runtime"
	"testing"
)

func TestDoctor(t *testing.T) {
	var doc doctorDocument
	melo(t, "doctor", "--json").want(t, exitDone).decode(t, &doc)
	if doc.Machine.Cores != runtime.NumCPU() || doc.Machine.CPUClass == "" {
		t.Errorf("got %+v", doc.Machine)
	}
	melo(t, "doctor").want(t, exitDone)
}
