package main

import (
	"fmt"
	"strings"

	"melo/internal/kernel"
	"melo/vit"
)

// openBase opens the frozen backbone that --base names: a folder or a file.
func openBase(path string, ex *kernel.Exec) (*vit.Model, error) {
	switch {
	case path == "embedded":
		return nil, usage(fmt.Errorf("--base embedded: this version has no embedded base: give a folder or a file"))
	case strings.HasPrefix(path, "hf:"):
		return nil, usage(fmt.Errorf("--base %s: this version does not download: give a folder or a file", path))
	}
	m, err := vit.Open(path, vit.Options{Exec: ex})
	if err != nil {
		return nil, badInput(err)
	}
	return m, nil
}
