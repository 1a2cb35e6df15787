package main

import (
	"math"
	"slices"
	"sync"
	"time"
)

// samples are the requests that were counted.
type samples struct {
	from      time.Time // those that were due before are warm-up
	mu        sync.Mutex
	arrived   int       // answers that came in the time that is counted, also to requests of the warm-up
	latencies []float64 // of answers, in milliseconds
	failed    map[string]int
}

func (s *samples) add(due time.Time, took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && !due.Add(took).Before(s.from) {
		s.arrived++
	}
	if due.Before(s.from) {
		return
	}
	if err == nil {
		s.latencies = append(s.latencies, float64(took)/1e6)
		return
	}
	if s.failed == nil {
		s.failed = map[string]int{}
	}
	s.failed[err.Error()]++
}

// since returns the answers after the first n, and how many requests have failed.
func (s *samples) since(n int) ([]float64, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := 0
	for _, k := range s.failed {
		failed += k
	}
	return slices.Clone(s.latencies[n:]), failed
}

// report is the result of a run.
type report struct {
	Target     string         `json:"target"`
	Protocol   string         `json:"protocol"`
	Adapters   int            `json:"adapters"`
	Pick       string         `json:"pick"`
	Clients    int            `json:"clients,omitempty"` // closed loop
	Rate       float64        `json:"rate,omitempty"`    // open loop
	Seconds    float64        `json:"seconds"`
	Answered   int            `json:"answered"` // requests whose latencies follow
	Failed     map[string]int `json:"failed"`
	Throughput float64        `json:"answers_per_second"` // that arrived
	Mean       float64        `json:"mean_ms"`
	P50        float64        `json:"p50_ms"`
	P95        float64        `json:"p95_ms"`
	P99        float64        `json:"p99_ms"`
	Max        float64        `json:"max_ms"`
}

func (w *work) report(took time.Duration) *report {
	latencies := w.sample.latencies
	slices.Sort(latencies)
	r := &report{Target: w.options.target, Protocol: w.protocol, Adapters: len(w.names), Pick: w.pick, Rate: w.rate, Seconds: took.Seconds(),
		Answered: len(latencies), Failed: w.sample.failed, Throughput: float64(w.sample.arrived) / took.Seconds(),
		P50: quantile(latencies, 0.5), P95: quantile(latencies, 0.95), P99: quantile(latencies, 0.99), Max: quantile(latencies, 1)}
	if w.rate == 0 {
		r.Clients = w.clients
	}
	for _, v := range latencies {
		r.Mean += v / float64(len(latencies))
	}
	return r
}

// quantile returns the smallest value that at least a share p of the values do not exceed, 0 of none.
func quantile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	if !slices.IsSorted(values) {
		slices.Sort(values)
	}
	return values[max(int(math.Ceil(p*float64(len(values))))-1, 0)]
}
