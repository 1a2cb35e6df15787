package study

import (
	"fmt"
	"testing"

	"melo.example/melo/experiment"
	"melo.example/melo/metric"
)

// order names the mistakes of a method as "image(probability of what was decided)".
func order(labels []string, p *metric.Predictions) string {
	m := &experiment.Judged{Runs: []*metric.Predictions{p}}
	j := judgement{Judgement: &experiment.Judgement{Labels: labels, All: []*experiment.Judged{m}}}
	text := ""
	for _, x := range j.mistakes(m) {
		text += fmt.Sprintf(" %d(%.2f)", x.k, x.decided)
	}
	return text
}

// TestMistakesByDecision: those come first whose decision had the highest probability, not those whose truth had the lowest: a
// threshold far from one half, and more than two labels, tell these apart.
func TestMistakesByDecision(t *testing.T) {
	three := &metric.Predictions{Labels: 3, Exclusive: true,
		Prob:  []float64{0.45, 0.05, 0.50 /**/, 0.28, 0.70, 0.02 /**/, 0.10, 0.30, 0.60 /**/, 0.90, 0.05, 0.05},
		Truth: []bool{false, true, false /**/, true, false, false /**/, false, true, false /**/, true, false, false}}
	if got, want := order([]string{"a", "b", "c"}, three), " 1(0.70) 2(0.60) 0(0.50)"; got != want {
		t.Errorf("three labels:%s, expected%s", got, want)
	}
	byThreshold := &metric.Predictions{Labels: 2, Exclusive: true, ByThreshold: true, Thresholds: []float64{0.8, 0.2},
		Prob:  []float64{0.75, 0.25 /**/, 0.10, 0.90 /**/, 0.85, 0.15 /**/, 0.95, 0.05},
		Truth: []bool{true, false /**/, true, false /**/, false, true /**/, false, true}}
	if got, want := order([]string{"no", "yes"}, byThreshold), " 3(0.95) 1(0.90) 2(0.85) 0(0.25)"; got != want {
		t.Errorf("a threshold of 0.2:%s, expected%s", got, want)
	}
	several := &metric.Predictions{Labels: 2, Prob: []float64{0.95, 0.40 /**/, 0.60, 0.02}, Truth: []bool{false, true /**/, false, true}}
	if got, want := order([]string{"a", "b"}, several), " 1(0.98) 0(0.95) 0(0.60) 1(0.60)"; got != want {
		t.Errorf("any number of labels:%s, expected%s", got, want)
	}
}
