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

// set is what the plain Go code must know about a kernel set.
type set struct {
	id    setID
	name  string
	lanes int          // float32 in a vector
	micro [elems]tiles // by the type of the elements; nil if the CPU lacks the instructions
	// Numbers of I8 are bytes from 0 to mostLeft on the left and from -mostRight to mostRight on the right, in
	// rows of a multiple of wordStep words, of which a micro-kernel takes so many at once. Where it sums in int16,
	// mostSum bounds the magnitudes on the right that meet in one sum; else it is 0.
	mostLeft, mostRight, mostSum float32
	wordStep                     int
	// chain is the most terms that one chain of multiply-adds has (docs/numerics.md). Shorter chains keep
	// the part of B that is in use in the first-level cache, which tiles of few rows read often.
	chain int
}

// tiles are the micro-kernels by rows and vectors of the tile, each less one.
type tiles [][2]func(*tile)

// panel is the number of columns of a packed panel: the width of the largest tile.
func (s *set) panel() int { return 2 * s.lanes }

// rows is the height of the largest tile for elements of type e.
func (s *set) rows(e Elem) int { return len(s.micro[e]) }

// maxPanel and maxRows bound the tile of any kernel set.
const (
	maxPanel = 32
	maxRows  = 14
)

// current is the kernel set in use. It is chosen once, from what the CPU has.
var current = sets()[0]

// Name returns the kernel set in use: "avx512", "avx2", "neon" or "portable".
func Name() string { return current.name }

// Names returns the kernel sets that this machine can run, the fastest first.
func Names() []string {
	var names []string
	for _, s := range sets() {
		names = append(names, s.name)
	}
	return names
}

// Use selects a kernel set by name, for tests and comparisons. What was packed for another set must not
// be used afterwards, and nothing may run meanwhile.
func Use(name string) error {
	for _, s := range sets() {
		if s.name == name {
			current = s
			return nil
		}
	}
	return fmt.Errorf("kernel: no kernel set %q on this machine, expected one of %s", name, strings.Join(Names(), ", "))
}

// sets returns the kernel sets that this machine can run, the fastest first.
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
