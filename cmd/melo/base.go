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

// baseForm says how to load a base.
type baseForm struct {
	precision vit.Precision
	image     int // side of the input in pixels; 0: the base's own
	heads     int // number of attention heads, for files that lack it
	prepare   processor.Override
	apart     bool // do not use the cache file of packed weights, which would stay memory-mapped
}

// openBase opens the frozen backbone given with --base: a folder, a file, "embedded", or "hf:owner/name" after
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

// parsePrecision parses the value of --precision. auto is the meaning of "auto" for the command.
func parsePrecision(s string, auto vit.Precision) (vit.Precision, error) {
	if s == "auto" {
		return auto, nil
	}
	p, err := vit.ParsePrecision(s)
	return p, usage(err)
}

// cacheDir returns the folder for facts about files that the program remembers, empty if the system has none.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "melo")
}
