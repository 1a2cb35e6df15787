package dataset

import (
	"math/rand/v2"
	"slices"
)

// Shots draws at most k samples of each label from samples, at random by seed, in ascending order. A sample
// with several labels counts for each of them, and is taken if one of them has fewer than k so far. Samples
// without a label count as another label. The selection for k is part of that for any larger k.
func (d *Dataset) Shots(samples []int, k int, seed uint64) []int {
	order := slices.Clone(samples)
	rng := rand.New(rand.NewPCG(seed, 0x73686f7473)) // "shots"
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	counts := make([]int, len(d.Labels)+1)
	var taken []int
	for _, i := range order {
		var labels []int
		for l := range d.Labels {
			if d.has(i, l) {
				labels = append(labels, l)
			}
		}
		if labels == nil {
			labels = []int{len(d.Labels)}
		}
		if !slices.ContainsFunc(labels, func(l int) bool { return counts[l] < k }) {
			continue
		}
		for _, l := range labels {
			counts[l]++
		}
		taken = append(taken, i)
	}
	slices.Sort(taken)
	return taken
}
