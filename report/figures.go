package report

import (
	"fmt"
	"math"
	"strings"

	"melo.example/melo/internal/text"
	"melo.example/melo/metric"
	"melo.example/melo/report/plot"
)

// Ranking is how well scores rank the images with a label before the others.
type Ranking struct {
	Name  string
	Bands *metric.Bands
	Curve metric.Curve    // of a single run, drawn step by step; nil: the mean curve of Bands
	AUC   metric.Estimate // area under the ROC curve
	AP    metric.Estimate // average precision, the area under the other
	Color int             // of plot.Series
	At    *[2]float64     // 1 − specificity and sensitivity of the decisions; nil: not shown
	// Operating are other points of the curve that one may decide at.
	Operating []Operating
}

// Operating is a point of a ROC curve, and what it is.
type Operating struct {
	Sensitivity, Specificity float64
	What                     string
}

// ROC draws receiver operating characteristics.
func ROC(title string, list []Ranking) *plot.Figure {
	f := &plot.Figure{Title: title, Square: true,
		X: plot.Axis{Label: "1 − specificity", Min: 0, Max: 1}, Y: plot.Axis{Label: "sensitivity", Min: 0, Max: 1}}
	for i := range list {
		r := &list[i]
		f.Series = append(f.Series, r.series(r.legend("AUC", r.AUC), r.Bands.ROC, func(p metric.Point) (x, y float64, ok bool) {
			specificity, ok1 := p.Specificity()
			sensitivity, ok2 := p.Sensitivity()
			return 1 - specificity, sensitivity, ok1 && ok2
		})...)
		if r.At != nil {
			f.Series = append(f.Series, plot.Series{Name: strings.TrimSpace(r.Name + " decisions"), Kind: plot.Points, X: r.At[:1], Y: r.At[1:], Color: r.Color})
		}
		if len(r.Operating) > 0 {
			points := plot.Series{Name: strings.TrimSpace(r.Name + " operating points"), Kind: plot.Points, Muted: true}
			for _, o := range r.Operating {
				points.X, points.Y = append(points.X, 1-o.Specificity), append(points.Y, o.Sensitivity)
				points.Notes = append(points.Notes, fmt.Sprintf("%s: sensitivity %.3f, specificity %.3f", o.What, o.Sensitivity, o.Specificity))
			}
			f.Series = append(f.Series, points)
		}
	}
	f.Series = append(f.Series, plot.Series{Name: "chance", X: []float64{0, 1}, Y: []float64{0, 1}, Muted: true})
	f.Text = rankingText("ROC curve, sensitivity against 1 − specificity. Area under it:", list, func(r *Ranking) metric.Estimate { return r.AUC })
	return f
}

// PrecisionRecall draws precision-recall curves, beside the share of images with the label, which is what chance
// would have.
func PrecisionRecall(title string, share float64, list []Ranking) *plot.Figure {
	f := &plot.Figure{Title: title, Square: true,
		X: plot.Axis{Label: "sensitivity (recall)", Min: 0, Max: 1}, Y: plot.Axis{Label: "precision", Min: 0, Max: 1}}
	for i := range list {
		r := &list[i]
		f.Series = append(f.Series, r.series(r.legend("AP", r.AP), r.Bands.Precision, func(p metric.Point) (x, y float64, ok bool) {
			precision, ok1 := p.Precision()
			sensitivity, ok2 := p.Sensitivity()
			return sensitivity, precision, ok1 && ok2
		})...)
	}
	f.Series = append(f.Series, plot.Series{Name: fmt.Sprintf("chance (%.2f)", share), X: []float64{0, 1}, Y: []float64{share, share}, Muted: true})
	f.Text = rankingText("Precision-recall curve. Average precision:", list, func(r *Ranking) metric.Estimate { return r.AP })
	return f
}

// legend is the name with the area under the curve.
func (r *Ranking) legend(what string, e metric.Estimate) string {
	text := r.Name
	if e.Defined {
		text = strings.TrimPrefix(fmt.Sprintf("%s, %s %.3f", r.Name, what, e.Value), ", ")
	}
	return text
}

// series are a band and, if there is an exact curve, that in front of it instead of the band's middle.
func (r *Ranking) series(name string, band []metric.Estimate, at func(metric.Point) (x, y float64, ok bool)) []plot.Series {
	s := plot.Series{Name: name, Color: r.Color, Shade: r.Name}
	for k, e := range band {
		s.X, s.Y = append(s.X, r.Bands.At[k]), append(s.Y, orGap(e.Value, e.Defined))
		s.Low, s.High = append(s.Low, orGap(e.Low, e.Bounded)), append(s.High, orGap(e.High, e.Bounded))
	}
	if r.Curve == nil {
		return []plot.Series{s}
	}
	exact := plot.Series{Name: name, Color: r.Color}
	for _, p := range r.Curve {
		if x, y, ok := at(p); ok {
			exact.X, exact.Y = append(exact.X, x), append(exact.Y, y)
		}
	}
	s.Name = ""
	for k := range s.Y {
		s.Y[k] = math.NaN()
	}
	return []plot.Series{s, exact}
}

// orGap is a number to draw, or a gap.
func orGap(v float64, ok bool) float64 {
	if !ok {
		return math.NaN()
	}
	return v
}

func rankingText(text string, list []Ranking, of func(*Ranking) metric.Estimate) string {
	for i := range list {
		if e := of(&list[i]); e.Defined {
			text += strings.Replace(fmt.Sprintf(" %s %s;", list[i].Name, Number(e)), "  ", " ", 1)
		}
	}
	return strings.TrimSuffix(text, ";") + "."
}

// Stacked writes a number with its interval below it, for a cell of a Table.
func Stacked(e metric.Estimate) string { return strings.Replace(Number(e), " (", "\n(", 1) }

// ApproximateMark stands behind an interval that may miss its level, and ApproximateNote says so.
const (
	ApproximateMark = " ~"
	ApproximateNote = "~: may miss its 95\u00a0%: fewer than 10 images (20 patients with several) on one side of the number, " +
		"fewer than 100 for Brier score and log loss, or a calibration error, for which nothing better is known."
)

// Number writes a number with its interval.
func Number(e metric.Estimate) string {
	switch {
	case !e.Defined:
		return "–"
	case !e.Bounded:
		return fmt.Sprintf("%.3f", e.Value)
	}
	out := fmt.Sprintf("%.3f (%s)", e.Value, text.Range(e.Low, e.High))
	if e.Approximate {
		out += ApproximateMark
	}
	return out
}

// Reliability draws how often decisions of a confidence are right, with 95 % intervals, and how many of them there
// are. With several runs, counts are those of all together.
func Reliability(title string, bins []metric.Bin, ece metric.Estimate, color int) *plot.Figure {
	f := &plot.Figure{Title: title, Square: true,
		X: plot.Axis{Label: "confidence", Min: 0, Max: 1}, Y: plot.Axis{Label: "share that is right", Min: 0, Max: 1}}
	total := 0
	for _, b := range bins {
		total += b.N
	}
	dots := plot.Series{Name: "share that is right, 95\u00a0%", Kind: plot.Points, Color: color}
	bars := plot.Series{Name: "share of the decisions", Kind: plot.Bars, Muted: true, Width: 1 / float64(len(bins))}
	for i, b := range bins {
		if b.N == 0 {
			continue
		}
		low, high := metric.Wilson(int(math.Round(b.Frequency*float64(b.N))), b.N, metric.DefaultLevel)
		dots.X, dots.Y = append(dots.X, b.Confidence), append(dots.Y, b.Frequency)
		dots.Low, dots.High = append(dots.Low, low), append(dots.High, high)
		bars.X, bars.Y = append(bars.X, (float64(i)+0.5)/float64(len(bins))), append(bars.Y, float64(b.N)/float64(total))
	}
	f.Series = []plot.Series{bars, {Name: "as it should be", X: []float64{0, 1}, Y: []float64{0, 1}, Muted: true}, dots}
	f.Text = fmt.Sprintf("Reliability: share of decisions that are right against their confidence. Expected calibration error %s.", Number(ece))
	return f
}

// Run is a number by epoch.
type Run struct {
	Name  string // in the legend; empty: as the one before
	Epoch []int
	Value []float64
	Best  int // the epoch that was kept; 0: none
	Color int
}

// Learning draws a number by epoch, with a mark at the epoch that was kept.
func Learning(title, what string, runs []Run) *plot.Figure {
	f := &plot.Figure{Title: title, X: plot.Axis{Label: "epoch", Whole: true}, Y: plot.Axis{Label: what}}
	marked := plot.Series{Kind: plot.Points}
	text := fmt.Sprintf("%s by epoch.", what)
	for _, r := range runs {
		s := plot.Series{Name: r.Name, Color: r.Color, Thin: len(runs) > 3}
		last := math.NaN()
		for i, e := range r.Epoch {
			s.X, s.Y = append(s.X, float64(e)), append(s.Y, r.Value[i])
			if e == r.Best {
				marked.X, marked.Y, marked.Color = []float64{float64(e)}, []float64{r.Value[i]}, r.Color
				f.Series = append(f.Series, marked)
			}
			last = r.Value[i]
		}
		f.Series = append(f.Series, s)
		if r.Name != "" && !math.IsNaN(last) {
			text += fmt.Sprintf(" %s ends at %.3f after %d epochs.", r.Name, last, len(r.Epoch))
		}
	}
	f.Text = text
	return f
}
