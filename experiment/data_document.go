package experiment

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"melo.example/melo/dataset"
	"melo.example/melo/internal/text"
)

// DataDocument describes a data set before training.
type DataDocument struct {
	Path       string         `json:"path"`
	Digest     string         `json:"digest"`
	Task       string         `json:"task"`
	Labels     []string       `json:"labels"`
	Images     int            `json:"images"`
	Bytes      int64          `json:"bytes"`
	Rule       string         `json:"rule"`
	Counts     []DataCount    `json:"counts"`
	Total      DataTotal      `json:"total"`
	Folds      []DataFold     `json:"folds"`
	Sizes      DataSizes      `json:"sizes"`
	Modes      []DataMode     `json:"modes"`
	Groups     DataGroups     `json:"groups"`
	Attributes []string       `json:"attributes"`
	Duplicates []DataCopies   `json:"duplicates"`
	Unreadable []FailedImage  `json:"unreadable"`
	Warnings   []string       `json:"warnings"`
	Understood string         `json:"understood"`
	Notes      []string       `json:"notes"`
	LeftOut    []DataLeftOut  `json:"left_out"`
	Near       DataNear       `json:"near_copies"`
	Shortcuts  []DataShortcut `json:"shortcuts"`
	Problem    string         `json:"problem"`
	Sheet      string         `json:"sheet,omitempty"`

	LeftOutFile string `json:"left_out_file,omitempty"`
}

// DataLeftOut lists files that are not samples, for one reason.
type DataLeftOut struct {
	Reason string   `json:"reason"`
	Files  int      `json:"files"`
	First  []string `json:"first"` // at most three
}

// DataNear lists images that look alike without being equal.
type DataNear struct {
	Pairs int            `json:"pairs"`
	First []DataNearPair `json:"first"`
}

// DataNearPair is a pair of such images.
type DataNearPair struct {
	Images [2]string `json:"images"`
	Labels [2]string `json:"labels"`
}

// DataShortcut is how well a property of the files alone predicts a label.
type DataShortcut struct {
	Property string  `json:"property"`
	Label    string  `json:"label"`
	AUC      float64 `json:"auc"`
	Strong   bool    `json:"strong"`
}

// DataTotal counts readable images.
type DataTotal struct {
	Train int `json:"train"`
	Val   int `json:"val"`
	Test  int `json:"test"`
	All   int `json:"all"`
}

// DataCount counts the images of a label.
type DataCount struct {
	Label string `json:"label"`
	DataTotal
}

// DataFold is one round of a cross-validation.
type DataFold struct {
	Train  int   `json:"train"`
	Val    int   `json:"val"`
	Held   int   `json:"held"`
	Counts []int `json:"held_per_label"`
}

// DataSize is a size and the number of images that have it.
type DataSize struct {
	Width  int `json:"width"`
	Height int `json:"height"`
	Images int `json:"images"`
}

// DataSizes describes the sizes of the images.
type DataSizes struct {
	Distinct int        `json:"distinct"`
	Smallest DataSize   `json:"smallest"` // by area
	Largest  DataSize   `json:"largest"`
	Common   []DataSize `json:"common"` // most frequent first, at most ten
}

// DataMode is a storage format of images.
type DataMode struct {
	Format   string `json:"format"`
	Channels int    `json:"channels"`
	Bits     int    `json:"bits"`
	Images   int    `json:"images"`
}

// DataGroups describes the groups (patients) of samples.
type DataGroups struct {
	Groups  int `json:"groups"`
	Images  int `json:"images"` // images with a group
	Largest int `json:"largest"`
}

// DataCopies is an image that occurs under several names.
type DataCopies struct {
	Images     []string `json:"images"`
	Labels     []string `json:"labels"`      // of each copy
	LabelsVary bool     `json:"labels_vary"` // they differ, so at least one is wrong
}

// Examine examines data as training would: images per label and split, what belongs together, what cannot be
// read. The data set must have been scanned. problem is the error at which training would stop, or nil.
func Examine(ctx context.Context, ds *dataset.Dataset, source *Source) (doc *DataDocument, problem, err error) {
	digest, err := ds.Digest()
	if err != nil {
		return nil, nil, err
	}
	doc = &DataDocument{Digest: "sha256:" + digest, Task: string(ds.Task), Labels: ds.Labels, Images: len(ds.Samples),
		Rule: source.Rule(ds), Unreadable: []FailedImage{}, Folds: []DataFold{}, Attributes: Attributes(ds)}
	for _, b := range ds.Bad() {
		doc.Unreadable = append(doc.Unreadable, FailedImage{Image: b.Path, Error: text.OneLine(b.Err)})
	}
	// finds nothing new, but may report too many unreadable images
	problem = ds.Scan(ctx, dataset.ScanOptions{MaxBad: source.MaxBad})
	parts, splitProblem := doc.divide(ds, source)
	if problem == nil {
		problem = splitProblem
	}
	doc.count(ds, parts)
	doc.measure(ds)
	doc.relate(ds)
	doc.Warnings = append([]string{}, ds.Warnings...)
	doc.doubt(ds)
	if problem != nil {
		doc.Problem = text.OneLine(problem)
	}
	return doc, problem, nil
}

// divide splits the data as requested. If that is not possible it returns the given splits.
func (d *DataDocument) divide(ds *dataset.Dataset, source *Source) (parts [3][]int, err error) {
	if source.Folds > 0 {
		var folds []dataset.Fold
		folds, err = ds.Folds(source.Folds, source.SplitOptions())
		for _, f := range folds {
			d.Folds = append(d.Folds, DataFold{len(f.Train), len(f.Val), len(f.Held), ds.Counts(f.Held)})
		}
	} else if parts[0], parts[1], parts[2], err = ds.Split(source.SplitOptions()); err == nil {
		return parts, nil
	}
	names := map[string]int{dataset.Val: 1, dataset.Test: 2}
	for i := range ds.Samples {
		if ds.Info(i).Err == nil {
			p := names[ds.Samples[i].Split]
			parts[p] = append(parts[p], i)
		}
	}
	return parts, err
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// count sets the number of images per label and part.
func (d *DataDocument) count(ds *dataset.Dataset, parts [3][]int) {
	at := [3][]int{}
	for p, part := range parts {
		at[p] = ds.Counts(append([]int{}, part...)) // nil would mean all samples
	}
	for l, name := range ds.Labels {
		c := DataTotal{Train: at[0][l], Val: at[1][l], Test: at[2][l]}
		c.All = c.Train + c.Val + c.Test
		d.Counts = append(d.Counts, DataCount{name, c})
	}
	d.Total = DataTotal{len(parts[0]), len(parts[1]), len(parts[2]), len(parts[0]) + len(parts[1]) + len(parts[2])}
}

// measure sets sizes and formats.
func (d *DataDocument) measure(ds *dataset.Dataset) {
	sizes, modes := map[[2]int]int{}, map[DataMode]int{}
	for i := range ds.Samples {
		x := ds.Info(i)
		if x.Err != nil {
			continue
		}
		d.Bytes += x.Bytes
		sizes[[2]int{x.W, x.H}]++
		modes[DataMode{Format: x.Format, Channels: x.Channels, Bits: x.Bits}]++
	}
	all := make([]DataSize, 0, len(sizes))
	for s, n := range sizes {
		all = append(all, DataSize{s[0], s[1], n})
	}
	slices.SortFunc(all, func(a, b DataSize) int {
		return cmp.Or(cmp.Compare(a.Width*a.Height, b.Width*b.Height), cmp.Compare(a.Width, b.Width))
	})
	d.Sizes = DataSizes{Distinct: len(all), Common: []DataSize{}}
	if len(all) > 0 {
		d.Sizes.Smallest, d.Sizes.Largest = all[0], all[len(all)-1]
		slices.SortStableFunc(all, func(a, b DataSize) int { return cmp.Compare(b.Images, a.Images) })
		d.Sizes.Common = all[:min(10, len(all))]
	}
	d.Modes = []DataMode{}
	for m, n := range modes {
		m.Images = n
		d.Modes = append(d.Modes, m)
	}
	slices.SortFunc(d.Modes, func(a, b DataMode) int {
		return cmp.Or(cmp.Compare(b.Images, a.Images), cmp.Compare(a.Format, b.Format), cmp.Compare(a.Channels, b.Channels), cmp.Compare(a.Bits, b.Bits))
	})
}

// relate sets what belongs together: groups and copies.
func (d *DataDocument) relate(ds *dataset.Dataset) {
	groups := map[string]int{}
	for i := range ds.Samples {
		if g := ds.Samples[i].Group; g != "" {
			groups[g]++
			d.Groups.Images++
		}
	}
	d.Groups.Groups = len(groups)
	if len(groups) > 0 {
		d.Groups.Largest = slices.Max(slices.Collect(maps.Values(groups)))
	}
	d.Duplicates = []DataCopies{}
	for _, set := range ds.Copies() {
		var c DataCopies
		for _, i := range set {
			c.Images, c.Labels = append(c.Images, ds.Samples[i].Path), append(c.Labels, ds.LabelsOf(i))
		}
		c.LabelsVary = len(slices.Compact(sorted(slices.Clone(c.Labels)))) > 1
		d.Duplicates = append(d.Duplicates, c)
	}
}

// listedNear is the number of near-copy pairs that are listed.
const listedNear = 10

// doubt sets how the data was interpreted, and what a reader should doubt.
func (d *DataDocument) doubt(ds *dataset.Dataset) {
	d.Understood, d.Notes, d.LeftOut, d.Shortcuts = ds.Understood(), append([]string{}, ds.Notes...), []DataLeftOut{}, []DataShortcut{}
	at := map[string]int{}
	for _, l := range ds.LeftOut {
		k, ok := at[l.Reason]
		if !ok {
			k = len(d.LeftOut)
			at[l.Reason] = k
			d.LeftOut = append(d.LeftOut, DataLeftOut{Reason: l.Reason, First: []string{}})
		}
		if d.LeftOut[k].Files++; len(d.LeftOut[k].First) < 3 {
			d.LeftOut[k].First = append(d.LeftOut[k].First, l.Name)
		}
	}
	pairs, all := ds.NearCopies(listedNear)
	d.Near = DataNear{Pairs: all, First: []DataNearPair{}}
	for _, p := range pairs {
		d.Near.First = append(d.Near.First, DataNearPair{[2]string{ds.Samples[p[0]].Path, ds.Samples[p[1]].Path},
			[2]string{ds.LabelsOf(p[0]), ds.LabelsOf(p[1])}})
	}
	for _, x := range ds.Shortcuts() {
		d.Shortcuts = append(d.Shortcuts, DataShortcut{x.Property, x.Label, x.AUC, x.Strong()})
		if x.Strong() {
			d.Warnings = append(d.Warnings, fmt.Sprintf("%q can be told by the files alone: %s gives an AUC of %.2f, and a model may learn that", x.Label, x.Property, x.AUC))
		}
	}
}
