package main

import (
	"fmt"
	"slices"
	"strings"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/text"
	"melo.example/melo/serve"
	"melo.example/melo/serve/host"
	"melo.example/melo/vit"
)

// baseList are the bases of a server. In the environment there is one a line.
type baseList []string

// Validate refuses what goes with several bases alone.
func (o *serveOptions) validateBases() error {
	switch {
	case len(o.Base) == 1 && (o.BaseMemory > 0 || len(o.Pin) > 0 || len(o.BasePrecision) > 0):
		return fmt.Errorf("--base-memory, --pin and --base-precision are about several bases; there is one, which stays in memory in --precision")
	case o.BaseMemory < 0:
		return fmt.Errorf("--base-memory %d, expected 0 or more", o.BaseMemory)
	}
	return nil
}

// basePrecisions are those of single bases, as the engine takes them.
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

// servedBase is one of several bases.
type servedBase struct {
	Name      string `json:"name"`
	Path      string `json:"path"` // as --base has it
	Digest    string `json:"digest"`
	Precision string `json:"precision"`
	Pinned    bool   `json:"pinned"`
	Bytes     int64  `json:"bytes"`    // of memory, by estimate
	Adapters  int    `json:"adapters"` // that belong to it
}

func servedBases(list []serve.BaseStatus) []servedBase {
	var out []servedBase
	for _, b := range list {
		out = append(out, servedBase{Name: b.Name, Path: b.Path, Digest: b.Digest, Precision: b.Precision, Pinned: b.Pinned, Bytes: b.Bytes, Adapters: b.Adapters})
	}
	return out
}

// line says it to a person.
func (b *servedBase) line() string {
	stays := ""
	if b.Pinned {
		stays = ", stays in memory"
	}
	return fmt.Sprintf("%s, %s, about %s, %d adapters, %.19s%s", b.Path, b.Precision, text.Bytes(b.Bytes), b.Adapters, b.Digest, stays)
}

// baseMemory is what the bases of a server that are not in memory may come to take.
func baseMemory(list []serve.BaseStatus, budget int64) (bytes int64) {
	for _, b := range list {
		bytes += b.Bytes - b.Resident
	}
	if budget > 0 {
		bytes = min(bytes, budget)
	}
	return bytes
}

// splitLines takes the bases of the environment, or of a file of settings, apart.
func splitLines(s string) (list []any) {
	for line := range strings.Lines(s) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			list = append(list, line)
		}
	}
	return list
}
