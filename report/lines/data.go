package lines

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/text"
)

// dataView shows parts of a document of "melo data".
type dataView struct{ *experiment.DataDocument }

// listedAtMost is the number of copies and unreadable files that are shown to people; --json has all.
const listedAtMost = 10

// Data shows a data set.
func Data(l Writer, doc *experiment.DataDocument) {
	d := dataView{doc}
	l.Printf("data       %s", d.Path)
	l.Entry("read as    ", "%s", d.Understood)
	for _, n := range d.Notes {
		l.Entry("           ", "%s", n)
	}
	for k, x := range d.LeftOut {
		l.Entry(fmt.Sprintf("%-11s", titleOnce("left out", k)), "%s %s: %s", text.Count(int64(x.Files)), x.Reason, firstOf(x.First, x.Files))
	}
	l.Printf("sha256     %s", hexOf(d.Digest))
	l.Printf("task       %s, %d labels", d.Task, len(d.Labels))
	l.Printf("images     %s, %s", text.Count(int64(d.Images)), text.Bytes(d.Bytes))
	l.Printf("")
	d.printCounts(l)
	l.Printf("split      %s", d.Rule)
	for f, x := range d.Folds {
		l.Printf("  fold %-3d train %d, val %d, held out %d %v", f+1, x.Train, x.Val, x.Held, x.Counts)
	}
	l.Printf("")
	for k, m := range d.Modes {
		colour := map[int]string{1: "grey", 3: "colour"}[m.Channels]
		l.Printf("%-10s %s, %s, %d bits: %s", titleOnce("kinds", k), m.Format, colour, m.Bits, text.Count(int64(m.Images)))
	}
	d.printSizes(l)
	if d.Groups.Groups > 0 {
		l.Printf("groups     %s of %s images, %d in the largest", text.Count(int64(d.Groups.Groups)), text.Count(int64(d.Groups.Images)), d.Groups.Largest)
	} else {
		l.Entry("groups     ", "none known: if a patient has several images, name the column with --group-column, or what names it in the paths with --group-pattern")
	}
	if len(d.Attributes) > 0 {
		l.Entry("columns    ", "%s", strings.Join(d.Attributes, ", "))
	}
	d.printOffenders(l)
	d.printDoubts(l)
	if d.Sheet != "" {
		l.Printf("sheet      %s", d.Sheet)
	}
}

// titleOnce is the title in the first of several lines.
func titleOnce(title string, line int) string {
	if line > 0 {
		return ""
	}
	return title
}

// printCounts is the table of labels and splits.
func (d dataView) printCounts(l Writer) {
	width := len("all images")
	for _, c := range d.Counts {
		width = max(width, utf8.RuneCountInString(c.Label))
	}
	l.Printf("%-*s  %7s %7s %7s %7s   share", width, "label", "train", "val", "test", "all")
	row := func(label string, c experiment.DataTotal) {
		share := 0.0
		if d.Total.All > 0 {
			share = 100 * float64(c.All) / float64(d.Total.All)
		}
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(label))
		l.Printf("%s%s  %7d %7d %7d %7d  %5.1f%%", label, pad, c.Train, c.Val, c.Test, c.All, share)
	}
	for _, c := range d.Counts {
		row(c.Label, c.DataTotal)
	}
	row("all images", d.Total)
	l.Printf("")
}

func (d dataView) printSizes(l Writer) {
	x := d.Sizes
	show := func(z experiment.DataSize) string { return fmt.Sprintf("%d x %d", z.Width, z.Height) }
	switch {
	case x.Distinct == 0:
		l.Printf("sizes      none")
	case x.Distinct == 1:
		l.Printf("sizes      %s, all of them", show(x.Smallest))
	default:
		l.Entry("sizes      ", "%d, from %s to %s; the most frequent %s (%s)", x.Distinct, show(x.Smallest), show(x.Largest), show(x.Common[0]), text.Count(int64(x.Common[0].Images)))
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
func (d dataView) printDoubts(l Writer) {
	l.Printf("near       %s", text.Plural(d.Near.Pairs, "pair of images looks alike", "pairs of images look alike"))
	for _, p := range d.Near.First {
		labels := p.Labels[0]
		if p.Labels[1] != labels {
			labels += " and " + p.Labels[1]
		}
		l.Printf("  %s ~ %s   %s", p.Images[0], p.Images[1], labels)
	}
	if len(d.Shortcuts) == 0 {
		l.Printf("shortcuts  none: files of all labels are alike in size, format and depth")
		return
	}
	l.Printf("shortcuts  how well a label is told by the file alone (AUC; 0.5: not at all)")
	for _, x := range d.Shortcuts[:min(shownShortcuts, len(d.Shortcuts))] {
		mark := ""
		if x.Strong {
			mark = "   a model may learn this"
		}
		l.Printf("  %.2f  %-22s %s%s", x.AUC, x.Property, x.Label, mark)
	}
}

// printOffenders lists copies and files that cannot be read.
func (d dataView) printOffenders(l Writer) {
	l.Printf("copies     %s", text.Plural(len(d.Duplicates), "image stands more than once", "images stand more than once"))
	for _, c := range d.Duplicates[:min(listedAtMost, len(d.Duplicates))] {
		vary := ""
		if c.LabelsVary {
			vary = "   labels: " + strings.Join(c.Labels, ", ")
		}
		l.Printf("  %s%s", strings.Join(c.Images, " = "), vary)
	}
	l.Printf("unreadable %d", len(d.Unreadable))
	for _, f := range d.Unreadable[:min(listedAtMost, len(d.Unreadable))] {
		l.Printf("  %s", f.Error)
	}
	if hidden := max(len(d.Duplicates), len(d.Unreadable)) - listedAtMost; hidden > 0 {
		l.Printf("  (--json lists all)")
	}
}
