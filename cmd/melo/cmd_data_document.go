package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"melo.example/melo/dataset"
	"melo.example/melo/experiment"
	"melo.example/melo/internal/text"
)

// dataDocument is the --json document of "melo data".
type dataDocument struct {
	Path       string                   `json:"path"`
	Digest     string                   `json:"digest"`
	Task       string                   `json:"task"`
	Labels     []string                 `json:"labels"`
	Images     int                      `json:"images"`
	Bytes      int64                    `json:"bytes"`
	Rule       string                   `json:"rule"`
	Counts     []dataCount              `json:"counts"`
	Total      dataTotal                `json:"total"`
	Folds      []dataFold               `json:"folds"`
	Sizes      dataSizes                `json:"sizes"`
	Modes      []dataMode               `json:"modes"`
	Groups     dataGroups               `json:"groups"`
	Attributes []string                 `json:"attributes"`
	Duplicates []dataCopies             `json:"duplicates"`
	Unreadable []experiment.FailedImage `json:"unreadable"`
	Warnings   []string                 `json:"warnings"`
	Understood string                   `json:"understood"`
	Notes      []string                 `json:"notes"`
	LeftOut    []dataLeftOut            `json:"left_out"`
	Near       dataNear                 `json:"near_copies"`
	Shortcuts  []dataShort              `json:"shortcuts"`
	Problem    string                   `json:"problem"`
	Sheet      string                   `json:"sheet,omitempty"`
}

// dataLeftOut are files that are no samples, for one reason.
type dataLeftOut struct {
	Reason string   `json:"reason"`
	Files  int      `json:"files"`
	First  []string `json:"first"` // three at most
}

// dataNear are images that look alike without being equal.
type dataNear struct {
	Pairs int            `json:"pairs"`
	First []dataNearPair `json:"first"`
}

type dataNearPair struct {
	Images [2]string `json:"images"`
	Labels [2]string `json:"labels"`
}

// dataShort is how well a label can be told by a property of the files alone.
type dataShort struct {
	Property string  `json:"property"`
	Label    string  `json:"label"`
	AUC      float64 `json:"auc"`
	Strong   bool    `json:"strong"`
}

// dataTotal counts readable images.
type dataTotal struct {
	Train int `json:"train"`
	Val   int `json:"val"`
	Test  int `json:"test"`
	All   int `json:"all"`
}

// dataCount counts the images of a label.
type dataCount struct {
	Label string `json:"label"`
	dataTotal
}

// dataFold is one round of a cross-validation.
type dataFold struct {
	Train  int   `json:"train"`
	Val    int   `json:"val"`
	Held   int   `json:"held"`
	Counts []int `json:"held_per_label"`
}

// dataSize is a size with the number of images that have it.
type dataSize struct {
	Width  int `json:"width"`
	Height int `json:"height"`
	Images int `json:"images"`
}

type dataSizes struct {
	Distinct int        `json:"distinct"`
	Smallest dataSize   `json:"smallest"` // by area
	Largest  dataSize   `json:"largest"`
	Common   []dataSize `json:"common"` // the most frequent first, ten at most
}

type dataMode struct {
	Format   string `json:"format"`
	Channels int    `json:"channels"`
	Bits     int    `json:"bits"`
	Images   int    `json:"images"`
}

type dataGroups struct {
	Groups  int `json:"groups"`
	Images  int `json:"images"` // that have one
	Largest int `json:"largest"`
}

// dataCopies is one image under several names.
type dataCopies struct {
	Images     []string `json:"images"`
	Labels     []string `json:"labels"`      // of each
	LabelsVary bool     `json:"labels_vary"` // and which is right is not known
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// count fills in the images of each label and part.
func (d *dataDocument) count(ds *dataset.Dataset, parts [3][]int) {
	at := [3][]int{}
	for p, part := range parts {
		at[p] = ds.Counts(append([]int{}, part...)) // nil would be all
	}
	for l, name := range ds.Labels {
		c := dataTotal{Train: at[0][l], Val: at[1][l], Test: at[2][l]}
		c.All = c.Train + c.Val + c.Test
		d.Counts = append(d.Counts, dataCount{name, c})
	}
	d.Total = dataTotal{len(parts[0]), len(parts[1]), len(parts[2]), len(parts[0]) + len(parts[1]) + len(parts[2])}
}

// measure fills in sizes and modes.
func (d *dataDocument) measure(ds *dataset.Dataset) {
	sizes, modes := map[[2]int]int{}, map[dataMode]int{}
	for i := range ds.Samples {
		x := ds.Info(i)
		if x.Err != nil {
			continue
		}
		d.Bytes += x.Bytes
		sizes[[2]int{x.W, x.H}]++
		modes[dataMode{Format: x.Format, Channels: x.Channels, Bits: x.Bits}]++
	}
	all := make([]dataSize, 0, len(sizes))
	for s, n := range sizes {
		all = append(all, dataSize{s[0], s[1], n})
	}
	slices.SortFunc(all, func(a, b dataSize) int {
		return cmp.Or(cmp.Compare(a.Width*a.Height, b.Width*b.Height), cmp.Compare(a.Width, b.Width))
	})
	d.Sizes = dataSizes{Distinct: len(all), Common: []dataSize{}}
	if len(all) > 0 {
		d.Sizes.Smallest, d.Sizes.Largest = all[0], all[len(all)-1]
		slices.SortStableFunc(all, func(a, b dataSize) int { return cmp.Compare(b.Images, a.Images) })
		d.Sizes.Common = all[:min(10, len(all))]
	}
	d.Modes = []dataMode{}
	for m, n := range modes {
		m.Images = n
		d.Modes = append(d.Modes, m)
	}
	slices.SortFunc(d.Modes, func(a, b dataMode) int {
		return cmp.Or(cmp.Compare(b.Images, a.Images), cmp.Compare(a.Format, b.Format), cmp.Compare(a.Channels, b.Channels), cmp.Compare(a.Bits, b.Bits))
	})
}

// relate fills in what belongs together: groups and copies.
func (d *dataDocument) relate(ds *dataset.Dataset) {
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
	d.Duplicates = []dataCopies{}
	for _, set := range ds.Copies() {
		var c dataCopies
		for _, i := range set {
			c.Images, c.Labels = append(c.Images, ds.Samples[i].Path), append(c.Labels, ds.LabelsOf(i))
		}
		c.LabelsVary = len(slices.Compact(sorted(slices.Clone(c.Labels)))) > 1
		d.Duplicates = append(d.Duplicates, c)
	}
}

// listedAtMost is the number of copies and unreadable files that are shown to people; --json has all.
const listedAtMost = 10

func (d *dataDocument) print(s *stdio) {
	s.printf("data       %s", d.Path)
	s.entry("read as    ", "%s", d.Understood)
	for _, n := range d.Notes {
		s.entry("           ", "%s", n)
	}
	for k, l := range d.LeftOut {
		s.entry(fmt.Sprintf("%-11s", titleOnce("left out", k)), "%s %s: %s", text.Count(int64(l.Files)), l.Reason, firstOf(l.First, l.Files))
	}
	s.printf("sha256     %s", hexOf(d.Digest))
	s.printf("task       %s, %d labels", d.Task, len(d.Labels))
	s.printf("images     %s, %s", text.Count(int64(d.Images)), text.Bytes(d.Bytes))
	s.printf("")
	d.printCounts(s)
	s.printf("split      %s", d.Rule)
	for f, x := range d.Folds {
		s.printf("  fold %-3d train %d, val %d, held out %d %v", f+1, x.Train, x.Val, x.Held, x.Counts)
	}
	s.printf("")
	for k, m := range d.Modes {
		colour := map[int]string{1: "grey", 3: "colour"}[m.Channels]
		s.printf("%-10s %s, %s, %d bits: %s", titleOnce("kinds", k), m.Format, colour, m.Bits, text.Count(int64(m.Images)))
	}
	d.printSizes(s)
	if d.Groups.Groups > 0 {
		s.printf("groups     %s of %s images, %d in the largest", text.Count(int64(d.Groups.Groups)), text.Count(int64(d.Groups.Images)), d.Groups.Largest)
	} else {
		s.entry("groups     ", "none known: if a patient has several images, name the column with --group-column")
	}
	if len(d.Attributes) > 0 {
		s.entry("columns    ", "%s", strings.Join(d.Attributes, ", "))
	}
	d.printOffenders(s)
	d.printDoubts(s)
	if d.Sheet != "" {
		s.printf("sheet      %s", d.Sheet)
	}
	for _, w := range d.Warnings {
		s.notef("note: %s", w)
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return text.Count(int64(n)) + " " + many
}

// titleOnce is the title in the first of several lines.
func titleOnce(title string, line int) string {
	if line > 0 {
		return ""
	}
	return title
}

// printCounts is the table of labels and splits.
func (d *dataDocument) printCounts(s *stdio) {
	width := len("all images")
	for _, c := range d.Counts {
		width = max(width, utf8.RuneCountInString(c.Label))
	}
	s.printf("%-*s  %7s %7s %7s %7s   share", width, "label", "train", "val", "test", "all")
	row := func(label string, c dataTotal) {
		share := 0.0
		if d.Total.All > 0 {
			share = 100 * float64(c.All) / float64(d.Total.All)
		}
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(label))
		s.printf("%s%s  %7d %7d %7d %7d  %5.1f%%", label, pad, c.Train, c.Val, c.Test, c.All, share)
	}
	for _, c := range d.Counts {
		row(c.Label, c.dataTotal)
	}
	row("all images", d.Total)
	s.printf("")
}

func (d *dataDocument) printSizes(s *stdio) {
	x := d.Sizes
	show := func(z dataSize) string { return fmt.Sprintf("%d x %d", z.Width, z.Height) }
	switch {
	case x.Distinct == 0:
		s.printf("sizes      none")
	case x.Distinct == 1:
		s.printf("sizes      %s, all of them", show(x.Smallest))
	default:
		s.entry("sizes      ", "%d, from %s to %s; the most frequent %s (%s)", x.Distinct, show(x.Smallest), show(x.Largest), show(x.Common[0]), text.Count(int64(x.Common[0].Images)))
	}
}

// firstOf joins the first names of n.
func firstOf(names []string, n int) string {
	line := strings.Join(names, ", ")
	if hidden := n - len(names); hidden > 0 {
		line += fmt.Sprintf(" and %d more", hidden)
	}
	return line
}

// doubt fills in what was understood, and what a reader should doubt.
func (d *dataDocument) doubt(ds *dataset.Dataset) {
	d.Understood, d.Notes, d.LeftOut, d.Shortcuts = ds.Understood(), append([]string{}, ds.Notes...), []dataLeftOut{}, []dataShort{}
	at := map[string]int{}
	for _, l := range ds.LeftOut {
		k, ok := at[l.Reason]
		if !ok {
			k = len(d.LeftOut)
			at[l.Reason] = k
			d.LeftOut = append(d.LeftOut, dataLeftOut{Reason: l.Reason, First: []string{}})
		}
		if d.LeftOut[k].Files++; len(d.LeftOut[k].First) < 3 {
			d.LeftOut[k].First = append(d.LeftOut[k].First, l.Name)
		}
	}
	pairs, all := ds.NearCopies(listedAtMost)
	d.Near = dataNear{Pairs: all, First: []dataNearPair{}}
	for _, p := range pairs {
		d.Near.First = append(d.Near.First, dataNearPair{[2]string{ds.Samples[p[0]].Path, ds.Samples[p[1]].Path},
			[2]string{ds.LabelsOf(p[0]), ds.LabelsOf(p[1])}})
	}
	for _, x := range ds.Shortcuts() {
		d.Shortcuts = append(d.Shortcuts, dataShort{x.Property, x.Label, x.AUC, x.Strong()})
		if x.Strong() {
			d.Warnings = append(d.Warnings, fmt.Sprintf("%q can be told by the files alone: %s gives an AUC of %.2f, and a model may learn that", x.Label, x.Property, x.AUC))
		}
	}
}

// shownShortcuts is the number of shortcuts that are shown to people.
const shownShortcuts = 5

// printDoubts shows near copies and shortcuts.
func (d *dataDocument) printDoubts(s *stdio) {
	s.printf("near       %s", plural(d.Near.Pairs, "pair of images looks alike", "pairs of images look alike"))
	for _, p := range d.Near.First {
		labels := p.Labels[0]
		if p.Labels[1] != labels {
			labels += " and " + p.Labels[1]
		}
		s.printf("  %s ~ %s   %s", p.Images[0], p.Images[1], labels)
	}
	if len(d.Shortcuts) == 0 {
		s.printf("shortcuts  none: files of all labels are alike in size, format and depth")
		return
	}
	s.printf("shortcuts  how well a label is told by the file alone (AUC; 0.5: not at all)")
	for _, x := range d.Shortcuts[:min(shownShortcuts, len(d.Shortcuts))] {
		mark := ""
		if x.Strong {
			mark = "   a model may learn this"
		}
		s.printf("  %.2f  %-22s %s%s", x.AUC, x.Property, x.Label, mark)
	}
}

// printOffenders lists copies and files that cannot be read.
func (d *dataDocument) printOffenders(s *stdio) {
	s.printf("copies     %s", plural(len(d.Duplicates), "image stands more than once", "images stand more than once"))
	for _, c := range d.Duplicates[:min(listedAtMost, len(d.Duplicates))] {
		vary := ""
		if c.LabelsVary {
			vary = "   labels: " + strings.Join(c.Labels, ", ")
		}
		s.printf("  %s%s", strings.Join(c.Images, " = "), vary)
	}
	s.printf("unreadable %d", len(d.Unreadable))
	for _, f := range d.Unreadable[:min(listedAtMost, len(d.Unreadable))] {
		s.printf("  %s", f.Error)
	}
	if hidden := max(len(d.Duplicates), len(d.Unreadable)) - listedAtMost; hidden > 0 {
		s.printf("  (--json lists all)")
	}
}
