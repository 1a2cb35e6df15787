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

// Hash reads every file and stores its SHA-256, for finding copies and for the digest. [Dataset.Scan] includes
// that. [Dataset.Split] and [Dataset.Digest] call Hash if neither was called before; calling it first makes
// this slow step cancellable.
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

// Digest identifies the data: the SHA-256, in hexadecimal, over task, labels, and each sample's path, content,
// labels, split and group, sorted by path. It depends neither on the location of the folder nor on the order of
// rows.
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

// Copies returns the sets of samples that are the same image, each in order and with at least two samples:
// images with equal pixels after [Dataset.Scan], equal files after [Dataset.Hash].
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

// same returns the hashes by which copies are recognised.
func (d *Dataset) same() [][32]byte {
	if d.pixels != nil {
		return d.pixels
	}
	return d.hashes
}
