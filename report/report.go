// Package report writes results as one HTML file that needs nothing else: no network, no other file. A short script that the
// file carries itself shows values under the pointer, enlarges pictures and moves the prevalence; without it, and on paper,
// everything is there to read.
//
// A [Page] is plain data. Whatever comes from outside (labels, paths, columns) is escaped here, when it is written.
package report

import (
	"fmt"
	"html"
	"io"
	"strings"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/report/plot"
)

// Page is a report.
type Page struct {
	Title    string
	Lead     string   // a sentence under the title
	Warnings []string // what to know before believing the numbers
	Facts    []Fact   // what was measured, on what, and how
	Sections []Section
	Notice   string // at the end, and under the title
}

// Fact is a name with a value.
type Fact struct{ Name, Value string }

// Section is a part of a page with a heading.
type Section struct {
	Title string
	Parts []Part
}

// Part is a Text, a Command, a Table, Figures, Matrices, Pictures or a Yield.
type Part interface{ write(w *writer) }

// Text is a paragraph.
type Text string

// Command is a command line, set in a fixed font.
type Command string

// Table has a heading for each column, and rows of as many cells.
type Table struct {
	Caption string
	Head    []string
	Rows    [][]string
	// Words is how many of the first columns hold words rather than numbers; 0: one. The first cell of a row is its
	// heading. What follows a line break in a cell is set smaller.
	Words int
}

// Figures stand side by side where there is room.
type Figures []*plot.Figure

// Matrices are confusion matrices, side by side where there is room.
type Matrices []Matrix

// Matrix counts decisions: Counts[true label][decided label], means over several runs maybe.
type Matrix struct {
	Title  string
	Labels []string
	Counts [][]float64
}

// Pictures are images with what there is to say about each.
type Pictures struct {
	Title string
	List  []Picture
}

// Picture is a JPEG with lines of text under it.
type Picture struct {
	JPEG    []byte
	W, H    int
	Alt     string
	Lines   []string
	Verdict Verdict  // on an answer about it
	Beside  *Picture // the same with something over it, to its right; its Lines are not written
}

// Verdict is whether what was answered about a picture is true.
type Verdict int

// The verdicts.
const (
	Unjudged Verdict = iota
	Right
	Wrong
)

// writer collects a page.
type writer struct {
	strings.Builder
	figures, yields int // so far
}

// esc is text for an element or an attribute. A number and its per cent sign stay on one line.
func esc(s string) string {
	return strings.ReplaceAll(html.EscapeString(plot.Clean(s)), " %", "\u00a0%")
}

func (w *writer) f(format string, args ...any) { fmt.Fprintf(&w.Builder, format, args...) }

// WriteFile replaces the file at path with the page.
func (p *Page) WriteFile(path string) error { return atomicfile.Write(path, 0o666, p.Write) }

// Write writes the page as HTML.
func (p *Page) Write(out io.Writer) error {
	w := &writer{}
	w.f("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
	w.f("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src '%s'\">\n", scriptHash())
	w.f("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n")
	w.f("<title>%s</title>\n<style>\n%s%s%s</style>\n</head>\n<body>\n", esc(p.Title), style, shadeRules(), plot.CSS())
	w.f("<header>\n<h1>%s</h1>\n", esc(p.Title))
	if p.Lead != "" {
		w.f("<p class=\"lead\">%s</p>\n", esc(p.Lead))
	}
	if p.Notice != "" {
		w.f("<p class=\"notice\">%s</p>\n", esc(p.Notice))
	}
	w.f("</header>\n")
	p.contents(w)
	w.f("<main>\n")
	if len(p.Warnings) > 0 {
		w.f("<section aria-label=\"Cautions\"><ul class=\"warnings\">\n")
		for _, t := range p.Warnings {
			w.f("<li>%s</li>\n", esc(t))
		}
		w.f("</ul></section>\n")
	}
	for i := range p.Sections {
		s := &p.Sections[i]
		w.f("<section aria-labelledby=\"s%d\">\n<h2 id=\"s%d\">%s</h2>\n", i+1, i+1, esc(s.Title))
		for _, part := range s.Parts {
			part.write(w)
		}
		w.f("</section>\n")
	}
	if len(p.Facts) > 0 {
		w.f("<section aria-labelledby=\"facts\">\n<h2 id=\"facts\">What was measured</h2>\n<dl>\n")
		for _, f := range p.Facts {
			w.f("<div><dt>%s</dt><dd>%s</dd></div>\n", esc(f.Name), esc(f.Value))
		}
		w.f("</dl>\n</section>\n")
	}
	w.f("</main>\n")
	if p.Notice != "" {
		w.f("<footer><p class=\"notice\">%s</p></footer>\n", esc(p.Notice))
	}
	w.f("<script>%s</script>\n</body>\n</html>\n", script)
	_, err := io.WriteString(out, w.String())
	return err
}

// contents lists the sections of a long page.
func (p *Page) contents(w *writer) {
	if len(p.Sections) < 3 {
		return
	}
	w.f("<nav aria-label=\"Contents\"><ul>\n")
	for i := range p.Sections {
		w.f("<li><a href=\"#s%d\">%s</a></li>\n", i+1, esc(p.Sections[i].Title))
	}
	if len(p.Facts) > 0 {
		w.f("<li><a href=\"#facts\">What was measured</a></li>\n")
	}
	w.f("</ul></nav>\n")
}

func (t Text) write(w *writer) { w.f("<p>%s</p>\n", esc(string(t))) }

// write puts each word into an element of its own, so that a line is not broken within "--option".
func (c Command) write(w *writer) {
	w.f("<pre><code>")
	for i, word := range strings.Split(plot.Clean(string(c)), " ") {
		if i > 0 {
			w.f(" ")
		}
		w.f("<span>%s</span>", html.EscapeString(word))
	}
	w.f("</code></pre>\n")
}

// scroll begins a box for what may be wider than the page: it scrolls by itself, with the keyboard, too.
func (w *writer) scroll(label string) {
	w.f("<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"%s\">", esc(label))
}

func (t *Table) write(w *writer) {
	w.scroll(t.Caption)
	w.f("<table>\n")
	if t.Caption != "" {
		w.f("<caption><span>%s</span></caption>\n", esc(t.Caption))
	}
	words := max(t.Words, 1)
	class := func(i int) string {
		if i < words {
			return ""
		}
		return ` class="n"`
	}
	w.f("<thead><tr>")
	for i, h := range t.Head {
		w.f("<th scope=\"col\"%s>%s</th>", class(i), esc(h))
	}
	w.f("</tr></thead>\n<tbody>\n")
	for _, row := range t.Rows {
		w.f("<tr>")
		for i, cell := range row {
			kind := "td" + class(i)
			if i == 0 {
				kind = `th scope="row"`
			}
			value, below, _ := strings.Cut(cell, "\n")
			w.f("<%s>%s", kind, esc(value))
			if below != "" {
				w.f("<small>%s</small>", esc(below))
			}
			w.f("</%s>", kind[:2])
		}
		w.f("</tr>\n")
	}
	w.f("</tbody>\n</table></div>\n")
}

func (list Figures) write(w *writer) {
	w.f("<div class=\"figures\">\n")
	for _, f := range list {
		w.figures++
		w.f("<figure>\n")
		if f.Title != "" {
			w.f("<figcaption>%s</figcaption>\n", esc(f.Title))
		}
		id := fmt.Sprintf("figure-%d", w.figures)
		w.f("%s\n", f.SVG(id))
		if shades := f.Shades(); shades != nil && len(shades) <= maxShades {
			w.f("<fieldset class=\"pick\"><legend>interval of</legend>")
			for i, name := range shades {
				checked := ""
				if i == 0 {
					checked = " checked"
				}
				w.f("<label><input type=\"radio\" name=\"%s-shade\" value=\"%d\"%s>%s</label>", id, i+1, checked, esc(name))
			}
			w.f("</fieldset>\n")
		}
		w.f("</figure>\n")
	}
	w.f("</div>\n")
}
