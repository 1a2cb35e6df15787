package experiment

import (
	"math"
	"testing"

	"melo.example/melo/metric"
)

// TestUtility: of two labels the second is judged; predictive values are those of the stated prevalence; patients have the mean and
// the largest of their images; the gap of a subgroup is the difference of AUCs, and only one is the worst.
func TestUtility(t *testing.T) {
	p := &metric.Predictions{Labels: 2, Exclusive: true}
	var units [][]int
	groups, members := []string{}, make([][]int, 2)
	for i := range 120 {
		yes := i/2%3 == 0
		v := 0.2 + 0.005*float64(i*37%101)
		if yes {
			v += 0.25
		}
		p.Prob, p.Truth = append(p.Prob, 1-v, v), append(p.Truth, !yes, yes)
		if i%2 == 0 {
			units = append(units, nil)
		}
		units[i/2] = append(units[i/2], i)
		groups = append(groups, string(rune('a'+i/2)))
		members[i/60] = append(members[i/60], i)
	}
	u := utilityOf(p, []string{"no", "yes"}, units, 0.01)
	if len(u) != 1 || u[0].Label != "yes" || !u[0].Stated || u[0].Slope == nil || len(u[0].NetBenefit) != benefitSteps-1 {
		t.Fatalf("%+v", u)
	}
	k := p.Counts()[1]
	found, _ := k.Sensitivity()
	spared, _ := k.Specificity()
	if want := found * 0.01 / (found*0.01 + (1-spared)*0.99); math.Abs(*u[0].PPV-want) > 1e-12 {
		t.Errorf("PPV %v, want %v", *u[0].PPV, want)
	}
	list := patientsOf(p, []string{"no", "yes"}, units)
	if len(list) != 2 || list[0].Score != "mean" || list[1].Score != "max" || list[0].Patients != 60 || list[0].Positives != 20 || list[0].AUCInterval == nil {
		t.Errorf("%+v", list)
	}
	if len(patientsOf(p, []string{"no", "yes"}, nil)) != 0 {
		t.Error("patients where none are known")
	}
	first, _ := p.Subset(members[0]).MacroAUC()
	second, _ := p.Subset(members[1]).MacroAUC()
	gaps := gapsOf(p, []Subgroup{{Column: "c", Value: "1", Numbers: Numbers{AUC: &first}}, {Column: "c", Value: "2", Numbers: Numbers{AUC: &second}}}, members, groups)
	if len(gaps) != 2 || math.Abs(*gaps[0].Difference-(first-second)) > 1e-12 || gaps[0].Interval[0] >= *gaps[0].Difference || gaps[0].Worst == gaps[1].Worst ||
		gaps[0].Worst != (first < second) {
		t.Errorf("%+v", gaps)
	}
}
