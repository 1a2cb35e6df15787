package experiment

import (
	"slices"
	"strconv"
	"strings"

	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// parseSites parses "q,v" or "q,v,fc1=8": kinds of sites, with optional ranks; "all" means every kind.
func parseSites(s string) (kinds []vit.Kind, ranks map[vit.Kind]int, err error) {
	if s == "all" {
		return []vit.Kind{vit.Q, vit.K, vit.V, vit.Proj, vit.FC1, vit.FC2}, nil, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		name, rank, hasRank := strings.Cut(strings.TrimSpace(part), "=")
		kind, err := vit.ParseKind(name)
		if err != nil {
			return nil, nil, setting("sites", "%s: unknown site %q, expected all, or some of q, k, v, proj, fc1 and fc2", s, name)
		}
		if slices.Contains(kinds, kind) {
			return nil, nil, setting("sites", "%s: %s stands twice", s, name)
		}
		kinds = append(kinds, kind)
		if !hasRank {
			continue
		}
		r, err := strconv.Atoi(rank)
		if err != nil || r < 1 {
			return nil, nil, setting("sites", "%s: rank %q of %s, expected a number from 1", s, rank, name)
		}
		if ranks == nil {
			ranks = map[vit.Kind]int{}
		}
		ranks[kind] = r
	}
	slices.Sort(kinds)
	return kinds, ranks, nil
}

// ParseBlocks parses "all", "last:4", or numbers and ranges from 0: "0,2,8-11". The result for all is nil. With
// ",pool" appended, or "pool" alone, it includes attention pooling.
func ParseBlocks(s string, depth int) ([]int, error) {
	if s == "pool" {
		return []int{arch.PoolBlock}, nil
	}
	if rest, ok := strings.CutSuffix(s, ",pool"); ok {
		blocks, err := ParseBlocks(rest, depth)
		if blocks == nil {
			blocks = span(0, depth-1)
		}
		return append(blocks, arch.PoolBlock), err
	}
	if s == "" || s == "all" {
		return nil, nil
	}
	bad := func() error {
		return setting("blocks", "%s: expected all, last:N, or numbers and ranges from 0 to %d such as 0,2,8-11", s, depth-1)
	}
	if n, ok := strings.CutPrefix(s, "last:"); ok {
		last, err := strconv.Atoi(n)
		if err != nil || last < 1 || last > depth {
			return nil, bad()
		}
		return span(depth-last, depth-1), nil
	}
	var blocks []int
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || a < 0 || b < a || b >= depth {
			return nil, bad()
		}
		blocks = append(blocks, span(a, b)...)
	}
	slices.Sort(blocks)
	return slices.Compact(blocks), nil
}

// span returns the numbers from a to b.
func span(a, b int) []int {
	s := make([]int, 0, b-a+1)
	for i := a; i <= b; i++ {
		s = append(s, i)
	}
	return s
}
