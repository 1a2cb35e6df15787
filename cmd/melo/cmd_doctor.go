package main

import (
	"cmp"
	"errors"
	"strings"

	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/sysinfo"
	"melo.example/melo/internal/text"
)

// doctorOptions are the options of "melo doctor", which has none.
type doctorOptions struct{}

// Help returns the long help text.
func (doctorOptions) Help() string {
	return `Shows the CPU and its features, the compute kernels chosen for it and whether they pass their self-tests, and
system limits that matter.

Examples:

    melo doctor
    melo --json doctor` + exitHelp
}

// doctorDocument is the --json document of "melo doctor".
type doctorDocument struct {
	Version buildinfo.Program `json:"version"`
	Machine sysinfo.Machine   `json:"machine"`
	Kernels doctorKernels     `json:"kernels"`
}

// doctorKernels are the kernel sets of this machine.
type doctorKernels struct {
	Set       string   `json:"set"`       // in use
	Available []string `json:"available"` // supported by this machine, fastest first
	SelfTest  string   `json:"self_test"` // "ok", or the error
}

// Run examines the machine and prints the result.
func (doctorOptions) Run(s *stdio) error {
	doc := doctorDocument{Version: buildinfo.This(), Machine: sysinfo.This(), Kernels: doctorKernels{kernel.Name(), kernel.Names(), "ok"}}
	fault := testKernels(kernel.Names())
	if fault != nil {
		doc.Kernels.SelfTest = fault.Error()
	}
	m := doc.Machine
	s.printf("melo     %s, %s", doc.Version.Version, doc.Version.Go)
	s.printf("CPU      %s (%s/%s)", cmp.Or(m.CPU, "unknown"), m.OS, m.Arch)
	s.printf("class    %s", m.CPUClass)
	s.entry("features ", "%s", strings.Join(m.Features, " "))
	s.printf("kernels  %s (this machine can run %s)", doc.Kernels.Set, strings.Join(doc.Kernels.Available, ", "))
	s.printf("test     %s", doc.Kernels.SelfTest)
	s.printf("cores    %d, by default %s", m.Cores, text.Plural(m.Workers, "worker", "workers"))
	if m.Memory > 0 {
		s.printf("memory   %s", text.Bytes(m.Memory))
	}
	if err := s.document(doc); err != nil {
		return err
	}
	return fault
}

// testKernels compares the results of each kernel set with plain loops in Go.
func testKernels(sets []string) error {
	inUse := kernel.Name()
	for _, name := range sets {
		if err := errors.Join(kernel.Use(name), kernel.SelfTest(), kernel.Use(inUse)); err != nil {
			return err
		}
	}
	return nil
}
