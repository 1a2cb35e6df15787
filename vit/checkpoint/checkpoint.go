// Package checkpoint reads and writes bases on disk. It translates between the configurations and tensor names
// of Hugging Face, timm and others, and an [arch.Config] with its parameters in row-major float32. Packing
// weights for a kernel is left to the engines.
package checkpoint

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync/atomic"

	"melo.example/melo/imaging"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/arch"

	"golang.org/x/sync/errgroup"
)

// Description is everything about a base apart from its weights.
type Description struct {
	arch.Config
	Recipe imaging.Recipe // preprocessing: how an image becomes the input
	// RecipeNote tells a person how the recipe was chosen if no file gives it. If nothing determines it, the
	// note is the text of ErrNoRecipe, and only the recipe's Size is set.
	RecipeNote string
	Notes      []string // choices made where a file holds more than one model
	Labels     []string // class names of the base's own head, nil if unknown
	// Problem is what the base's own head was trained for, in the terms of transformers' problem_type; empty if
	// unknown.
	Problem string
}

// Checkpoint is an open base. Every parameter of its Config is present with the right shape, and every tensor
// of the file is either used or ignored by a rule. Values are read, converted and checked one parameter at a
// time.
type Checkpoint struct {
	Description
	Path string // where it was opened; used in messages

	src   *source
	file  *safetensors.File
	names *naming
	// translated reports that the tensors have been renamed to timm's names
	translated bool
	values     map[string]value // by the names of Config.Params
}

// value says where the values of a parameter are stored.
type value struct {
	shape []int
	parts []part                               // to be concatenated
	edit  func(v []float32) ([]float32, error) // changes the values that were read; nil: no change
}

// part is a range of the values of a tensor.
type part struct {
	t        safetensors.Tensor
	from, to int
}

func (v *value) stored() int {
	n := 0
	for _, p := range v.parts {
		n += p.to - p.from
	}
	return n
}

// Close releases the file. Views become invalid.
func (c *Checkpoint) Close() error { return c.file.Close() }

// Files returns the weight files (one, or an index and its shards), and config, bytes that identify the network
// read from them together with their names and times. There are no files if the base is not on disk.
func (c *Checkpoint) Files() (files []string, config []byte) {
	switch {
	case c.src.memory:
		return nil, nil
	case !c.src.sharded:
		return []string{c.src.weights}, c.src.files.Config
	}
	files = []string{c.src.weights}
	seen := map[string]bool{}
	for _, name := range c.file.Names() {
		if t, _ := c.file.Tensor(name); !seen[t.File] {
			seen[t.File] = true
			files = append(files, t.File)
		}
	}
	slices.Sort(files[1:])
	return files, c.src.files.Config
}

// View returns the values of a parameter in place if the file stores them as float32 and contiguously. They are
// not checked for being finite, and must not be modified. Memory between length and capacity belongs to the
// same tensor.
func (c *Checkpoint) View(name string) ([]float32, bool) {
	v := c.value(name)
	if v.edit != nil || len(v.parts) != 1 {
		return nil, false
	}
	p := v.parts[0]
	all, ok := p.t.F32View()
	if !ok {
		return nil, false
	}
	return all[p.from:p.to], true
}

// Read writes the values of a parameter to dst, or to new memory if dst is too small, and returns them. It
// returns an error that names the tensor if its type is not a floating-point type or a value is not finite.
func (c *Checkpoint) Read(name string, dst []float32) ([]float32, error) {
	v := c.value(name)
	n := v.stored()
	if cap(dst) < n || v.edit != nil {
		dst = make([]float32, n)
	}
	dst = dst[:n]
	at := 0
	for _, p := range v.parts {
		if err := p.read(dst[at : at+p.to-p.from]); err != nil {
			return nil, err
		}
		at += p.to - p.from
	}
	if v.edit != nil {
		return v.edit(dst)
	}
	return dst, nil
}

// Forget tells the operating system that the values of a parameter will not be read again soon and need not
// stay in memory.
func (c *Checkpoint) Forget(name string) {
	for _, p := range c.value(name).parts {
		if p.to == p.t.Len() {
			p.t.Forget()
		}
	}
}

// NotFinite returns an error about a value of the parameter that is not finite, or nil if all are finite.
func (c *Checkpoint) NotFinite(name string) error {
	_, err := c.Read(name, nil)
	return err
}

// Verify reads every parameter, one at a time, and returns the first error.
func (c *Checkpoint) Verify() error {
	var scratch []float32
	for _, p := range c.Params() {
		v, err := c.Read(p.Name, scratch)
		if err != nil {
			return err
		}
		if cap(v) > cap(scratch) {
			scratch = v
		}
		c.Forget(p.Name)
	}
	return nil
}

func (c *Checkpoint) value(name string) value {
	v, ok := c.values[name]
	if !ok {
		panic(fmt.Sprintf("checkpoint: the network has no parameter %q", name))
	}
	return v
}

const readChunk = 1 << 16

// read converts the values to float32, in chunks on all cores, and returns an error if one is not finite.
func (p part) read(dst []float32) error {
	if _, err := (safetensors.Tensor{Name: p.t.Name, DType: p.t.DType, File: p.t.File}).Float32s(dst[:0]); err != nil {
		return fmt.Errorf("vit: %w", err)
	}
	var bad atomic.Bool
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	size := p.t.DType.Size()
	do := func(lo int) error {
		return safetensors.Guard(p.t.File, func() error {
			hi := min(lo+readChunk, len(dst))
			chunk := p.t
			chunk.Data = p.t.Data[(p.from+lo)*size : (p.from+hi)*size]
			_, _ = chunk.Float32s(dst[lo:hi]) // cannot fail: the type was checked, and dst has the right length
			if !finite(dst[lo:hi]) {
				bad.Store(true)
			}
			return nil
		})
	}
	for lo := 0; lo < len(dst); lo += readChunk {
		if len(dst) <= readChunk {
			if err := do(lo); err != nil {
				return fmt.Errorf("vit: %w", err)
			}
			break
		}
		group.Go(func() error { return do(lo) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("vit: %w", err)
	}
	if bad.Load() {
		i := slices.IndexFunc(dst, func(v float32) bool { return !finite([]float32{v}) })
		return fmt.Errorf("vit: %s: tensor %q: value %d is %v, expected finite numbers", p.t.File, p.t.Name, p.from+i, dst[i])
	}
	return nil
}

func finite(values []float32) bool {
	const exponent = 0xff << 23
	ok := true
	for _, v := range values {
		ok = ok && math.Float32bits(v)&exponent != exponent
	}
	return ok
}
