package report

import (
	"fmt"
	"math"
	"strconv"

	"melo.example/melo/metric"
)

// Yield is what decisions about a label come to where it is more or less frequent than among the images that were measured: a table
// for some prevalences, and a slider for the others.
type Yield struct {
	Label                    string
	Sensitivity, Specificity metric.Estimate
	Prevalence               float64 // among the images, or as stated; it has a row, and the slider begins there
	Stated                   bool
}

// Ratio is a likelihood ratio with its interval: by how much a decision multiplies the odds of the label. It does not depend on the
// prevalence.
type Ratio struct{ Value, Low, High float64 }

// ratio divides two shares with intervals that are of different images, by the interval for a difference of logarithms that
// recovers variances from both (MOVER; Zou and Donner, 2008).
func ratio(a, b metric.Estimate) Ratio {
	r := Ratio{Value: a.Value / b.Value, Low: 0, High: math.Inf(1)}
	if !a.Bounded || !b.Bounded {
		return Ratio{r.Value, math.NaN(), math.NaN()}
	}
	la, lb := math.Log(a.Value), math.Log(b.Value)
	below, above := math.Hypot(la-math.Log(a.Low), math.Log(b.High)-lb), math.Hypot(math.Log(a.High)-la, lb-math.Log(b.Low))
	switch {
	case a.Value == 0: // logarithms have no middle: what both ends allow at most
		r.High = a.High / b.Low
		return r
	case b.Value == 0:
		r.Low = a.Low / b.High
		return r
	}
	r.Low, r.High = math.Exp(math.Log(r.Value)-below), math.Exp(math.Log(r.Value)+above)
	return r
}

// Ratios returns the likelihood ratios of a decision for the label and of one against it.
func (y *Yield) Ratios() (yes, no Ratio) {
	return ratio(y.Sensitivity, rest(y.Specificity)), ratio(rest(y.Sensitivity), y.Specificity)
}

// rest is what a share leaves.
func rest(e metric.Estimate) metric.Estimate {
	e.Value, e.Low, e.High = 1-e.Value, 1-e.High, 1-e.Low
	return e
}

// after is the probability of the label after a decision of a likelihood ratio.
func after(prevalence, ratio float64) float64 {
	if math.IsInf(ratio, 1) {
		return 1
	}
	return prevalence * ratio / (prevalence*ratio + 1 - prevalence)
}

// prevalences that have a row of their own.
var prevalences = []float64{0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5}

func (y *Yield) write(w *writer) {
	if !y.Sensitivity.Defined || !y.Specificity.Defined {
		Text(y.Label + ": there are images only with it, or only without it.").write(w)
		return
	}
	yes, no := y.Ratios()
	number := func(v float64) string {
		switch {
		case math.IsInf(v, 1):
			return "Infinity"
		case math.IsNaN(v):
			return "none"
		}
		return strconv.FormatFloat(v, 'g', 6, 64)
	}
	w.yields++
	id := fmt.Sprintf("yield-%d", w.yields)
	w.f("<div class=\"yield\" data-sensitivity=\"%s\" data-specificity=\"%s\" data-yes=\"%s %s %s\" data-no=\"%s %s %s\" hidden>",
		number(y.Sensitivity.Value), number(y.Specificity.Value), number(yes.Value), number(yes.Low), number(yes.High), number(no.Value), number(no.Low), number(no.High))
	// The slider is of the logarithm of the odds, so that rare and frequent have room.
	w.f("<label for=\"%s\">%s: move the prevalence</label><input id=\"%s\" type=\"range\" min=\"-6.9\" max=\"6.9\" step=\"any\" value=\"%s\"><output for=\"%s\" aria-live=\"polite\"></output></div>\n",
		id, esc(y.Label), id, number(math.Log(y.Prevalence/(1-y.Prevalence))), id)
	y.table(yes, no).write(w)
}

// table has a row for each prevalence.
func (y *Yield) table(yes, no Ratio) *Table {
	t := &Table{Caption: y.Label + ": of 1000 images, by the share that has it, with 95\u00a0% intervals", Head: []string{"prevalence", "with it", "found", "missed", "called so by mistake",
		"of those called so, right", "of the others, right"}}
	add := func(p float64, what string) {
		between := func(value, low, high float64) string {
			if math.IsNaN(value) {
				return "–"
			}
			text := percent(value)
			if !math.IsNaN(low) && !math.IsNaN(high) {
				text += fmt.Sprintf("\n(%s to %s)", percent(low), percent(high))
			}
			return text
		}
		t.Rows = append(t.Rows, []string{fmt.Sprintf("%.3g\u00a0%%%s", 100*p, what), count1000(p), count1000(p * y.Sensitivity.Value), count1000(p * (1 - y.Sensitivity.Value)),
			count1000((1 - p) * (1 - y.Specificity.Value)), between(after(p, yes.Value), after(p, yes.Low), after(p, yes.High)),
			between(1-after(p, no.Value), 1-after(p, no.High), 1-after(p, no.Low))})
	}
	here := "\nas here"
	if y.Stated {
		here = "\nas stated"
	}
	done := false
	for _, p := range prevalences {
		if !done && y.Prevalence <= p {
			add(y.Prevalence, here)
			done = true
		}
		if p != y.Prevalence {
			add(p, "")
		}
	}
	if !done {
		add(y.Prevalence, here)
	}
	return t
}

// count1000 is so many of 1000: people are whole, unless there are few.
func count1000(v float64) string {
	if v = 1000 * v; v < 9.95 {
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// percent is a share with the digits that matter near both ends.
func percent(v float64) string {
	switch {
	case v > 0.999 && v < 1:
		return ">\u00a099.9\u00a0%"
	case v > 0.99 && v < 1 || v > 0 && v < 0.01:
		return fmt.Sprintf("%.1f\u00a0%%", 100*v)
	}
	return fmt.Sprintf("%.0f\u00a0%%", 100*v)
}
