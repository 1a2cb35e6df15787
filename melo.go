package melo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"melo.example/melo/bases"
	"melo.example/melo/compute"
	"melo.example/melo/imaging/processor"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/lora/ensemble"
	"melo.example/melo/lora/trust"
	"melo.example/melo/memo"
	"melo.example/melo/vit"
)

// Base is a frozen backbone in memory, with the workers that run it. It is safe for concurrent use: calls
// prepare their images at the same time and take turns at the backbone. Close it when done.
type Base struct {
	model   *vit.Model
	weights *bases.Weights
	pool    *compute.Pool
	batch   int
	form    settings // options that it was opened with
	known   *memo.Cache

	mu     sync.Mutex     // guards the fields below, and engines of adapters' own networks
	run    compute.Engine // created on first use
	closed bool
}

// Option is an option of Open and OpenFor.
type Option func(*settings)

type settings struct {
	workers, batch, image int
	precision             Precision
	report                func(reason string)
	remember              string
	prepare               processor.Override
	heads                 int
	policy                *trust.Policy
}

// Trusting refuses adapters that the policy does not trust. Signatures are read from the files next to the
// adapters. Names in the policy are not compared with names of files, because the caller has chosen the file.
func Trusting(p *trust.Policy) Option { return func(s *settings) { s.policy = p } }

// Prepare overrides the preprocessing given by the base's files. heads is the number of attention heads, for
// files that lack it; 0 means the number in the files.
func Prepare(p processor.Override, heads int) Option {
	return func(s *settings) { s.prepare, s.heads = p, heads }
}

// Workers sets the number of workers; 0, the default, means all cores. Results do not depend on it.
func Workers(n int) Option { return func(s *settings) { s.workers = n } }

// Batch sets the maximum number of images per forward pass, 8 by default. It determines the memory of a pass;
// results do not depend on it.
func Batch(n int) Option { return func(s *settings) { s.batch = n } }

// ImageSize sets the side of the input in pixels; position embeddings are resized for it. 0, the default, means
// that of the base or, with OpenFor, that of the adapter.
func ImageSize(n int) Option { return func(s *settings) { s.image = n } }

// Remember caches digests of bases and results of self-tests in the folder dir, so that the next start need not
// read a whole unchanged base again. The folder may be deleted at any time.
func Remember(dir string) Option { return func(s *settings) { s.remember = dir } }

// maxBatch limits Batch, to catch typing errors.
const maxBatch = 4096

// Open opens a base: a folder with config.json and model.safetensors (or shards and their index), a
// .safetensors file, or "embedded", the small base that is part of the program. It checks the weights, and
// packs them for the kernels.
func Open(path string, options ...Option) (*Base, error) {
	s, err := apply(options)
	if err != nil {
		return nil, err
	}
	return openBase(path, s, false)
}

func apply(options []Option) (settings, error) {
	s := settings{batch: 8}
	for _, o := range options {
		o(&s)
	}
	if s.batch < 1 || s.batch > maxBatch {
		return s, fmt.Errorf("melo: batch of %d images, expected 1 to %d", s.batch, maxBatch)
	}
	return s, nil
}

func openBase(path string, s settings, identify bool) (*Base, error) {
	pool, known := compute.NewPool(s.workers), memo.New(s.remember)
	m, weights, err := bases.OpenWithWeights(path, vit.Options{Image: s.image, Workers: pool, Precision: s.precision, Known: known, Prepare: s.prepare, Heads: s.heads}, identify)
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &Base{model: m, weights: weights, pool: pool, batch: s.batch, form: s, known: known}, nil
}

// OpenFor opens an adapter together with its base: the one at basePath or, if that is empty, the one at the
// path recorded in the adapter (relative to the working folder, or to the adapter's folder).
func OpenFor(adapterPath, basePath string, options ...Option) (*Base, *Adapter, error) {
	s, err := apply(options)
	if err != nil {
		return nil, nil, err
	}
	if ensemble.Is(adapterPath) {
		first, err := firstOf(adapterPath)
		if err != nil {
			return nil, nil, err
		}
		b, _, err := OpenFor(first, basePath, options...)
		if err != nil {
			return nil, nil, fmt.Errorf("melo: %s: %w", adapterPath, err)
		}
		a, err := b.Adapter(adapterPath)
		if err != nil {
			return nil, nil, errors.Join(err, b.Close(), vit.Release(b.model))
		}
		return b, a, nil
	}
	if adapterfile.Foreign(adapterPath) {
		return openForeign(adapterPath, basePath, s)
	}
	f, err := readAdapter(adapterPath)
	if err != nil {
		return nil, nil, err
	}
	// This is checked before the base is read, which takes longer.
	if _, err := s.policy.CheckFile(f.Path, f.Digest, ""); err != nil {
		return nil, nil, err
	}
	if basePath == "" {
		if basePath, err = findBase(f); err != nil {
			return nil, nil, err
		}
	}
	return openFor(f, basePath, s)
}

// openPair opens the base at path and attaches the adapter to it.
func openPair(f *adapterfile.File, path string, s settings) (*Base, *Adapter, error) {
	b, err := openBase(path, s, f.Meta.Base.Digest != "")
	if err != nil {
		return nil, nil, err
	}
	a, err := b.adapter(f)
	if err != nil {
		return nil, nil, errors.Join(err, b.Close(), vit.Release(b.model)) // no one else uses the model
	}
	return b, a, nil
}

// findBase looks for the base at the path that is recorded in the adapter.
func findBase(f *adapterfile.File) (string, error) {
	hint := f.Meta.Base.PathHint
	if hint == "" {
		return "", fmt.Errorf("melo: %s: does not say where its base %s is: name the base", f.Path, f.Meta.Base.ID)
	}
	if hint == bases.Embedded {
		return hint, nil
	}
	if path, err := bases.Path(hint); err != nil || path != hint {
		if err != nil {
			err = fmt.Errorf("melo: %s: its base: %w: name it, so that it is downloaded", f.Path, err)
		}
		return hint, err
	}
	for _, path := range []string{hint, filepath.Join(filepath.Dir(f.Path), hint)} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("melo: %s: its base: %w", f.Path, err)
		}
	}
	return "", fmt.Errorf("melo: %s: its base is no longer at %s: name the base", f.Path, hint)
}

// Path returns the path at which the base was opened.
func (b *Base) Path() string {
	if b.usable() != nil {
		return ""
	}
	return b.model.Path
}

// Model returns the network, which must not be changed.
func (b *Base) Model() *vit.Model {
	if b.usable() != nil {
		return nil
	}
	return b.model
}

// Digest returns the identity of the loaded weights, "sha256:" and 64 hexadecimal digits, even if the file at
// the base's path was replaced since. The first call may read the whole file.
func (b *Base) Digest() (string, error) {
	if err := b.usable(); err != nil {
		return "", err
	}
	return b.weights.Digest()
}

// errNoBase is returned by methods of a nil base.
var errNoBase = errors.New("melo: no base: got nil")

// usable returns an error for a nil base.
func (b *Base) usable() error {
	if b == nil || b.model == nil {
		return errNoBase
	}
	return nil
}

// errClosed is returned by methods of a closed base.
var errClosed = errors.New("melo: the base is closed")

// Close waits for calls in progress and stops the workers. Later predictions fail.
func (b *Base) Close() error {
	if b.usable() != nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	b.pool.Close()
	return b.weights.Close()
}
