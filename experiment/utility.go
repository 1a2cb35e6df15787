package experiment

import (
	"math"

	"melo.example/melo/metric"
)

// Utility is what a label's probabilities are worth beyond their order.
type Utility struct {
	Label              string      `json:"label"`
	Prevalence         float64     `json:"prevalence"`        // that ppv and npv assume
	Stated             bool        `json:"prevalence_stated"` // by the user; else it is the share among the images
	PPV                *float64    `json:"ppv"`               // of the decisions
	NPV                *float64    `json:"npv"`
	MCC                *float64    `json:"mcc"`               // Matthews' correlation
	Kappa              *float64    `json:"kappa"`             // Cohen's
	Slope              *float64    `json:"calibration_slope"` // below 1: too extreme
	SlopeInterval      *[2]float64 `json:"calibration_slope_ci"`
	Intercept          *float64    `json:"calibration_intercept"` // beside the slope
	InterceptInterval  *[2]float64 `json:"calibration_intercept_ci"`
	InTheLarge         *float64    `json:"calibration_in_the_large"` // intercept at a slope of 1; above 0: too low
	InTheLargeInterval *[2]float64 `json:"calibration_in_the_large_ci"`
	NetBenefit         []Benefit   `json:"net_benefit"`
}

// Benefit is a point of the decision curve.
type Benefit struct {
	Threshold float64 `json:"threshold"`
	Model     float64 `json:"model"`
	All       float64 `json:"all"` // of deciding for everybody; nobody has 0
}

// Patients are scores of whole groups: a patient has a label if one of the images has.
type Patients struct {
	Label       string      `json:"label"`
	Score       string      `json:"score"` // mean or max of the images' probabilities
	Patients    int         `json:"patients"`
	Positives   int         `json:"positives"`
	AUC         *float64    `json:"auc"`
	AUCInterval *[2]float64 `json:"auc_ci"`
	Approximate bool        `json:"auc_ci_approximate"`
}

// Gap is the AUC of a subgroup less that of everybody else.
type Gap struct {
	Column     string      `json:"column"`
	Value      string      `json:"value"`
	N          int         `json:"n"`
	Others     int         `json:"others"`
	Difference *float64    `json:"auc_difference"`
	Interval   *[2]float64 `json:"auc_difference_ci"`
	Small      bool        `json:"small"`
	Worst      bool        `json:"worst"` // of the column: lowest AUC of those that are not small
}

// benefitSteps is how many thresholds a decision curve has.
const benefitSteps = 20

// utilityOf measures each label; of two that exclude each other the second. prevalence is stated, or 0.
func utilityOf(p *metric.Predictions, labels []string, units [][]int, prevalence float64) []Utility {
	list := []Utility{}
	for l, k := range p.Counts() {
		if p.Exclusive && p.Labels == 2 && l == 0 {
			continue
		}
		prob, truth := p.Column(l)
		n := float64(max(p.N(), 1))
		u := Utility{Label: labels[l], Prevalence: float64(k.TP+k.FN) / n, Stated: prevalence > 0, NetBenefit: []Benefit{}}
		if u.Stated {
			u.Prevalence = prevalence
		}
		sensitivity, ok1 := k.Sensitivity()
		specificity, ok2 := k.Specificity()
		if ok1 && ok2 {
			ppv, npv := metric.Predictive(sensitivity, specificity, u.Prevalence)
			u.PPV, u.NPV = maybe(ppv, !math.IsNaN(ppv)), maybe(npv, !math.IsNaN(npv))
		}
		c := metric.ConfusionOf(k)
		u.MCC, u.Kappa = maybe(c.MCC()), maybe(c.Kappa())
		r := metric.Recalibrate(prob, truth, units, metric.DefaultLevel)
		u.Slope, u.SlopeInterval = pair(r.Slope)
		u.Intercept, u.InterceptInterval = pair(r.Intercept)
		u.InTheLarge, u.InTheLargeInterval = pair(r.InTheLarge)
		for step := 1; step < benefitSteps; step++ {
			at := float64(step) / benefitSteps
			if model, all, ok := metric.NetBenefit(prob, truth, at); ok {
				u.NetBenefit = append(u.NetBenefit, Benefit{at, model, all})
			}
		}
		list = append(list, u)
	}
	return list
}

// patientsOf measures whole units by the mean and by the largest probability of their images. Nothing where each is one image.
func patientsOf(p *metric.Predictions, labels []string, units [][]int) []Patients {
	list := []Patients{}
	if len(units) == 0 || len(units) == p.N() {
		return list
	}
	for l, label := range labels {
		if p.Exclusive && p.Labels == 2 && l == 0 {
			continue
		}
		for _, kind := range []string{"mean", "max"} {
			whole := &metric.Predictions{Labels: 1}
			x := Patients{Label: label, Score: kind, Patients: len(units)}
			for _, u := range units {
				score, yes := 0.0, false
				for _, i := range u {
					v := p.Prob[i*p.Labels+l]
					if kind == "mean" {
						score += v / float64(len(u))
					} else {
						score = max(score, v)
					}
					yes = yes || p.Truth[i*p.Labels+l]
				}
				if yes {
					x.Positives++
				}
				whole.Prob, whole.Truth = append(whole.Prob, min(score, 1)), append(whole.Truth, yes)
			}
			e := metric.AUCInterval(whole, 0, nil, metric.DefaultLevel)
			x.AUC, x.AUCInterval = pair(e)
			x.Approximate = e.Approximate
			list = append(list, x)
		}
	}
	return list
}

// gapsOf compares each subgroup with everybody else. members are the positions of each subgroup, in the order of the document;
// groups are those of all.
func gapsOf(p *metric.Predictions, list []Subgroup, members [][]int, groups []string) []Gap {
	gaps := []Gap{}
	worst := map[string]int{}
	bound := func(of []int) metric.Estimate {
		var names []string
		for _, k := range of {
			names = append(names, groups[k])
		}
		return metric.MacroAUCInterval(p.Subset(of), metric.Units(names), metric.DefaultLevel)
	}
	for i := range list {
		inside := map[int]bool{}
		for _, k := range members[i] {
			inside[k] = true
		}
		var rest []int
		for k := range p.N() {
			if !inside[k] {
				rest = append(rest, k)
			}
		}
		g := Gap{Column: list[i].Column, Value: list[i].Value, N: len(members[i]), Others: len(rest), Small: list[i].Small}
		a, b := bound(members[i]), bound(rest)
		if a.Bounded && b.Bounded {
			d := a.Value - b.Value
			g.Difference = &d
			g.Interval = &[2]float64{d - math.Hypot(a.Value-a.Low, b.High-b.Value), d + math.Hypot(a.High-a.Value, b.Value-b.Low)}
		}
		if auc := list[i].AUC; auc != nil && !g.Small {
			if at, ok := worst[g.Column]; !ok || *auc < *list[at].AUC {
				worst[g.Column] = i
			}
		}
		gaps = append(gaps, g)
	}
	for _, i := range worst {
		gaps[i].Worst = true
	}
	return gaps
}
