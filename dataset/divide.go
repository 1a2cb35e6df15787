package dataset

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// unit is a set of samples that stay together: a group, copies of an image, or both.
type unit struct {
	samples []int
	counts  []float64 // samples per label
}

// divide divides the samples into parts of the given fractions, keeping units whole. It shuffles the units,
// then processes the largest first. Each goes to the part that most lacks its labels, where rare labels weigh
// more. Without groups every part gets its fraction of every label, rounded.
func (d *Dataset) divide(samples []int, shares []float64, seed uint64) [][]int {
	units := d.units(samples)
	rng := rand.New(rand.NewPCG(seed, 0x73706c6974)) // "split"
	rng.Shuffle(len(units), func(i, j int) { units[i], units[j] = units[j], units[i] })
	slices.SortStableFunc(units, func(a, b unit) int { return cmp.Compare(len(b.samples), len(a.samples)) })

	total := make([]float64, len(d.Labels))
	for _, u := range units {
		for l, n := range u.counts {
			total[l] += n
		}
	}
	need := make([][]float64, len(shares)) // missing samples per part and label
	room := make([]float64, len(shares))   // missing samples per part
	for p, share := range shares {
		room[p] = share * float64(len(samples))
		need[p] = make([]float64, len(total))
		for l, n := range total {
			need[p][l] = share * n
		}
	}
	parts := make([][]int, len(shares))
	for _, u := range units {
		best, bestScore := 0, 0.0
		for p := range parts {
			if shares[p] <= 0 {
				continue
			}
			// Samples without a label are placed by room alone, which also breaks ties.
			score := 1e-6 * room[p] / float64(len(samples))
			for l, n := range u.counts {
				if n > 0 {
					score += n * need[p][l] / total[l]
				}
			}
			if p == 0 || score > bestScore {
				best, bestScore = p, score
			}
		}
		parts[best] = append(parts[best], u.samples...)
		room[best] -= float64(len(u.samples))
		for l, n := range u.counts {
			need[best][l] -= n
		}
	}
	return parts
}

// units joins samples that share a group or are copies, in the order of their first samples.
func (d *Dataset) units(samples []int) []unit {
	parent := make(map[int]int, len(samples)) // disjoint sets
	root := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	groups, files, same := map[string]int{}, map[[32]byte]int{}, d.same()
	for _, i := range samples {
		parent[i] = i
		if g := d.Samples[i].Group; g != "" {
			if j, ok := groups[g]; ok {
				parent[root(i)] = root(j)
			}
			groups[g] = i
		}
		if j, ok := files[same[i]]; ok {
			parent[root(i)] = root(j)
		}
		files[same[i]] = i
	}
	at := make(map[int]int, len(samples))
	var units []unit
	for _, i := range samples {
		r := root(i)
		k, ok := at[r]
		if !ok {
			k = len(units)
			at[r] = k
			units = append(units, unit{counts: make([]float64, len(d.Labels))})
		}
		u := &units[k]
		u.samples = append(u.samples, i)
		for l := range d.Labels {
			if d.has(i, l) {
				u.counts[l]++
			}
		}
	}
	return units
}
