package dataset

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// SplitOptions says how to split. The zero value takes the defaults.
type SplitOptions struct {
	// Val and Test are the shares of samples that validation and test get where no such split is given.
	// 0: DefaultShare each; negative: none. A test split is only made when no split but train is given.
	Val, Test float64
	// Seed of the random assignment.
	Seed uint64
	// Depth is what was decided about images of more than 8 bits, "stored", "max" or "bits=12"; empty: nothing was, and
	// labels that differ in it are an error.
	Depth string
	// AllowDuplicates turns the error about identical images on both sides of a given split into a warning.
	AllowDuplicates bool
}

// DefaultShare is the share of samples that validation and test get each when nothing else is said.
const DefaultShare = 0.15

func (o SplitOptions) share(v float64) float64 {
	if v == 0 {
		return DefaultShare
	}
	return max(v, 0)
}

// Split returns the indices of the training, validation and test samples, each ascending.
//
// Given splits are honoured. A missing validation split is taken from train; a missing test split too, but
// only when validation is not given either, so that nothing that was named is changed. What is taken is
// random for the seed, stratified by label, and all samples of a group, and all copies of one image, stay
// together. Images that [Dataset.Scan] could not read are left out.
//
// It is an error, which lists the offenders, when a group or an identical image is on both sides of given
// splits, when a label is missing from train, and when a split has one class only. Oddities that do not
// prevent training are added to Warnings.
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

// onlyKnown leaves out the samples of which a label is not known: nothing can be measured on them.
func (d *Dataset) onlyKnown(part []int, name string) []int {
	known := slices.DeleteFunc(slices.Clone(part), func(i int) bool { return !d.Known(i) })
	if n := len(part) - len(known); n > 0 {
		d.warnOnce(fmt.Sprintf("%d images of %s have a label that is not known, and are not measured on", n, name))
	}
	return known
}

// tooFew is the number of images up to which a part that was made is given back to training when it has one label only.
const tooFew = 40

// giveBack returns made parts of few images, which all have the same label, to training: nothing can be measured on them.
func (d *Dataset) giveBack(made [][]int, n int) {
	for p := 1; p < len(made); p++ {
		counts := d.Counts(append([]int{}, made[p]...)) // nil would be all
		several := slices.ContainsFunc(counts, func(c int) bool { return c > 0 && c < len(made[p]) })
		if len(made[p]) == 0 || several || n > tooFew {
			continue
		}
		d.warnOnce(fmt.Sprintf("%d images are too few to set some aside for %s: all are trained on", n, splitNames[p]))
		made[0] = append(made[0], made[p]...)
		made[p] = nil
	}
}

// splitNames in the order of the parts.
var splitNames = [3]string{Train, Val, Test}

// given returns the readable samples of each given split; those without one count as train.
func (d *Dataset) given() (parts [3][]int) {
	for i := range d.Samples {
		if d.usable(i) {
			p := max(slices.Index(splitNames[:], d.Samples[i].Split), 0)
			parts[p] = append(parts[p], i)
		}
	}
	return parts
}

// checkLeaks refuses groups and identical images that stand on both sides of given splits, and warns of
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
		case !differ: // is named already
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

// LabelsOf names the labels of sample i, joined by "+".
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

// warnOnce adds a warning unless an earlier call of Split has.
func (d *Dataset) warnOnce(text string) {
	if !slices.Contains(d.Warnings, text) {
		d.Warnings = append(d.Warnings, text)
	}
}

// checkParts demands that a model can be trained on train and measured on the others.
func (d *Dataset) checkParts(what string, names [3]string, parts [3][]int) error {
	if len(parts[0]) == 0 {
		return d.badf("%s: no training samples", what)
	}
	for p, part := range parts {
		if len(part) == 0 {
			continue
		}
		var absent []string
		useful := 0 // labels that are present, and not on every sample
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
