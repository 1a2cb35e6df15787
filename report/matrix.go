package report

import (
	"encoding/base64"
	"slices"
	"strconv"
)

func (list Matrices) write(w *writer) {
	w.f("<div class=\"matrices\">\n")
	for i := range list {
		list[i].write(w)
	}
	w.f("</div>\n")
}

// write shades each count by its share of the images that truly have the label.
func (m *Matrix) write(w *writer) {
	w.f("<div>")
	w.scroll(m.Title)
	w.f("<table class=\"matrix\">\n<caption><span>%s</span></caption>\n<thead><tr><td></td><th scope=\"colgroup\" colspan=\"%d\">decided</th></tr>\n<tr><th scope=\"col\">truth</th>",
		esc(m.Title), len(m.Labels))
	for _, l := range m.Labels {
		w.f("<th scope=\"col\" class=\"n\">%s</th>", esc(l))
	}
	w.f("</tr></thead>\n<tbody>\n")
	for t, row := range m.Counts {
		sum := 0.0
		for _, v := range row {
			sum += v
		}
		w.f("<tr><th scope=\"row\">%s</th>", esc(m.Labels[t]))
		for d, v := range row {
			share := 0.0
			if sum > 0 {
				share = v / sum
			}
			tone := "wrong"
			if t == d {
				tone = "right"
			}
			w.f("<td class=\"n %s\" style=\"--s:%.0f%%\">%s<small>%.0f\u00a0%%</small></td>", tone, 12+58*share, count(v), 100*share)
		}
		w.f("</tr>\n")
	}
	w.f("</tbody>\n</table></div></div>\n")
}

// count writes a number of images, or a mean over runs.
func count(v float64) string {
	if v == float64(int(v)) {
		return strconv.Itoa(int(v))
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

func (p *Pictures) write(w *writer) {
	if p.Title != "" {
		w.f("<h3>%s</h3>\n", esc(p.Title))
	}
	kind := "pictures"
	if slices.ContainsFunc(p.List, func(x Picture) bool { return x.Beside != nil }) {
		kind += " pairs"
	}
	w.f("<div class=\"%s\">\n", kind)
	for i := range p.List {
		x := &p.List[i]
		class := [...]string{"", " class=\"right\"", " class=\"wrong\""}[x.Verdict]
		w.f("<figure%s><div>", class)
		x.image(w)
		if x.Beside != nil {
			x.Beside.image(w)
		}
		w.f("</div><figcaption>")
		if x.Verdict != Unjudged {
			w.f("<span class=\"verdict\">%s</span>", [...]string{"", "✓ right", "✗ wrong"}[x.Verdict])
		}
		for k, line := range x.Lines {
			if k == 0 {
				w.f("<b>%s</b>", esc(line))
			} else {
				w.f("<br>%s", esc(line))
			}
		}
		w.f("</figcaption></figure>\n")
	}
	w.f("</div>\n")
}

func (x *Picture) image(w *writer) {
	w.f("<img width=\"%d\" height=\"%d\" alt=\"%s\" src=\"data:image/jpeg;base64,%s\">", x.W, x.H, esc(x.Alt), base64.StdEncoding.EncodeToString(x.JPEG))
}
