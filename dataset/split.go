package dataset

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// SplitOptions configures Split. The zero value uses the defaults.
type SplitOptions struct {
	// Val and Test are the fractions of samples for validation and test if no such split is given. 0:
	// DefaultShare each; negative: none. A test split is created only if no split but train is given.
	Val, Test float64
	// Seed is the seed of the random assignment.
	Seed uint64
	// Depth says how images with more than 8 bits are treated: "stored", "max" or "bits=12". Empty: not chosen;
	// it is then an error if labels differ in depth.
	Depth string
	// AllowDuplicates turns the error about identical images on both sides of a given split into a warning.
	AllowDuplicates bool
}

// DefaultShare is the default fraction of samples for validation, and for test.
const DefaultShare = 0.15

func (o SplitOptions) share(v float64) float64 {
	if v == 0 {
		return DefaultShare
	}
	return max(v, 0)
}

// Split returns the indices of the training, validation and test samples, each in ascending order.
//
// Given splits are used. A missing validation split is taken from train. A missing test split is, too, but only
// if validation is not given either, so that no given split is changed. The selection is random by seed and
// stratified by label. All samples of a group, and all copies of an image, stay together. Images that
// [Dataset.Scan] could not read are left out.
//
// It is an error, which lists examples, if a group or an identical image is on both sides of given splits, if a
// label is missing from train, or if a split has a single class. Oddities that do not prevent training are
// added to Warnings.
func (d *Dataset) Split(opt SplitOptions) (train, val, test []int, err error) {
	if err := d.Hash(context.Background()); err != nil {
		return nil, nil, nil, err
	}
	valShare, testShare := opt.share(opt.Val), opt.share(opt.Test)
	if !(valShare+testShare < 1) {
		return nil, nil, nil, d.badf("split: shares %v for validation and %v for test leave nothing for training", valShare, testShare)
	}
	if err := d.checkDepth(opt.Depth); err != nil {
		return nil, nil, nil, err
	}
	parts := d.given()
	if err := d.checkLeaks(parts, opt.AllowDuplicates); err != nil {
		return nil, nil, nil, err
	}
	if len(parts[2]) > 0 || len(parts[1]) > 0 {
		testShare = 0
	}
	if len(parts[1]) > 0 {
		valShare = 0
	}
	if len(parts[0]) > 0 && valShare+testShare > 0 {
		made := d.divide(parts[0], []float64{1 - valShare - testShare, valShare, testShare}, opt.Seed)
		d.giveBack(made, len(parts[0]))
		parts[0] = made[0]
		parts[1] = append(parts[1], made[1]...)
		parts[2] = append(parts[2], made[2]...)
	}
	for p := range parts {
		slices.Sort(parts[p])
		if p > 0 {
			parts[p] = d.onlyKnown(parts[p], splitNames[p])
		}
	}
	if err := d.checkParts("split", splitNames, parts); err != nil {
		return nil, nil, nil, err
	}
	return parts[0], parts[1], parts[2], nil
}

// onlyKnown leaves out samples with unknown labels, which cannot be used for evaluation.
func (d *Dataset) onlyKnown(part []int, name string) []int {
	known := slices.DeleteFunc(slices.Clone(part), func(i int) bool { return !d.Known(i) })
	if n := len(part) - len(known); n > 0 {
		d.warnOnce(fmt.Sprintf("%d images of %s have a label that is not known, and are not measured on", n, name))
	}
	return known
}

// tooFew is the number of images up to which a created part with a single label is returned to training.
const tooFew = 40

// giveBack returns small created parts with a single label to training, because they cannot be used for
// evaluation.
func (d *Dataset) giveBack(made [][]int, n int) {
	for p := 1; p < len(made); p++ {
		counts := d.Counts(append([]int{}, made[p]...)) // nil would mean all samples
		several := slices.ContainsFunc(counts, func(c int) bool { return c > 0 && c < len(made[p]) })
		if len(made[p]) == 0 || several || n > tooFew {
			continue
		}
		d.warnOnce(fmt.Sprintf("%d images are too few to set some aside for %s: all are trained on", n, splitNames[p]))
		made[0] = append(made[0], made[p]...)
		made[p] = nil
	}
}

// splitNames gives the order of the parts.
var splitNames = [3]string{Train, Val, Test}

// given returns the readable samples of each given split. Samples without a split count as train.
func (d *Dataset) given() (parts [3][]int) {
	for i := range d.Samples {
		if d.usable(i) {
			p := max(slices.Index(splitNames[:], d.Samples[i].Split), 0)
			parts[p] = append(parts[p], i)
		}
	}
	return parts
}

// checkLeaks returns an error if groups or identical images are on both sides of given splits, and warns about
// identical images elsewhere.
func (d *Dataset) checkLeaks(parts [3][]int, allowDuplicates bool) error {
	part := make([]int, len(d.Samples))
	groups := map[string]int{} // the part of each group
	var torn []string
	for p := range parts {
		for _, i := range parts[p] {
			part[i] = p
			g := d.Samples[i].Group
			if g == "" {
				continue
			}
			if q, ok := groups[g]; ok && q != p {
				torn = append(torn, fmt.Sprintf("%q (%s and %s)", g, splitNames[min(p, q)], splitNames[max(p, q)]))
				continue
			}
			groups[g] = p
		}
	}
	if len(torn) > 0 {
		slices.Sort(torn)
		torn = slices.Compact(torn)
		return d.badf("split: %d groups are on both sides: %s", len(torn), listed(torn))
	}
	var crossing, within []string
	for _, set := range d.Copies() {
		across, differ := false, false
		for _, i := range set {
			across = across || part[i] != part[set[0]]
			differ = differ || d.LabelsOf(i) != d.LabelsOf(set[0])
		}
		names := make([]string, len(set))
		for k, i := range set {
			names[k] = d.LabelsOf(i)
			if across {
				names[k] += ", " + splitNames[part[i]]
			}
			names[k] = fmt.Sprintf("%s (%s)", d.Samples[i].Path, names[k])
		}
		text := strings.Join(names, " = ")
		if differ {
			d.warnOnce("one image, two labels: " + text)
		}
		switch {
		case across:
			crossing = append(crossing, text)
		case !differ: // reported already
			within = append(within, text)
		}
	}
	if len(crossing) > 0 {
		text := fmt.Sprintf("%d images are on both sides of the given split: %s", len(crossing), listed(crossing))
		if !allowDuplicates {
			return d.badf("split: %s", text)
		}
		d.warnOnce(text)
	}
	if len(within) > 0 {
		d.warnOnce("identical images, kept on one side of a split: " + listed(within))
	}
	return nil
}

// LabelsOf returns the names of sample i's labels, joined by "+".
func (d *Dataset) LabelsOf(i int) string {
	var names []string
	for l, name := range d.Labels {
		if d.has(i, l) {
			names = append(names, name)
		}
	}
	if names == nil {
		return "no label"
	}
	return strings.Join(names, "+")
}

// warnOnce adds a warning unless it exists already.
func (d *Dataset) warnOnce(text string) {
	if !slices.Contains(d.Warnings, text) {
		d.Warnings = append(d.Warnings, text)
	}
}

// checkParts returns an error unless train can be used for training and the others for evaluation.
func (d *Dataset) checkParts(what string, names [3]string, parts [3][]int) error {
	if len(parts[0]) == 0 {
		return d.badf("%s: no training samples", what)
	}
	for p, part := range parts {
		if len(part) == 0 {
			continue
		}
		var absent []string
		useful := 0 // labels that some but not all samples have
		counts := d.Counts(part)
		for l, n := range counts {
			if n == 0 {
				absent = append(absent, fmt.Sprintf("%q", d.Labels[l]))
			} else if n < len(part) {
				useful++
			}
		}
		if useful == 0 {
			l := max(slices.Index(counts, len(part)), 0)
			return d.badf("%s: all %d samples of %s have the same label (%q)", what, len(part), names[p], d.Labels[l])
		}
		if len(absent) == 0 {
			continue
		}
		text := fmt.Sprintf("%s: %s has no samples of %s", what, names[p], listed(absent))
		if p == 0 {
			return d.badf("%s", text)
		}
		d.warnOnce(text)
	}
	return nil
}
