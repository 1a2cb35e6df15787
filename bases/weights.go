package bases

import (
	"errors"
	"fmt"
	"sync"

	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/memo"
	"melo.example/melo/vit"
)

// Weights are the files that a base was loaded from. They stay open, so that the digest is that of what was loaded,
// whatever comes to lie at the path later. Close them when done.
type Weights struct {
	name   string
	files  *adapterfile.BaseFiles // nil: the embedded base, or files that have no digest
	failed error                  // why they have none
	digest func() (string, error)
	once   sync.Once
}

// OpenWithWeights is [Open], and the files that were loaded. It fails if they change meanwhile. With identify their digest is
// computed at the same time.
func OpenWithWeights(name string, o vit.Options, identify bool) (*vit.Model, *Weights, error) {
	w, err := openWeights(name, o.Known)
	if err != nil {
		return nil, nil, err
	}
	var group sync.WaitGroup
	if identify {
		group.Go(func() { _, _ = w.Digest() }) // the error comes again
	}
	m, err := Open(name, o)
	group.Wait()
	if err == nil {
		err = w.Unchanged()
	}
	if err != nil {
		return nil, nil, errors.Join(err, w.Close())
	}
	return m, w, nil
}

func openWeights(name string, known *memo.Cache) (*Weights, error) {
	if name == Embedded {
		return &Weights{name: name, digest: embeddedDigest}, nil
	}
	path, err := Path(name)
	if err != nil {
		return nil, err
	}
	w := &Weights{name: name}
	if w.files, w.failed = adapterfile.OpenBaseFiles(path); w.failed == nil {
		w.digest = sync.OnceValues(func() (string, error) { return w.files.Digest(known) })
	}
	return w, nil
}

// Digest returns the identity of the weights, "sha256:" and 64 hexadecimal digits. The first call may read the files. It is
// an error if they were written to since they were opened.
func (w *Weights) Digest() (string, error) {
	if w.failed != nil {
		return "", w.failed
	}
	return w.digest()
}

// Unchanged returns an error if other files, or other bytes, lie at the path now.
func (w *Weights) Unchanged() error {
	if w.files == nil {
		return nil
	}
	if err := w.files.Unchanged(); err != nil {
		return fmt.Errorf("bases: %s: %w", w.name, err)
	}
	return nil
}

// Close lets go of the files. Digest keeps what it has found.
func (w *Weights) Close() (err error) {
	w.once.Do(func() {
		if w.files != nil {
			err = w.files.Close()
		}
	})
	return err
}
