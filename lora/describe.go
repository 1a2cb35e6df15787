package lora

import (
	"fmt"
	"slices"
	"strings"

	"melo.example/melo/vit/arch"
)

// Describe summarises what is adapted: "q, v of 12 blocks, rank 4, alpha 4".
func Describe(deltas []Delta) string {
	if len(deltas) == 0 {
		return "no sites"
	}
	kinds, blocks := []string{}, map[int]bool{}
	same, pool := true, ""
	for _, d := range deltas {
		if kind := d.Site.Kind.String(); !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
		if d.Site.Block == arch.PoolBlock {
			pool = " and attention pooling"
		} else {
			blocks[d.Site.Block] = true
		}
		same = same && d.Rank == deltas[0].Rank && d.Alpha == deltas[0].Alpha
	}
	line := fmt.Sprintf("%s of %d blocks%s", strings.Join(kinds, ", "), len(blocks), pool)
	if same {
		return line + fmt.Sprintf(", rank %d, alpha %g", deltas[0].Rank, deltas[0].Alpha)
	}
	return line + ", ranks and alphas differ"
}
