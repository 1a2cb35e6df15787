package explain

import "melo.example/melo/vit/arch"

// relevance computes the maps of [Attribution] and [Rollout]. Both are defined as a product of one matrix per
// block. Only one row of it is needed, that of the token that pooling reads, so that it suffices to propagate a
// vector through the blocks from last to first:
//
//	Attribution: r += r A      Rollout: r = (r + r A') / 2      A = mean over heads of max(p dp, 0); A' has rows of sum 1
//
// The vector starts with the weight of each token in pooling: 1 for a class token; equal weights for a mean of
// patches; the mean of both if both are used; for attention pooling the A of its single query.
type relevance struct {
	c       *arch.Config
	rollout bool
	start   []float64   // [tokens]: weights in pooling
	r       [][]float64 // [n][tokens]
	next    []float64   // for the current image
	row     []float64
}

func newRelevance(c *arch.Config, n int, rollout bool) *relevance {
	r := &relevance{c: c, rollout: rollout, start: pooled(c), r: make([][]float64, n), next: make([]float64, c.Tokens()), row: make([]float64, c.Tokens())}
	for i := range r.r {
		r.r[i] = append([]float64(nil), r.start...)
	}
	return r
}

// pooled returns the weight of each token in the features.
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
	return share // attention pooling has its own attention matrix
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
				continue // this token attends to nothing and keeps its value
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

// average sets row to the mean over heads of the positive part of probabilities times gradients of a query, and
// returns its sum.
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

// write writes the values of the patches. For [Attribution] it subtracts the initial weights, which are the
// same for all images.
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
