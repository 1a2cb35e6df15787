package dataset

import (
	"cmp"
	"math"
	"path"
	"slices"
	"strings"
)

// Shortcut is a property of files, and how well a label can be told by it alone.
type Shortcut struct {
	Property string  // "width", "format", or the name of a column
	Label    string  // that is told best
	AUC      float64 // of the label by the property: 0.5 says nothing, 1 everything
	Positive int     // images with the label
	Images   int     // readable images
	Certain  bool    // far beyond chance for so many images
}

// A shortcut is a warning from an AUC of strongShortcut on. The size of a file follows what is in the picture, too, and a
// column that tells the label entirely is the label in other words.
const (
	strongShortcut = 0.8
	strongBytes    = 0.95
	otherWords     = 0.99
)

// Strong tells whether a model could learn the property rather than the finding.
func (s *Shortcut) Strong() bool {
	switch {
	case strings.HasPrefix(s.Property, "bytes"):
		return s.Certain && s.AUC >= strongBytes
	case strings.HasPrefix(s.Property, columnPrefix) && s.AUC >= otherWords:
		return false
	}
	return s.Certain && s.AUC >= strongShortcut
}

// columnPrefix begins the names of properties that are columns.
const columnPrefix = "column "

// Shortcuts tells how well labels are predicted by properties of the files alone, after Scan with Looks: sizes, formats, depth, border,
// markers in the corners, and further columns with few values. The strongest come first. A property that all images share
// is left out.
func (d *Dataset) Shortcuts() []Shortcut {
	var used []int
	for i := range d.infos {
		if d.usable(i) && d.looks[i] != nil {
			used = append(used, i)
		}
	}
	var out []Shortcut
	add := func(name string, either bool, score func(label int) []float64) {
		if s, ok := d.shortcut(name, used, either, score); ok {
			out = append(out, s)
		}
	}
	for _, p := range []struct {
		name string
		of   func(x *ImageInfo, i int) float64
	}{
		{"width", func(x *ImageInfo, _ int) float64 { return float64(x.W) }},
		{"height", func(x *ImageInfo, _ int) float64 { return float64(x.H) }},
		{"aspect ratio", func(x *ImageInfo, _ int) float64 { return float64(x.W) / float64(x.H) }},
		{"bytes", func(x *ImageInfo, _ int) float64 { return float64(x.Bytes) }},
		{"bytes a pixel", func(x *ImageInfo, _ int) float64 { return float64(x.Bytes) / float64(x.W*x.H) }},
		{"channels", func(x *ImageInfo, _ int) float64 { return float64(x.Channels) }},
		{"bits used", func(x *ImageInfo, _ int) float64 { return float64(scaleOf(x)) }},
		{"border brightness", func(_ *ImageInfo, i int) float64 { return float64(d.looks[i].border) }},
		{"marks in the corners", func(_ *ImageInfo, i int) float64 { return float64(d.looks[i].marks) }},
	} {
		values := make([]float64, len(used))
		for k, i := range used {
			values[k] = p.of(&d.infos[i], i)
		}
		add(p.name, true, func(int) []float64 { return values })
	}
	categories := func(name string, of func(i int) string) {
		values, distinct := make([]string, len(used)), map[string]bool{}
		for k, i := range used {
			values[k] = of(i)
			distinct[values[k]] = true
		}
		if len(distinct) > 1 && 4*len(distinct) <= len(used) {
			add(name, false, func(l int) []float64 { return d.rates(used, values, l) })
		}
	}
	categories("format", func(i int) string { return d.infos[i].Format + " " + strings.ToLower(path.Ext(d.Samples[i].Path)) })
	for _, name := range d.attributes() {
		categories(columnPrefix+name, func(i int) string { return d.Samples[i].Attr[name] })
	}
	slices.SortStableFunc(out, func(a, b Shortcut) int { return cmp.Compare(b.AUC, a.AUC) })
	return out
}

// attributes lists the further columns, sorted.
func (d *Dataset) attributes() []string {
	var names []string
	for name := range d.Samples[0].Attr {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// shortcut finds the label that scores tell best, either way round where low scores may mean it, too.
func (d *Dataset) shortcut(name string, used []int, either bool, score func(label int) []float64) (Shortcut, bool) {
	best := Shortcut{Property: name, Images: len(used)}
	differ := false
	for l, label := range d.Labels {
		values := score(l)
		positive := 0
		truth := make([]bool, len(used))
		for k, i := range used {
			truth[k] = d.has(i, l)
			if truth[k] {
				positive++
			}
		}
		differ = differ || slices.ContainsFunc(values, func(v float64) bool { return v != values[0] })
		if positive == 0 || positive == len(used) {
			continue
		}
		a := rankAUC(values, truth)
		if either {
			a = max(a, 1-a)
		}
		if a > best.AUC {
			n1, n0 := float64(positive), float64(len(used)-positive)
			chance := math.Sqrt((n1 + n0 + 1) / (12 * n1 * n0)) // of an AUC without any relation
			best.Label, best.AUC, best.Positive = label, a, positive
			best.Certain = a-0.5 > 4*chance && min(n1, n0) >= fewOfDepth
		}
	}
	return best, differ && best.Label != ""
}

// rates is, for each image, how frequent the label is among the other images of its category, drawn to the middle where
// these are few: an image's own label must not tell itself.
func (d *Dataset) rates(used []int, values []string, l int) []float64 {
	n, positive, all := map[string]float64{}, map[string]float64{}, 0.0
	for k, i := range used {
		n[values[k]]++
		if d.has(i, l) {
			positive[values[k]]++
			all++
		}
	}
	out := make([]float64, len(used))
	for k, i := range used {
		own := 0.0
		if d.has(i, l) {
			own = 1
		}
		prior := (all - own) / float64(max(len(used)-1, 1))
		out[k] = (positive[values[k]] - own + prior) / n[values[k]]
	}
	return out
}

// rankAUC is the area under the ROC curve: the chance that a positive has the greater value, ties counting half.
func rankAUC(values []float64, truth []bool) float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	positive, sum := 0, 0.0
	for i := 0; i < len(order); {
		j, hits := i, 0
		for ; j < len(order) && values[order[j]] == values[order[i]]; j++ {
			if truth[order[j]] {
				hits++
			}
		}
		sum += float64(hits) * (float64(i+j-1)/2 + 1)
		positive += hits
		i = j
	}
	n1, n0 := float64(positive), float64(len(values)-positive)
	return (sum - n1*(n1+1)/2) / (n1 * n0)
}
