package dataset

import (
	"context"
	"fmt"
	"slices"
)

// Fold is one round of cross-validation. Indices are in ascending order.
type Fold struct {
	Train []int // for training
	Val   []int // for choosing the epoch, calibration and thresholds; not held out
	Held  []int // for evaluation: every sample is held out in exactly one fold
}

// MaxFolds limits the number of folds; more would amount to leave-one-out.
const MaxFolds = 100

// Folds divides the samples for k-fold cross-validation: k parts of about equal size, random by seed,
// stratified by label, with all samples of a group and all copies of an image in one part. Each part is held
// out once. Of the rest, opt.Val (a fraction of all samples; negative: none) is used for validation. opt.Test
// is ignored.
//
// A given validation split counts as training. Samples of a given test split are in no fold. It is an error if
// groups or copies are on both sides of the test split, as in [Dataset.Split], and if a fold cannot be used for
// training or evaluation.
func (d *Dataset) Folds(k int, opt SplitOptions) ([]Fold, error) {
	if k < 2 || k > MaxFolds {
		return nil, d.badf("folds: %d, expected 2 to %d", k, MaxFolds)
	}
	if err := d.Hash(context.Background()); err != nil {
		return nil, err
	}
	val := opt.share(opt.Val)
	if !(val+1/float64(k) < 1) {
		return nil, d.badf("folds: a share of %v for validation and one part of %d leave nothing for training", val, k)
	}
	if err := d.checkDepth(opt.Depth); err != nil {
		return nil, err
	}
	parts := d.given()
	parts[0], parts[1] = append(parts[0], parts[1]...), nil
	slices.Sort(parts[0])
	if err := d.checkLeaks(parts, opt.AllowDuplicates); err != nil {
		return nil, err
	}
	if n := len(d.units(parts[0])); n < k {
		return nil, d.badf("folds: %d images or groups are too few for %d folds", n, k)
	}
	shares := slices.Repeat([]float64{1 / float64(k)}, k)
	pieces := d.divide(parts[0], shares, opt.Seed)
	folds := make([]Fold, k)
	for f := range folds {
		var rest []int
		for p, piece := range pieces {
			if p != f {
				rest = append(rest, piece...)
			}
		}
		slices.Sort(rest)
		// val is a fraction of all samples, but only the rest is divided here. Every fold draws again.
		share := val / (1 - shares[0])
		made := d.divide(rest, []float64{1 - share, share}, mix(opt.Seed+uint64(f)+1))
		folds[f] = Fold{Train: made[0], Val: made[1], Held: pieces[f]}
		for _, part := range [][]int{made[0], made[1], pieces[f]} {
			slices.Sort(part)
		}
		folds[f].Val, folds[f].Held = d.onlyKnown(made[1], Val), d.onlyKnown(pieces[f], "the part held out")
		if len(pieces[f]) == 0 { // possible with few groups of very different sizes
			return nil, d.badf("folds: the images or groups do not fill %d folds", k)
		}
		what := fmt.Sprintf("fold %d of %d", f+1, k)
		if err := d.checkParts(what, [3]string{Train, Val, "the part held out"}, [3][]int{made[0], made[1], pieces[f]}); err != nil {
			return nil, err
		}
	}
	return folds, nil
}
