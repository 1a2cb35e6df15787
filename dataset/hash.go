package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"melo.example/melo/imaging"
)

// Hash reads every file and keeps its SHA-256, for finding copies and for the digest. [Dataset.Scan] does
// that and more. It is called by [Dataset.Split] and [Dataset.Digest] where neither was before; calling it
// first makes the one slow step interruptible.
func (d *Dataset) Hash(ctx context.Context) error {
	if d.hashes != nil {
		return nil
	}
	hashes := make([][32]byte, len(d.Samples))
	workers := min(max(runtime.GOMAXPROCS(0), 1), len(d.Samples))
	g, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		g.Go(func() error {
			for i := w; i < len(hashes); i += workers {
				if err := ctx.Err(); err != nil {
					return err
				}
				data, err := d.source.Read(i, imaging.Limits{MaxFileBytes: math.MaxInt64})
				if err != nil {
					return fmt.Errorf("dataset: %w", err)
				}
				hashes[i] = d.sum(i, data)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	d.hashes = hashes
	return nil
}

// Digest identifies the data: the SHA-256, in hexadecimal, over task, labels, and each sample's path,
// content, labels, split and group, sorted by path. Neither the place of the folder nor the order of rows
// changes it.
func (d *Dataset) Digest() (string, error) {
	if err := d.Hash(context.Background()); err != nil {
		return "", err
	}
	order := make([]int, len(d.Samples))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(d.Samples[a].Path, d.Samples[b].Path) })
	h := sha256.New()
	fmt.Fprintf(h, "melo data 1\n%s %q\n", d.Task, d.Labels)
	for _, i := range order {
		s := &d.Samples[i]
		fmt.Fprintf(h, "%q %x %d %v %q %q\n", s.Path, d.hashes[i], s.Label, s.Targets, s.Split, s.Group)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Copies returns the sets of samples that are one image, each in order, at least two in each: images with
// equal pixels after [Dataset.Scan], equal files after [Dataset.Hash].
func (d *Dataset) Copies() [][]int {
	same := d.same()
	first := make(map[[32]byte]int, len(same))
	sets := map[int][]int{}
	for i, h := range same {
		if !d.usable(i) {
			continue
		}
		j, ok := first[h]
		if !ok {
			first[h] = i
			continue
		}
		if sets[j] == nil {
			sets[j] = []int{j}
		}
		sets[j] = append(sets[j], i)
	}
	var out [][]int
	for i := range d.Samples {
		if s := sets[i]; s != nil {
			out = append(out, s)
		}
	}
	return out
}

// same is what copies of an image have in common.
func (d *Dataset) same() [][32]byte {
	if d.pixels != nil {
		return d.pixels
	}
	return d.hashes
}
