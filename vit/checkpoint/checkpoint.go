// Package checkpoint reads and writes bases as they lie on disk: the configurations and names of Hugging Face and timm
// on one side, an [arch.Config] and its parameters as plain numbers on the other. It lays nothing out for computing.
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

// Description is what a base is, apart from its weights.
type Description struct {
	arch.Config
	Recipe imaging.Recipe // how an image becomes the input
	// RecipeNote says how the recipe was chosen where no file gives it, in words for a person. Where nothing decides it,
	// the note is ErrNoRecipe's, and the recipe has a Size alone.
	RecipeNote string
	Notes      []string // what was chosen where a file holds more than one model
	Labels     []string // class names of the base's own head, nil if unknown
	// Problem is what its own head was trained for, as transformers calls it (problem_type); empty if unknown.
	Problem string
}

// Checkpoint is an open base. Every parameter of its Config is there and has the right shape, and every tensor of the
// file is used, or ignored by a rule. Values are read, converted and checked one parameter at a time.
type Checkpoint struct {
	Description
	Path string // where it was opened, for messages

	src   *source
	file  *safetensors.File
	names *naming
	// translated says that the names are timm's, but not those of the file
	translated bool
	values     map[string]value // by the names of Config.Params
}

// value says where the numbers of a parameter are.
type value struct {
	shape []int
	parts []part                               // one after another
	edit  func(v []float32) ([]float32, error) // what becomes of the file's numbers, nil: nothing
}

// part is a range of the numbers of a tensor.
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

// Files tells which files hold the weights, an index and its shards or one, and what identifies the network that is read from
// them beside their names and times. There are none of a base that is not on disk.
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

// View returns the numbers of a parameter where they lie in the file, not checked for being finite, if they lie there as
// float32 and in one piece. It is read-only; what is behind its length up to its capacity belongs to the same tensor.
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

// Read writes the numbers of a parameter to dst, or to new memory if dst is too small, and returns them. The error
// names the tensor if it has another type than a floating-point one, or a number that is not finite.
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

// Forget says that the numbers of a parameter will not be read again soon, so that they need not stay in memory.
func (c *Checkpoint) Forget(name string) {
	for _, p := range c.value(name).parts {
		if p.to == p.t.Len() {
			p.t.Forget()
		}
	}
}

// NotFinite returns the error about a number of the parameter that is not finite, nil if there is none.
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

// read converts the numbers to float32, some at a time on all cores, and refuses those that are not finite.
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
			_, _ = chunk.Float32s(dst[lo:hi]) // the type was checked, and dst has the length
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
