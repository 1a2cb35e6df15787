package main

import (
	"fmt"
	"slices"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/serve"
	"melo.example/melo/serve/host"
	"melo.example/melo/vit"
)

// validateBases rejects options that require several bases.
func (o *serveOptions) validateBases() error {
	switch {
	case len(o.Base) == 1 && (len(o.Pin) > 0 || len(o.BasePrecision) > 0):
		return fmt.Errorf("--pin and --base-precision are about several bases; there is one, which stays in memory in --precision")
	case o.BaseMemory < 0:
		return fmt.Errorf("--base-memory %d, expected 0 or more", o.BaseMemory)
	}
	return nil
}

// basePrecisions returns the values of --base-precision, by base.
func (o *serveOptions) basePrecisions() (map[string]vit.Precision, error) {
	found := map[string]vit.Precision{}
	for name, value := range o.BasePrecision {
		p, err := vit.ParsePrecision(value)
		if err == nil && !vit.Supports(p) {
			err = fmt.Errorf("this CPU (%s) has no instructions for it", kernel.Name())
		}
		i := slices.IndexFunc(o.Base, func(path string) bool { return path == name || host.BaseName(path) == name })
		if err == nil && i < 0 {
			err = fmt.Errorf("is none of the bases")
		}
		if err != nil {
			return nil, usage(fmt.Errorf("--base-precision %s=%s: %w", name, value, err))
		}
		found[o.Base[i]] = p
	}
	return found, nil
}

// baseMemory returns the additional memory in bytes that a server with several bases may use for bases that are
// not loaded yet, and for the networks of fully fine-tuned adapters.
func baseMemory(e *serve.Engine, budget int64) (bytes int64) {
	if e.Several() {
		for _, b := range e.Bases() {
			bytes += b.Bytes - b.Resident
		}
	}
	for _, a := range e.Registry().List() {
		bytes += a.Own
	}
	bytes -= e.Stats().TunedBytes
	if budget > 0 {
		bytes = min(bytes, budget)
	}
	return bytes
}
