package dataset

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"melo.example/melo/imaging"
)

// LoaderOptions configures a Loader. The zero value uses the defaults.
type LoaderOptions struct {
	Batch   int  // samples per batch; default 32
	Workers int  // goroutines that decode; default one per core
	Ahead   int  // batches prepared ahead; default 2
	Shuffle bool // use a new order in every epoch
	Seed    uint64
	// Augment configures augmentation; the zero value disables it.
	Augment Augment
	// CacheBytes limits the memory for decoded and resized images, which are then read from disk only once; 0
	// disables the cache. An image for a 224-pixel input takes 50 KB (grey) or 150 KB (colour).
	CacheBytes int64
	// MaxBad is the number of unreadable images that may be skipped (see [Loader.Bad]) before loading fails,
	// including those that [Dataset.Scan] found.
	MaxBad int
	// Limits limits decoding; zero fields mean imaging's defaults.
	Limits imaging.Limits
}

// Batch is a part of an epoch. It is valid until the next one is taken, because its buffers are reused.
type Batch struct {
	Number  int       // index within its epoch, from 0; a batch that lost all samples counts, too
	N       int       // number of samples
	Indices []int     // N indices into [Dataset.Samples]
	Images  []float32 // N x 3 x Size x Size
	Labels  []int     // N indices into [Dataset.Labels]; -1 when the task is MultiLabel
	// N x number of labels: 1 if the sample has the label, 0 if not, [Unknown] if that is not known
	Targets []float32
}

// BadFile is an image that could not be loaded.
type BadFile struct {
	Index int // into [Dataset.Samples]
	Path  string
	Err   error
}

// Loader turns samples into batches. Only one epoch may run at a time.
type Loader struct {
	ds      *Dataset
	indices []int
	recipe  imaging.Recipe
	opt     LoaderOptions

	order   []int
	batches []*pending
	workers []worker
	running atomic.Bool
	wait    atomic.Int64 // nanoseconds spent waiting for batches

	cache     []atomic.Pointer[imaging.Image] // by sample of the data set
	cacheUsed atomic.Int64

	mu     sync.Mutex
	bad    map[int]BadFile
	before int // unreadable images that were not in indices
}

// worker holds the buffers of one goroutine.
type worker struct {
	scratch imaging.Scratch
	fit     imaging.Image
}

// NewLoader returns a Loader for the given samples with a recipe's preprocessing.
func NewLoader(ds *Dataset, indices []int, recipe imaging.Recipe, opt LoaderOptions) (*Loader, error) {
	if err := recipe.Validate(); err != nil {
		return nil, err
	}
	if err := opt.Augment.Validate(); err != nil {
		return nil, err
	}
	if len(indices) == 0 {
		return nil, errors.New("dataset: loader: no samples")
	}
	for _, i := range indices {
		if i < 0 || i >= len(ds.Samples) {
			return nil, fmt.Errorf("dataset: loader: index %d: expected 0 to %d", i, len(ds.Samples)-1)
		}
	}
	if opt.Batch <= 0 {
		opt.Batch = 32
	}
	opt.Batch = min(opt.Batch, len(indices))
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	if opt.Ahead <= 0 {
		opt.Ahead = 2
	}
	l := &Loader{ds: ds, indices: slices.Clone(indices), recipe: recipe, opt: opt, bad: map[int]BadFile{}, before: len(ds.Bad())}
	l.order = slices.Clone(indices)
	l.workers = make([]worker, opt.Workers)
	if opt.CacheBytes > 0 {
		l.cache = make([]atomic.Pointer[imaging.Image], len(ds.Samples))
	}
	return l, nil
}

// Samples returns the number of samples in an epoch.
func (l *Loader) Samples() int { return len(l.indices) }

// Batches returns the number of batches in an epoch.
func (l *Loader) Batches() int { return (len(l.indices) + l.opt.Batch - 1) / l.opt.Batch }

// Plan returns the samples of each batch of an epoch, including unreadable ones. It must not be called while an
// epoch runs.
func (l *Loader) Plan(epoch int) [][]int {
	l.setOrder(epoch)
	plan := make([][]int, 0, l.Batches())
	for at := 0; at < len(l.order); at += l.opt.Batch {
		plan = append(plan, slices.Clone(l.order[at:min(at+l.opt.Batch, len(l.order))]))
	}
	return plan
}

// WaitSeconds returns the total time that epochs have waited for batches.
func (l *Loader) WaitSeconds() float64 { return time.Duration(l.wait.Load()).Seconds() }

// CachedBytes returns the bytes that cached images take.
func (l *Loader) CachedBytes() int64 { return l.cacheUsed.Load() }

// Bad lists the images that could not be loaded so far, ordered by index.
func (l *Loader) Bad() []BadFile {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []BadFile
	for _, b := range l.bad {
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b BadFile) int { return a.Index - b.Index })
	return out
}

// known returns the earlier failure of sample i, if any.
func (l *Loader) known(i int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bad[i].Err
}

// refuse records that sample i cannot be loaded. It returns an error if there are too many of those.
func (l *Loader) refuse(i int, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bad[i] = BadFile{Index: i, Path: l.ds.File(i), Err: err}
	if err := l.ds.gone(err); err != nil {
		return err
	}
	n := len(l.bad) + l.before
	if n <= l.opt.MaxBad {
		return nil
	}
	at := ""
	if s := l.ds.Samples[i].Source; s != "" {
		at = " (" + s + ")"
	}
	if l.opt.MaxBad == 0 {
		return fmt.Errorf("dataset: unreadable image%s: %w", at, err)
	}
	return fmt.Errorf("dataset: %d unreadable images, %d are allowed; the last%s: %w", n, l.opt.MaxBad, at, err)
}

// setOrder shuffles the samples for an epoch, always from the same initial order.
func (l *Loader) setOrder(epoch int) {
	copy(l.order, l.indices)
	if l.opt.Shuffle {
		rng := rand.New(rand.NewPCG(mix(l.opt.Seed^0x6f72646572), mix(uint64(epoch)))) // "order"
		rng.Shuffle(len(l.order), func(i, j int) { l.order[i], l.order[j] = l.order[j], l.order[i] })
	}
}

// load writes the tensor of sample i to dst.
func (l *Loader) load(ctx context.Context, w *worker, i, epoch int, dst []float32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m, err := l.image(ctx, w, i)
	if err != nil {
		return err
	}
	if l.opt.Augment == (Augment{}) {
		return l.recipe.Normalize(m, dst)
	}
	render(dst, m, l.recipe, l.opt.Augment.draw(l.opt.Seed, uint64(epoch), uint64(i)))
	return nil
}

// image returns sample i decoded and resized, from the cache if possible. It is valid until the worker's next
// call.
func (l *Loader) image(ctx context.Context, w *worker, i int) (*imaging.Image, error) {
	if l.cache != nil {
		if m := l.cache[i].Load(); m != nil {
			return m, nil
		}
	}
	if err := l.known(i); err != nil {
		return nil, err
	}
	m, err := l.ds.Image(ctx, i, l.recipe.Decoding(l.opt.Limits))
	if err != nil {
		return nil, err
	}
	collapse(m)
	if err := w.scratch.Fit(l.roomy(m), m, &w.fit); err != nil {
		return nil, fmt.Errorf("%s: %w", l.ds.File(i), err)
	}
	if l.cache == nil {
		return &w.fit, nil
	}
	size := int64(w.fit.W * w.fit.H * w.fit.C * w.fit.Bits / 8)
	if l.cacheUsed.Add(size) > l.opt.CacheBytes {
		l.cacheUsed.Add(-size)
		return &w.fit, nil
	}
	c := w.fit.Clone()
	if !l.cache[i].CompareAndSwap(nil, c) {
		l.cacheUsed.Add(-size)
	}
	return c, nil
}

// roomy returns the recipe with the size at which images are cached: the input's own, or, if crops follow and
// the image has enough pixels, as large as the smallest crop needs to fill the input.
func (l *Loader) roomy(m *imaging.Image) imaging.Recipe {
	r := l.recipe
	if !l.opt.Augment.crops() || r.Fit == imaging.FitNone {
		return r
	}
	most := int(math.Ceil(float64(r.Size) / math.Sqrt(l.opt.Augment.Crop)))
	side := min(max(min(m.W, m.H), r.Size), most, 2*r.Size)
	r.Resize, r.Longest = r.Resize*side/r.Size, r.Longest*side/r.Size
	r.Size = side
	return r
}
