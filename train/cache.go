package train

import (
	"context"
	"errors"
	"iter"
	"slices"

	"melo.example/melo/dataset"
)

// Split is a Model with a frozen first part. The output of that part for an image need not be computed twice.
type Split interface {
	Model
	// PrefixSize is the number of values per image that the frozen part computes; 0 if nothing is frozen.
	PrefixSize() int
	// Prefix runs the frozen part on n images into dst [n, PrefixSize].
	Prefix(dst, images []float32, n int)
	// ForwardFrom continues Forward from the output of Prefix.
	ForwardFrom(prefix []float32, n int, training bool) []float32
}

// Source is Data that lists its samples; *dataset.Loader is one.
type Source interface {
	Data
	Samples() int
	Bad() []dataset.BadFile
	// Plan returns the samples of each batch of an epoch, including unreadable ones.
	Plan(epoch int) [][]int
}

// Cache replaces a Split and its Source: as data it yields batches of prefixes, and as a model it accepts them
// as images. So every sample is loaded and passed through the frozen part only once. The source must not
// augment its images. The results are the same as without a Cache, bit for bit. Close it after use.
type Cache struct {
	Split
	source   Source
	prefixes *prefixes
	kept     map[int]kept // by sample
	batch    dataset.Batch
	scratch  []float32
}

// kept holds what is known of a sample besides its prefix.
type kept struct {
	label   int
	targets []float32
}

// NewCache returns an empty cache. It grows to Samples * PrefixSize values.
func NewCache(model Split, source Source, limits CacheLimits) *Cache {
	return &Cache{Split: model, source: source, prefixes: newPrefixes(model.PrefixSize(), limits), kept: map[int]kept{}}
}

// Close removes the cache's file.
func (c *Cache) Close() error { return c.prefixes.close() }

// Forward accepts prefixes, as the batches of EpochFrom contain them.
func (c *Cache) Forward(prefixes []float32, n int, training bool) []float32 {
	return c.ForwardFrom(prefixes, n, training)
}

// Batches returns the number of batches in an epoch.
func (c *Cache) Batches() int { return c.source.Batches() }

// EpochFrom yields the batches of an epoch with prefixes instead of images.
func (c *Cache) EpochFrom(ctx context.Context, epoch, from int) iter.Seq2[*dataset.Batch, error] {
	if len(c.kept)+len(c.source.Bad()) == c.source.Samples() {
		return c.fromMemory(ctx, epoch, from)
	}
	return func(yield func(*dataset.Batch, error) bool) {
		for b, err := range c.source.EpochFrom(ctx, epoch, from) {
			if err != nil {
				yield(nil, err)
				return
			}
			if err = c.keep(b); err == nil {
				b, err = c.gather(b.Number, b.Indices)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// fromMemory yields batches when all samples are cached.
func (c *Cache) fromMemory(ctx context.Context, epoch, from int) iter.Seq2[*dataset.Batch, error] {
	return func(yield func(*dataset.Batch, error) bool) {
		for number, samples := range c.source.Plan(epoch) {
			if number < from {
				continue
			}
			b, err := c.gather(number, samples)
			if err = errors.Join(ctx.Err(), err); err != nil {
				yield(nil, err)
				return
			}
			if b.N > 0 && !yield(b, nil) {
				return
			}
		}
	}
}

// keep computes the prefixes of a batch's new samples, in passes.
func (c *Cache) keep(b *dataset.Batch) error {
	size, values, labels := c.PrefixSize(), len(b.Images)/b.N, len(b.Targets)/b.N
	for i := 0; i < b.N; i += c.MaxBatch() {
		n := min(c.MaxBatch(), b.N-i)
		if c.hasAll(b.Indices[i : i+n]) {
			continue
		}
		c.scratch = slices.Grow(c.scratch[:0], n*size)[:n*size]
		c.Prefix(c.scratch, b.Images[i*values:(i+n)*values], n)
		for k, s := range b.Indices[i : i+n] {
			if _, ok := c.kept[s]; ok {
				continue
			}
			if err := c.prefixes.put(s, c.scratch[k*size:(k+1)*size]); err != nil {
				return err
			}
			c.kept[s] = kept{label: b.Labels[i+k], targets: slices.Clone(b.Targets[(i+k)*labels : (i+k+1)*labels])}
		}
	}
	return nil
}

func (c *Cache) hasAll(samples []int) bool {
	for _, s := range samples {
		if _, ok := c.kept[s]; !ok {
			return false
		}
	}
	return true
}

// gather makes a batch of cached samples. It is valid until the next call.
func (c *Cache) gather(number int, samples []int) (*dataset.Batch, error) {
	b := &c.batch
	*b = dataset.Batch{Number: number, Indices: b.Indices[:0], Images: b.Images[:0], Labels: b.Labels[:0], Targets: b.Targets[:0]}
	for _, s := range samples {
		k, ok := c.kept[s]
		if !ok {
			continue // unreadable
		}
		b.N++
		b.Indices, b.Labels, b.Targets = append(b.Indices, s), append(b.Labels, k.label), append(b.Targets, k.targets...)
		var err error
		if b.Images, err = c.prefixes.appendTo(b.Images, s); err != nil {
			return nil, err
		}
	}
	return b, nil
}
