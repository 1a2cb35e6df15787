package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"image/jpeg"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/imaging"
	"melo.example/melo/metric"
	"melo.example/melo/report/plot"
)

// hostile is a name that wants to be something else wherever it is written.
const hostile = "</td></svg><script>alert('1')</script>\"><img src=x onerror=alert(1)>\x00\u202e&amp;"

// element is a start tag with its attributes.
type element struct {
	name string
	attr map[string]string
}

// parse reads a page, in which every element must be closed, and returns its elements and its text.
func parse(t *testing.T, page string) (elements []element, text string) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(page, "<!DOCTYPE html>")))
	dec.Strict, dec.AutoClose, dec.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	depth := 0
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			if depth != 0 {
				t.Errorf("%d elements are not closed", depth)
			}
			return elements, text
		}
		if err != nil {
			t.Fatalf("%v in %.2000s", err, page)
		}
		switch x := token.(type) {
		case xml.StartElement:
			depth++
			e := element{x.Name.Local, map[string]string{}}
			for _, a := range x.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			elements = append(elements, e)
		case xml.EndElement:
			depth--
		case xml.CharData:
			text += string(x)
		}
	}
}

// predictions of two labels that exclude each other.
func predictions(n int) *metric.Predictions {
	rng := rand.New(rand.NewPCG(1, 2))
	p := &metric.Predictions{Labels: 2, Exclusive: true}
	for i := range n {
		v := rng.Float64()*0.7 + 0.3*float64(i%2)
		p.Prob, p.Truth = append(p.Prob, 1-v, v), append(p.Truth, i%2 == 0, i%2 == 1)
	}
	return p
}

func samplePage(t *testing.T) *Page {
	t.Helper()
	p := predictions(60)
	boot := metric.Bootstrap{Resamples: 100}
	n, err1 := boot.Measure(t.Context(), p)
	bands, err2 := boot.Bands(t.Context(), []*metric.Predictions{p}, 1, metric.Grid(20))
	picture, err3 := NewPicture(&imaging.Image{W: 3, H: 2, C: 1, Bits: 8, Pix8: []uint8{0, 50, 100, 150, 200, 250}}, 100)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	picture.Alt, picture.Lines = hostile, []string{hostile, hostile}
	rank := []Ranking{{Name: hostile, Bands: bands, AUC: n.Labels[1].AUC, Curve: metric.NewCurve(p.Column(1))}, {Name: "mean", Bands: bands}}
	confidence, right := p.Confidences()
	return &Page{Title: hostile, Lead: hostile, Notice: hostile, Warnings: []string{hostile}, Facts: []Fact{{hostile, hostile}},
		Sections: []Section{
			{Title: hostile, Parts: []Part{Text(hostile), Command(hostile), &Table{Caption: hostile, Head: []string{hostile, "n"}, Rows: [][]string{{hostile, hostile + "\n" + hostile}}}}},
			{Title: "figures", Parts: []Part{Figures{ROC(hostile, rank), PrecisionRecall("pr", 0.5, rank),
				Reliability("r", metric.Reliability(confidence, right, 15), n.ECE, 1),
				Learning("l", "AUC", []Run{{Name: hostile, Epoch: []int{1, 2, 3}, Value: []float64{0.5, math.NaN(), 0.7}, Best: 3}})}}},
			{Title: "matrix", Parts: []Part{Matrices{{Title: hostile, Labels: []string{hostile, "b"}, Counts: [][]float64{{3, 1.5}, {0, 0}}}}}},
			{Title: "pictures", Parts: []Part{&Pictures{Title: hostile, List: []Picture{*picture}}}},
		}}
}

// TestPage: a page is whole, needs nothing from outside, can be read by machines, and no name is more than text.
func TestPage(t *testing.T) {
	var b bytes.Buffer
	if err := samplePage(t).Write(&b); err != nil {
		t.Fatal(err)
	}
	page, code := withoutScript(t, b.String())
	sum := sha256.Sum256([]byte(code))
	if want := "script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'\">"; !strings.Contains(page, want) {
		t.Errorf("the page does not allow its own script alone: want %s", want)
	}
	elements, text := parse(t, page)
	ids, count := map[string]bool{}, map[string]int{}
	for _, e := range elements {
		count[e.name]++
		if id := e.attr["id"]; id != "" {
			if ids[id] {
				t.Errorf("two elements have the id %q", id)
			}
			ids[id] = true
		}
		for name, v := range e.attr {
			if strings.HasPrefix(name, "on") || name == "href" && !strings.HasPrefix(v, "#") || name == "src" && !strings.HasPrefix(v, "data:image/jpeg;base64,") {
				t.Errorf("%s has %s=%q", e.name, name, v)
			}
		}
	}
	for _, e := range elements {
		for _, name := range []string{"aria-labelledby", "href"} {
			for _, id := range strings.Fields(e.attr[name]) {
				if !ids[strings.TrimPrefix(id, "#")] {
					t.Errorf("%s refers to %q, which is not there", e.name, id)
				}
			}
		}
		if e.name == "img" && e.attr["alt"] == "" || e.name == "svg" && e.attr["role"] != "img" {
			t.Errorf("%s has no text: %v", e.name, e.attr)
		}
	}
	if count["script"]+count["link"]+count["iframe"] > 0 || count["img"] != 1 || count["svg"] != 4 || count["title"] != 5 || count["h1"] != 1 {
		t.Errorf("elements %v", count)
	}
	if strings.Contains(page, "http://") || strings.Contains(page, "https://") {
		t.Error("the page names something outside")
	}
	if !strings.Contains(page, "default-src 'none'") {
		t.Error("the page has no content security policy")
	}
	if got, want := strings.Count(text, "<script>alert('1')</script>"), 20; got < want {
		t.Errorf("the name is written %d times, want at least %d", got, want)
	}
	if strings.ContainsAny(text, "\x00\u202e") {
		t.Error("control characters are written")
	}
}

// withoutScript cuts the one script out of a page and returns both.
func withoutScript(t *testing.T, page string) (rest, code string) {
	t.Helper()
	before, after, ok := strings.Cut(page, "<script>")
	code, end, ok2 := strings.Cut(after, "</script>")
	if !ok || !ok2 || code != script || end != "\n</body>\n</html>\n" {
		t.Fatalf("the page has no script of its own at its end: %q", end)
	}
	for _, bad := range []string{"innerHTML", "eval(", "http", "</", "Function("} {
		if strings.Contains(code, bad) {
			t.Errorf("the script has %q", bad)
		}
	}
	return before + end, code
}

// TestShades: of several intervals a figure shows one, that which is chosen below it.
func TestShades(t *testing.T) {
	bands, err := metric.Bootstrap{Resamples: 100}.Bands(t.Context(), []*metric.Predictions{predictions(40)}, 1, metric.Grid(10))
	if err != nil {
		t.Fatal(err)
	}
	var one, two writer
	Figures{ROC("", []Ranking{{Name: "a", Bands: bands}})}.write(&one)
	Figures{ROC("", []Ranking{{Name: "a", Bands: bands}, {Name: "<b>", Bands: bands}})}.write(&two)
	if strings.Contains(one.String(), "<input") || strings.Contains(one.String(), "class=\"shade") {
		t.Error("there is something to choose of one interval")
	}
	for _, want := range []string{`value="1" checked>a</label>`, `value="2">&lt;b&gt;</label>`, `class="shade s1"`, `class="shade s2"`} {
		if !strings.Contains(two.String(), want) {
			t.Errorf("the figure of two lacks %q", want)
		}
	}
}

// TestYield: the table is that of Bayes' rule, and intervals of the ratios hold the value and are open where nothing was wrong.
func TestYield(t *testing.T) {
	share := func(n, of int) metric.Estimate {
		low, high := metric.Wilson(n, of, 0.95)
		return metric.Estimate{Value: float64(n) / float64(of), Defined: true, Low: low, High: high, Bounded: true}
	}
	y := &Yield{Label: "ill", Sensitivity: share(45, 50), Specificity: share(160, 200), Prevalence: 0.2}
	yes, no := y.Ratios()
	// The interval of the ratio of two shares by scores (Koopman) of 45/50 and 40/200 is 3.37 to 6.03: this one is close to it.
	if math.Abs(yes.Value-4.5) > 1e-12 || yes.Low < 3.3 || yes.Low > 3.5 || yes.High < 5.8 || yes.High > 6.2 || math.Abs(no.Value-0.125) > 1e-12 || no.Low > 0.07 || no.High < 0.25 {
		t.Errorf("%+v, %+v", yes, no)
	}
	rows := y.table(yes, no).Rows
	at := slices.IndexFunc(rows, func(r []string) bool { return strings.Contains(r[0], "as here") })
	if at < 0 || len(rows) != len(prevalences) {
		t.Fatalf("%q", rows)
	}
	if got := strings.Join(rows[at][:5], "|"); got != "20\u00a0%\nas here|200|180|20|160" || !strings.HasPrefix(rows[at][5], "53\u00a0%\n(") || !strings.HasPrefix(rows[at][6], "97\u00a0%\n(") {
		t.Errorf("%q", rows[at])
	}
	for name, y := range map[string]*Yield{"all right": {Sensitivity: share(50, 50), Specificity: share(50, 50), Prevalence: 0.01},
		"all wrong": {Sensitivity: share(0, 50), Specificity: share(0, 50), Prevalence: 0.99}, "no interval": {Sensitivity: metric.Estimate{Defined: true}, Specificity: metric.Estimate{Value: 1, Defined: true}, Prevalence: 0.5}} {
		var w writer
		y.write(&w)
		if strings.Contains(w.String(), "NaN") || strings.Contains(w.String(), "%!") {
			t.Errorf("%s: %s", name, w.String())
		}
	}
	if yes, _ := (&Yield{Sensitivity: share(50, 50), Specificity: share(50, 50)}).Ratios(); !math.IsInf(yes.Value, 1) || !math.IsInf(yes.High, 1) || yes.Low < 5 || yes.Low > 20 {
		t.Errorf("nothing wrong: %+v", yes)
	}
}

// TestMatrixShares: a cell has the number and its share of the true label.
func TestMatrixShares(t *testing.T) {
	var w writer
	Matrices{{Title: "m", Labels: []string{"a", "b"}, Counts: [][]float64{{3, 1}, {0, 0}}}}.write(&w)
	_, text := parse(t, w.String())
	if got := strings.Join(strings.Fields(text), " "); got != "m decided truthab a375 %125 % b00 %00 %" {
		t.Errorf("%q", got)
	}
}

// TestNewPicture: pictures are no larger than asked, of every kind of image, and show it.
func TestNewPicture(t *testing.T) {
	for _, m := range []*imaging.Image{
		{W: 1, H: 1, C: 1, Bits: 8, Pix8: []uint8{200}},
		{W: 700, H: 2, C: 1, Bits: 16, Pix16: filled[uint16](1400, 200<<8)},
		{W: 90, H: 300, C: 3, Bits: 8, Pix8: filled[uint8](81000, 200)},
		{W: 30, H: 20, C: 3, Bits: 16, Pix16: filled[uint16](1800, 200<<8)},
	} {
		p, err := NewPicture(m, 100)
		if err != nil {
			t.Fatal(err)
		}
		img, err := jpeg.Decode(bytes.NewReader(p.JPEG))
		if err != nil {
			t.Fatal(err)
		}
		if b := img.Bounds(); b.Dx() != p.W || b.Dy() != p.H || max(p.W, p.H) > 100 || p.W > m.W || p.H > m.H {
			t.Errorf("%d x %d became %v, said to be %d x %d", m.W, m.H, b, p.W, p.H)
		}
		if r, g, b, _ := img.At(p.W/2, p.H/2).RGBA(); r>>8 < 197 || r>>8 > 203 || g>>8 < 197 || b>>8 > 203 {
			t.Errorf("%d x %d: the middle is %d %d %d, want 200", m.W, m.H, r>>8, g>>8, b>>8)
		}
		var w writer
		(&Pictures{List: []Picture{*p}}).write(&w)
		if !strings.Contains(w.String(), base64.StdEncoding.EncodeToString(p.JPEG)) {
			t.Error("the picture is not in the page")
		}
	}
	if _, err := NewPicture(&imaging.Image{W: 500, H: 500, C: 1, Bits: 8}, 100); err == nil {
		t.Error("an image without samples became a picture")
	}
}

func filled[T uint8 | uint16](n int, v T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// TestCurvesOfFigures: what is drawn are the points of the curves, and the interval around them.
func TestCurvesOfFigures(t *testing.T) {
	p := predictions(40)
	bands, err := metric.Bootstrap{Resamples: 100}.Bands(t.Context(), []*metric.Predictions{p}, 1, metric.Grid(10))
	if err != nil {
		t.Fatal(err)
	}
	c := metric.NewCurve(p.Column(1))
	f := ROC("", []Ranking{{Bands: bands, Curve: c, AUC: metric.Estimate{Value: 0.7, Defined: true}}})
	var band, exact *plot.Series
	for k := range f.Series {
		switch s := &f.Series[k]; {
		case s.Low != nil:
			band = s
		case s.Name == "AUC 0.700":
			exact = s
		}
	}
	if band == nil || exact == nil || len(exact.X) != len(c) {
		t.Fatalf("series %+v", f.Series)
	}
	for i, pt := range c {
		if s, _ := pt.Sensitivity(); exact.Y[i] != s {
			t.Errorf("point %d is %v, want %v", i, exact.Y[i], s)
		}
	}
	for k := range band.X {
		if band.Low[k] != bands.ROC[k].Low || band.High[k] != bands.ROC[k].High || !math.IsNaN(band.Y[k]) {
			t.Errorf("at %v: %v to %v around %v", band.X[k], band.Low[k], band.High[k], band.Y[k])
		}
	}
	if f := Reliability("", make([]metric.Bin, 15), metric.Estimate{}, 1); f.SVG("a") == "" || strings.Contains(f.SVG("a"), "NaN") {
		t.Error("reliability of nothing")
	}
}
