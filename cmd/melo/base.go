package main

import (
	"fmt"
	"strings"

	"melo/internal/kernel"
	"melo/vit"
)

// openBase opens the frozen backbone that --base names, a folder or a file, in a precision.
func openBase(path string, ex *kernel.Exec, p vit.Precision) (*vit.Model, error) {
	if err := checkBasePath(path); err != nil {
		return nil, err
	}
	m, err := vit.Open(path, vit.Options{Exec: ex, Precision: p})
	if err != nil {
		return nil, badInput(err)
	}
	return m, nil
}

// checkBasePath refuses the values of --base that this version cannot serve.
func checkBasePath(path string) error {
	switch {
	case path == "embedded":
		return usage(fmt.Errorf("--base embedded: this version has no embedded base: give a folder or a file"))
	case strings.HasPrefix(path, "hf:"):
		return usage(fmt.Errorf("--base %s: this version does not download: give a folder or a file", path))
	}
	return nil
}

// parsePrecision reads the value of --precision; auto is what "auto" means for the command.
func parsePrecision(s string, auto vit.Precision) (vit.Precision, error) {
	if s == "auto" {
		return auto, nil
	}
	p, err := vit.ParsePrecision(s)
	return p, usage(err)
}
