package lines

import (
	"fmt"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora"
)

// Speed is how fast a run is, to stand behind its other figures.
func Speed(s experiment.Speed) string {
	digits := 1
	if s.ImagesPerSecond >= 100 {
		digits = 0
	}
	line := fmt.Sprintf("  %.*f img/s", digits, s.ImagesPerSecond)
	if s.ShareOfPeak > 0 {
		line += fmt.Sprintf("  %.0f%% of peak", 100*s.ShareOfPeak)
	}
	return line
}

// Plan says what will be trained, and how long.
func Plan(e *experiment.Began) string {
	p := &e.Parameters
	what := fmt.Sprintf("%s parameters in the head", text.Count(p.Head))
	switch e.Config.Method {
	case lora.MeLo:
		what = fmt.Sprintf("%s: %s parameters (%.2f %% of the base) and %s", lora.Describe(e.Deltas), text.Count(p.Trained), 100*p.Share, what)
	case lora.FullTuning:
		what = fmt.Sprintf("all %s parameters of the base and %s", text.Count(p.Base), what)
	}
	if e.Config.Epochs == 0 {
		return what + ", solved"
	}
	return fmt.Sprintf("%s; %d epochs of %d steps at most, learning rate %s", what, e.Config.Epochs, e.StepsPerEpoch, ratesText(e))
}

// ratesText says how fast is learned.
func ratesText(e *experiment.Began) string {
	r := e.Rates
	switch {
	case r == nil:
		return fmt.Sprintf("%g, as given", e.Config.LR)
	case e.Config.Method == lora.MeLo:
		return fmt.Sprintf("by the base: %.2g for A, %.2g for B, %.2g for the head", r.A, r.B, r.Head)
	case e.Config.Method == lora.FullTuning:
		return fmt.Sprintf("by the base: %.2g for the last block, %g of that for each block below, %.2g for the head", r.Full, e.Config.Pace.Decay, r.Head)
	}
	return fmt.Sprintf("by the base: %.2g", r.Head)
}

// Score is a score, if there is one.
func Score(scores map[string]float64, name string) string {
	if v, ok := scores[name]; ok {
		return fmt.Sprintf("%.3f", v)
	}
	return "-"
}
