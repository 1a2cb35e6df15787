package kernel

import (
	"fmt"
	"strings"
)

// setID is a kernel set: the instructions that the fast kernels are written in.
type setID uint8

const (
	setPortable setID = iota
	setAVX2
	setAVX512
	setNEON
)

// set describes a kernel set to the plain Go code.
type set struct {
	id    setID
	name  string
	lanes int          // number of float32 values in a vector
	micro [elems]tiles // by element type; nil if the CPU lacks the instructions
	// For I8, values are bytes in [0, mostLeft] on the left and in [-mostRight, mostRight] on the right. Rows
	// have a multiple of wordStep words, the number that a micro-kernel processes at once. If it sums in int16,
	// mostSum limits the sum of the magnitudes on the right that enter one such sum; else mostSum is 0.
	mostLeft, mostRight, mostSum float32
	wordStep                     int
	// chain is the maximum number of terms of one chain of multiply-adds (docs/numerics.md). Shorter chains
	// keep the current part of B in the first-level cache, from which tiles with few rows read often.
	chain int
}

// tiles holds the micro-kernels, indexed by rows - 1 and vectors - 1 of the tile.
type tiles [][2]func(*tile)

// panel returns the number of columns of a packed panel, which is the width of the largest tile.
func (s *set) panel() int { return 2 * s.lanes }

// rows returns the height of the largest tile for elements of type e.
func (s *set) rows(e Elem) int { return len(s.micro[e]) }

// maxPanel and maxRows are upper bounds of the tile size of all kernel sets.
const (
	maxPanel = 32
	maxRows  = 14
)

// current is the kernel set in use. It is chosen once, by the features of the CPU.
var current = sets()[0]

// Name returns the kernel set in use: "avx512", "avx2", "neon" or "portable".
func Name() string { return current.name }

// Names returns the kernel sets that this machine can run, fastest first.
func Names() []string {
	var names []string
	for _, s := range sets() {
		names = append(names, s.name)
	}
	return names
}

// Use selects a kernel set by name, for tests and comparisons. Weights packed for another set must not be used
// afterwards, and no kernel may be running during the call.
func Use(name string) error {
	for _, s := range sets() {
		if s.name == name {
			current = s
			return nil
		}
	}
	return fmt.Errorf("kernel: no kernel set %q on this machine, expected one of %s", name, strings.Join(Names(), ", "))
}

// sets returns the kernel sets that this machine can run, fastest first.
func sets() []*set { return append(fastSets(), portable) }

var portable = &set{id: setPortable, name: "portable", lanes: 8, micro: [elems]tiles{F32: portableTiles()}, chain: 1024}

func portableTiles() tiles {
	var m tiles
	for rows := 1; rows <= 4; rows++ {
		m = append(m, [2]func(*tile){
			func(t *tile) { t.plain(rows, 8) },
			func(t *tile) { t.plain(rows, 16) },
		})
	}
	return m
}
