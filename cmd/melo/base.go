package main

import (
	"fmt"
	"strings"

	"melo/bases"
	"melo/internal/kernel"
	"melo/vit"
)

// baseForm is how a base lies in memory.
type baseForm struct {
	precision vit.Precision
	image     int // side of the input in pixels; 0: the base's own
}

// openBase opens the frozen backbone that --base names: a folder, a file, or "embedded".
func openBase(path string, ex *kernel.Exec, form baseForm) (*vit.Model, error) {
	if err := checkBasePath(path); err != nil {
		return nil, err
	}
	m, err := bases.Open(path, vit.Options{Image: form.image, Exec: ex, Precision: form.precision})
	if err != nil {
		return nil, badInput(err)
	}
	return m, nil
}

// checkBasePath refuses the values of --base that this version cannot serve.
func checkBasePath(path string) error {
	if strings.HasPrefix(path, "hf:") {
		return usage(fmt.Errorf("--base %s: this version does not download: give a folder, a file or embedded", path))
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
