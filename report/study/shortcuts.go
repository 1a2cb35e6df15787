package study

import (
	"fmt"
	"strconv"

	"melo.example/melo/explain/shortcut"
	"melo.example/melo/report"
)

// shortcuts says whether answers come from places where no finding is expected.
func (j evaluation) shortcuts() (report.Section, error) {
	f := j.Shortcuts
	s := report.Section{Title: "Does it read what is no finding?"}
	t := &report.Table{Caption: "Places where no finding is expected: their share of the maps and of the images, and what covering them takes from the answer's probability, with 95\u00a0% intervals",
		Words: 2, Head: []string{"place", "answers", "images", "share of the maps", "share of the image", "lost when covered", "answers that fall", ""}}
	for i := range f.Places {
		x := &f.Places[i]
		if x.Label != "" && !x.Suspicious { // of the answers with one label those that matter
			continue
		}
		answers := "all"
		if x.Label != "" {
			answers = x.Label
		}
		t.Rows = append(t.Rows, []string{string(x.Place), answers, strconv.Itoa(x.Images), percents(x.Share, x.ShareInterval), fmt.Sprintf("%.1f\u00a0%%", 100*x.Area),
			minus(percents(x.Drop, x.DropInterval)), fmt.Sprintf("%.0f\u00a0%%", 100*x.Flipped), map[bool]string{true: "suspicious"}[x.Suspicious]})
	}
	verdict := fmt.Sprintf("Of %d images, none of the places is suspicious.", f.Images)
	if f.Suspicious {
		verdict = "Some answers rest on places where no finding is expected. Look at the maps: is there a letter, a scale, a border that only some labels have?"
	}
	s.Parts = []report.Part{report.Text(verdict), t, report.Text(fmt.Sprintf("Maps by %s. A place is suspicious if maps have %.1f times its area of it, and covering it with the image's mean colour "+
		"takes %.0f points of probability beyond what covering as many patches elsewhere takes, beyond chance (corrected for the number of places). It does not find shortcuts that lie "+
		"where findings do, nor those of the whole image, such as its brightness: melo data looks for these.", f.Method, shortcut.LeastShare, 100*shortcut.LeastDrop))}
	p := &report.Pictures{Title: "Mean maps over the mean image, by the label that was answered"}
	for l, img := range j.MeanMaps {
		if img == nil {
			continue
		}
		x, err := report.NewPicture(img, pictureSide)
		if err != nil {
			return s, err
		}
		x.Alt, x.Lines = "Mean map of the answers "+j.Labels[l], []string{j.Labels[l]}
		p.List = append(p.List, *x)
	}
	if len(p.List) > 0 && len(p.List) <= maxReportLabels {
		s.Parts = append(s.Parts, p)
	}
	return s, nil
}

// percents is a share in per cent with its interval.
func percents(v float64, interval *[2]float64) string {
	text := fmt.Sprintf("%.1f\u00a0%%", 100*v)
	if interval != nil {
		text += fmt.Sprintf("\n(%.1f to %.1f)", 100*interval[0], 100*interval[1])
	}
	return text
}
