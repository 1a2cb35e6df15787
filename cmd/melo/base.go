package main

import (
	"os"
	"path/filepath"

	"melo.example/melo/bases"
	"melo.example/melo/compute"
	"melo.example/melo/imaging/processor"
	"melo.example/melo/memo"
	"melo.example/melo/vit"
)

// baseForm is how a base lies in memory.
type baseForm struct {
	precision vit.Precision
	image     int // side of the input in pixels; 0: the base's own
	heads     int // of attention, for files that do not tell it
	prepare   processor.Override
	apart     bool // packed weights are not kept in, or mapped from, a file, which stays mapped
}

// openBase opens the frozen backbone that --base names: a folder, a file, "embedded", or "hf:owner/name" after
// fetchBase.
func openBase(path string, workers compute.Workers, form baseForm) (*vit.Model, error) {
	opt := vit.Options{Image: form.image, Workers: workers, Precision: form.precision, Heads: form.heads, Prepare: form.prepare}
	if !form.apart {
		opt.Known = memo.New(cacheDir())
	}
	m, err := bases.Open(path, opt)
	if err != nil {
		return nil, badInput(hintPrepare(err))
	}
	return m, nil
}

// parsePrecision reads the value of --precision; auto is what "auto" means for the command.
func parsePrecision(s string, auto vit.Precision) (vit.Precision, error) {
	if s == "auto" {
		return auto, nil
	}
	p, err := vit.ParsePrecision(s)
	return p, usage(err)
}

// cacheDir is where the program remembers what it found out about files; empty if the system has no such
// place.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "melo")
}
