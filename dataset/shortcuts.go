package dataset

import (
	"cmp"
	"math"
	"path"
	"slices"
	"strings"
)

// Shortcut is a property of files, and how well it predicts a label by itself.
type Shortcut struct {
	Property string  // "width", "format", or the name of a column
	Label    string  // the label that it predicts best
	AUC      float64 // AUC of the property for the label: 0.5 is chance, 1 perfect
	Positive int     // images with the label
	Images   int     // readable images
	Certain  bool    // far beyond chance for this number of images
}

// Thresholds of the AUC for a warning. File size also depends on the content of a picture, and a column that
// determines the label completely is the label under another name.
const (
	strongShortcut = 0.8
	strongBytes    = 0.95
	otherWords     = 0.99
)

// Strong reports whether a model could learn the property instead of the finding.
func (s *Shortcut) Strong() bool {
	switch {
	case strings.HasPrefix(s.Property, "bytes"):
		return s.Certain && s.AUC >= strongBytes
	case strings.HasPrefix(s.Property, columnPrefix) && s.AUC >= otherWords:
		return false
	}
	return s.Certain && s.AUC >= strongShortcut
}

// columnPrefix starts the names of properties that are columns.
const columnPrefix = "column "

// Shortcuts returns how well properties of the files alone predict labels, after Scan with Looks: sizes,
// formats, depth, border, markers in the corners, and other columns with few values. The strongest come first.
// Properties that are the same for all images are left out.
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

// attributes lists the other columns, sorted.
func (d *Dataset) attributes() []string {
	var names []string
	for name := range d.Samples[0].Attr {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// shortcut finds the label that the scores predict best. With either, low scores may also indicate the label.
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
			chance := math.Sqrt((n1 + n0 + 1) / (12 * n1 * n0)) // standard deviation of an AUC by chance
			best.Label, best.AUC, best.Positive = label, a, positive
			best.Certain = a-0.5 > 4*chance && min(n1, n0) >= fewOfDepth
		}
	}
	return best, differ && best.Label != ""
}

// rates returns, for each image, the frequency of the label among the other images of its category, shrunk to
// the overall mean if there are few. An image's own label is excluded.
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

// rankAUC returns the area under the ROC curve.
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
