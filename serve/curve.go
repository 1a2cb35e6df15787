package serve

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"sync"
	"time"

	"melo.example/melo/memo"
	"melo.example/melo/vit"
)

// curve is the duration of a pass as a function of the number of images. It is learned from the batches that
// run, starting with values from an earlier process. It determines the batch size: the smallest that comes
// within a few percent of the best throughput, because all requests of a batch are answered at its end. Sizes
// are powers of two, and the maximum.
type curve struct {
	fixed bool // take all that wait: the size was configured
	max   int

	mu      sync.Mutex
	sizes   []int
	seconds []float64 // duration of a pass of sizes[i]; 0: unknown
	samples []int
	seen    []uint64 // index of the batch that measured it last
	batches uint64
}

const (
	enoughSamples = 3    // samples of a size before it is used
	goodEnough    = 0.97 // fraction of the best throughput
	lookAgain     = 64   // one batch in so many measures the size that was not measured for longest
	smoothing     = 0.2  // weight of a new sample
)

func newCurve(most int, fixed bool) *curve {
	c := &curve{fixed: fixed, max: most}
	for n := 1; n < most; n *= 2 {
		c.sizes = append(c.sizes, n)
	}
	c.sizes = append(c.sizes, most)
	c.seconds, c.samples, c.seen = make([]float64, len(c.sizes)), make([]int, len(c.sizes)), make([]uint64, len(c.sizes))
	return c
}

// pick returns how many images to take if queued are waiting.
func (c *curve) pick(queued int) int {
	if c.fixed {
		return min(queued, c.max)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batches++
	n := c.fitting(queued)
	if c.batches%lookAgain == 0 {
		oldest := 0
		for i := range n {
			if c.seen[i] < c.seen[oldest] {
				oldest = i
			}
		}
		return c.sizes[oldest]
	}
	best := 0.0
	for i := range n {
		if c.samples[i] < enoughSamples {
			return c.sizes[i]
		}
		best = max(best, c.rate(i))
	}
	for i := range n {
		if c.rate(i) >= goodEnough*best {
			return c.sizes[i]
		}
	}
	return c.sizes[0]
}

// fitting returns the number of sizes that are at most queued.
func (c *curve) fitting(queued int) int {
	if queued >= c.max {
		return len(c.sizes)
	}
	return bits.Len(uint(queued))
}

// rate returns images per second.
func (c *curve) rate(i int) float64 { return float64(c.sizes[i]) / c.seconds[i] }

// record adds the measurement of a pass.
func (c *curve) record(images int, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, n := range c.sizes {
		if n != images {
			continue
		}
		c.seen[i] = c.batches
		c.samples[i]++
		switch s := max(d.Seconds(), 1e-9); {
		case c.samples[i] == 1:
			c.seconds[i] = s
		case c.samples[i] <= enoughSamples: // the first passes touch new memory
			c.seconds[i] = min(c.seconds[i], s)
		default:
			c.seconds[i] += smoothing * (s - c.seconds[i])
		}
	}
}

// perImage estimates the time of one more image in a long queue; 0 if unknown.
func (c *curve) perImage() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	best := 0.0
	for i, n := range c.seconds {
		if n > 0 {
			best = max(best, c.rate(i))
		}
	}
	if best == 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / best)
}

// perBatch estimates the time of the longest measured pass.
func (c *curve) perBatch() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	longest := 0.0
	for _, s := range c.seconds {
		longest = max(longest, s)
	}
	return time.Duration(longest * float64(time.Second))
}

// points returns the measured sizes.
func (c *curve) points() (list []CurvePoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, n := range c.sizes {
		if c.samples[i] > 0 {
			list = append(list, CurvePoint{Images: n, Seconds: c.seconds[i], Samples: c.samples[i]})
		}
	}
	return list
}

// curveKey contains everything that a curve depends on.
func curveKey(baseDigest string, p fmt.Stringer, workers, most int) string {
	return fmt.Sprintf("batching curve of %s in %v with %s on %d workers up to %d", baseDigest, p, vit.Kernels(), workers, most)
}

// load takes over values that an earlier process learned.
func (c *curve) load(known *memo.Cache, key string) {
	text, ok := known.Get(key)
	if !ok || c.fixed {
		return
	}
	var seconds []float64
	if json.Unmarshal([]byte(text), &seconds) != nil || len(seconds) != len(c.sizes) {
		return
	}
	for i, s := range seconds {
		if s > 0 && s < 1e6 {
			c.seconds[i], c.samples[i] = s, enoughSamples
		}
	}
}

// save stores the learned values.
func (c *curve) save(known *memo.Cache, key string) {
	if c.fixed {
		return
	}
	c.mu.Lock()
	seconds := make([]float64, len(c.sizes))
	for i := range seconds {
		if c.samples[i] >= enoughSamples {
			seconds[i] = c.seconds[i]
		}
	}
	c.mu.Unlock()
	if text, err := json.Marshal(seconds); err == nil {
		known.Put(key, string(text)) // on failure the next process learns again
	}
}
