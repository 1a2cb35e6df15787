package experiment

import (
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"melo.example/melo/internal/tfevents"
)

// TestSchedule: by epoch it is what torch's CosineAnnealingLR(T_max=4, eta_min=1e-6) gives when it is stepped once an
// epoch.
func TestSchedule(t *testing.T) {
	c := Config{LR: 1e-3, MinLR: 1e-6, Epochs: 4, LRUpdate: "epoch"}
	s := c.schedule(5)
	for step := range 20 {
		want := []float64{0.001, 0.0008536998372026805, 0.0005005, 0.00014730016279731955}[step/5]
		if got := s(step); math.Abs(got/want-1) > 1e-12 {
			t.Errorf("step %d: %v, want %v", step, got, want)
		}
	}
	c.Warmup = 1
	s = c.schedule(5)
	if s(0) != 1e-3/5 || s(4) != 1e-3 || s(5) != 1e-3 || s(9) != s(5) || s(10) >= s(9) {
		t.Errorf("with warm-up: %v %v %v %v %v", s(0), s(4), s(5), s(9), s(10))
	}
}

// TestEventLog: large files are continued in another.
func TestEventLog(t *testing.T) {
	dir := t.TempDir()
	log := newEventLog(dir, time.Unix(1, 0))
	for step := range 3 {
		log.add(time.Unix(2, 0), step, []tfevents.Scalar{{Tag: strings.Repeat("x", maxEvents/2), Value: 1}})
		if err := log.write(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, eventPattern))
	if err != nil || len(files) != 2 {
		t.Errorf("%v, %v", files, err)
	}
}
