package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/text"
)

// dataView shows a document of "melo data" to people.
type dataView struct{ *experiment.DataDocument }

// listedAtMost is the number of copies and unreadable files that are shown to people; --json has all.
const listedAtMost = 10

func (d dataView) print(s *stdio) {
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
func (d dataView) printCounts(s *stdio) {
	width := len("all images")
	for _, c := range d.Counts {
		width = max(width, utf8.RuneCountInString(c.Label))
	}
	s.printf("%-*s  %7s %7s %7s %7s   share", width, "label", "train", "val", "test", "all")
	row := func(label string, c experiment.DataTotal) {
		share := 0.0
		if d.Total.All > 0 {
			share = 100 * float64(c.All) / float64(d.Total.All)
		}
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(label))
		s.printf("%s%s  %7d %7d %7d %7d  %5.1f%%", label, pad, c.Train, c.Val, c.Test, c.All, share)
	}
	for _, c := range d.Counts {
		row(c.Label, c.DataTotal)
	}
	row("all images", d.Total)
	s.printf("")
}

func (d dataView) printSizes(s *stdio) {
	x := d.Sizes
	show := func(z experiment.DataSize) string { return fmt.Sprintf("%d x %d", z.Width, z.Height) }
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

// shownShortcuts is the number of shortcuts that are shown to people.
const shownShortcuts = 5

// printDoubts shows near copies and shortcuts.
func (d dataView) printDoubts(s *stdio) {
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
func (d dataView) printOffenders(s *stdio) {
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
