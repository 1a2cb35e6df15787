package study

import (
	"fmt"
	"math"

	"melo.example/melo/experiment"
	"melo.example/melo/report"
)

// verdict says in plain words what the decisions about each label come to. Of two labels that exclude each other the second is told
// alone: the first is its mirror image.
func (j evaluation) verdict() []report.Part {
	var parts []report.Part
	first := 0
	if j.judged.Exclusive() && len(j.PerLabel) == 2 {
		first = 1
	}
	for l := first; l < min(len(j.PerLabel), first+maxReportLabels); l++ {
		var u *experiment.Utility
		if l < len(j.Utility) {
			u = &j.Utility[l]
		}
		parts = append(parts, report.Text(inWords(&j.PerLabel[l], u)))
	}
	return parts
}

// inWords is the verdict on one label.
func inWords(x *experiment.LabelNumbers, u *experiment.Utility) string {
	if x.Sensitivity == nil || x.Specificity == nil {
		return fmt.Sprintf("%s: there are images only with it, or only without it: what is found and at what price cannot be told.", x.Label)
	}
	text := fmt.Sprintf("%s: of 100 images with it %s found%s; of 100 without it %s called so by mistake%s.", x.Label,
		are(*x.Sensitivity), between(x.SensitivityInterval, false), are(1-*x.Specificity), between(x.SpecificityInterval, true))
	if u == nil || u.PPV == nil {
		return text
	}
	as := "as here"
	if u.Stated {
		as = "as stated"
	}
	return text + fmt.Sprintf(" Where %s of 100 images have it, %s, %s of 100 that are called so have it.", hundredths(u.Prevalence), as, hundredths(*u.PPV))
}

// are counts of a hundred, with its verb.
func are(share float64) string {
	n := hundredths(share)
	if n == "1" {
		return "1 is"
	}
	return n + " are"
}

// hundredths is a share of a hundred, without a decimal unless it is close to nothing or to all.
func hundredths(share float64) string {
	v := 100 * share
	if v > 0 && v < 1 || v > 99 && v < 100 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", math.Round(v))
}

// between is an interval of such a share, or of what it leaves to a hundred.
func between(v *[2]float64, rest bool) string {
	if v == nil {
		return ""
	}
	low, high := v[0], v[1]
	if rest {
		low, high = 1-high, 1-low
	}
	return fmt.Sprintf(" (%s to %s)", hundredths(low), hundredths(high))
}
