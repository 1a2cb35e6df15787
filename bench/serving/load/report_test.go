package main

import (
	"testing"
	"time"
)

// An answer to a request of the warm-up counts for throughput if it came later; its latency does not count.
func TestArrivals(t *testing.T) {
	s := samples{from: time.Now()}
	s.add(s.from.Add(-2*time.Second), time.Second, nil)
	s.add(s.from.Add(-2*time.Second), 3*time.Second, nil)
	s.add(s.from, time.Second, nil)
	if s.arrived != 2 || len(s.latencies) != 1 {
		t.Errorf("%d arrived, %d timed", s.arrived, len(s.latencies))
	}
}
