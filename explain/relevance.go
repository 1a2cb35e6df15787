package explain

import "melo.example/melo/vit/arch"

// relevance makes the maps of [Attribution] and [Rollout]. The rules multiply a matrix of each block; only one row of the
// product is wanted, that of what pooling reads, so that a vector goes through the blocks from the last one down:
//
//	Attribution: r += r A      Rollout: r = (r + r A') / 2      A = mean over heads of max(p dp, 0); A' has rows of sum 1
//
// It begins with the share that each token has in pooling: 1 for a class token, equal shares for a mean of patches, the mean of
// both for both; of attention pooling the A of its one query.
type relevance struct {
	c       *arch.Config
	rollout bool
	start   []float64   // [tokens]: what pooling by itself gives
	r       [][]float64 // [n][tokens]
	next    []float64   // of the image at hand
	row     []float64
}

func newRelevance(c *arch.Config, n int, rollout bool) *relevance {
	r := &relevance{c: c, rollout: rollout, start: pooled(c), r: make([][]float64, n), next: make([]float64, c.Tokens()), row: make([]float64, c.Tokens())}
	for i := range r.r {
		r.r[i] = append([]float64(nil), r.start...)
	}
	return r
}

// pooled returns the share of each token in the features.
func pooled(c *arch.Config) []float64 {
	share := make([]float64, c.Tokens())
	patches := func(sum float64) {
		for i := c.Prefix(); i < len(share); i++ {
			share[i] = sum / float64(c.Grid()*c.Grid())
		}
	}
	switch c.Pooling {
	case arch.PoolClass:
		share[0] = 1
	case arch.PoolClassDist:
		share[0], share[1] = 0.5, 0.5
	case arch.PoolMean:
		patches(1)
	case arch.PoolClassMean:
		share[0] = 0.5
		patches(0.5)
	}
	return share // attention pooling shows its own
}

func (r *relevance) SawNormed(_, _ int, _, _ []float32) {}

func (r *relevance) SawAttention(block, image, queries int, p, dp []float32) {
	if block == arch.PoolBlock {
		r.average(0, queries, p, dp)
		copy(r.r[image], r.row)
		return
	}
	old := r.r[image]
	copy(r.next, old)
	for q := range queries {
		if old[q] == 0 {
			continue
		}
		sum := r.average(q, queries, p, dp)
		share := old[q]
		if r.rollout {
			if sum == 0 {
				continue // a token that reads nothing stays what it is
			}
			r.next[q] -= share / 2
			share /= 2 * sum
		}
		for k, v := range r.row {
			r.next[k] += share * v
		}
	}
	copy(old, r.next)
}

// average sets row to the mean over heads of what is positive of a query's probabilities times their gradients, and returns
// its sum.
func (r *relevance) average(query, queries int, p, dp []float32) (sum float64) {
	heads, keys := r.c.Heads, len(r.row)
	clear(r.row)
	for h := range heads {
		at := (h*queries + query) * keys
		for k, v := range p[at : at+keys] {
			if x := float64(v) * float64(dp[at+k]); x > 0 {
				r.row[k] += x
			}
		}
	}
	for k := range r.row {
		r.row[k] /= float64(heads)
		sum += r.row[k]
	}
	return sum
}

// write writes the maps: what the patches have. What each has by being averaged says nothing, and is taken off.
func (r *relevance) write(maps []float32) {
	prefix := r.c.Prefix()
	for i, all := range r.r {
		for p, v := range all[prefix:] {
			if !r.rollout {
				v -= r.start[prefix+p]
			}
			maps[i*(len(all)-prefix)+p] = float32(v)
		}
	}
}
