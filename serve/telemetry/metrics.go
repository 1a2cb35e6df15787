package telemetry

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"melo.example/melo/fit"
	"melo.example/melo/serve"
)

// Metrics counts what an engine and its endpoints do. It is a serve.Observer.
type Metrics struct {
	registry *prometheus.Registry

	requests *prometheus.CounterVec // by outcome
	duration prometheus.Histogram
	load     prometheus.Histogram
	prepare  prometheus.Histogram
	queue    prometheus.Histogram
	batch    prometheus.Histogram // seconds of a pass
	images   prometheus.Histogram
	adapters prometheus.Histogram // number of adapters in a pass
	changes  *prometheus.CounterVec
	loading  prometheus.Histogram
	calls    *prometheus.CounterVec
	callTime *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	denied   *prometheus.CounterVec

	mu       sync.Mutex
	failures map[failure]uint64 // of existing versions
}

// failure is the reason why requests of a version failed, in Triton's terms.
type failure struct {
	id     serve.Identity
	reason string
}

// Buckets of histograms: seconds from 0.1 ms to a minute, and counts of images.
var (
	seconds = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	counts  = []float64{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64}
)

// NewMetrics returns metrics that start at 0.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), failures: map[failure]uint64{}}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
		m.registry.MustRegister(h)
		return h
	}
	m.requests = counter("melo_requests_total", "Questions to adapters, one image and one adapter each, by outcome.", "outcome")
	m.duration = histogram("melo_request_duration_seconds", "Time in the engine of questions that were answered.", seconds)
	m.load = histogram("melo_request_load_seconds", "Time that answered questions waited for their adapter to be read, if it was not resident.", seconds)
	m.prepare = histogram("melo_request_prepare_seconds", "Time in which the input of a question was made of its image.", seconds)
	m.queue = histogram("melo_request_queue_seconds", "Time that answered questions waited for a batch.", seconds)
	m.batch = histogram("melo_batch_duration_seconds", "Time of a pass through the base.", seconds)
	m.images = histogram("melo_batch_images", "Images of a pass.", counts)
	m.adapters = histogram("melo_batch_adapters", "Different adapters of a pass.", counts)
	m.changes = counter("melo_adapter_changes_total", "What happened to adapters.", "change")
	m.loading = histogram("melo_adapter_load_duration_seconds", "Time of reading and checking an adapter.", seconds)
	m.calls = counter("melo_calls_total", "Calls by endpoint, route and status.", "protocol", "route", "code")
	m.callTime = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "melo_call_duration_seconds", Help: "Time of calls by endpoint and route.", Buckets: seconds}, []string{"protocol", "route"})
	m.inFlight = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "melo_calls_in_flight", Help: "Calls under way by endpoint."}, []string{"protocol"})
	m.denied = counter("melo_denied_total", "Calls that were refused before they were looked at, by reason.", "reason")
	m.registry.MustRegister(m.callTime, m.inFlight, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, outcome := range Outcomes {
		m.requests.WithLabelValues(outcome)
	}
	for _, protocol := range []string{"http", "grpc"} {
		m.inFlight.WithLabelValues(protocol)
	}
	return m
}

// Register adds a collector, which must not be registered yet.
func (m *Metrics) Register(c prometheus.Collector) { m.registry.MustRegister(c) }

// Gauge adds a gauge whose value is computed when metrics are read.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Info adds a gauge of value 1 whose labels carry information.
func (m *Metrics) Info(name, help string, labels map[string]string) {
	m.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 { return 1 }))
}

// scrapes limits the number of concurrent readers, and scrapeTime the time of one.
const (
	scrapes    = 4
	scrapeTime = 10 * time.Second
)

// Handler returns a handler for all metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: scrapes, Timeout: scrapeTime, EnableOpenMetrics: true})
}

// HandlerFor returns a handler for the metrics that a client restricted to some adapters may see: the series of
// these adapters. Series over all adapters are omitted.
func (m *Metrics) HandlerFor(may func(adapter string) bool) http.Handler {
	seen := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := m.registry.Gather()
		var out []*dto.MetricFamily
		for _, f := range families {
			f.Metric = slices.DeleteFunc(f.Metric, func(x *dto.Metric) bool { return !about(x, may) })
			if len(f.Metric) > 0 {
				out = append(out, f)
			}
		}
		return out, err
	})
	return promhttp.HandlerFor(seen, promhttp.HandlerOpts{Timeout: scrapeTime, EnableOpenMetrics: true})
}

// about reports whether a series belongs to one of the adapters.
func about(x *dto.Metric, may func(adapter string) bool) bool {
	for _, l := range x.Label {
		if name := l.GetName(); (name == "adapter" || name == "model") && l.GetValue() != "" {
			return may(l.GetValue())
		}
	}
	return false
}

// Outcomes are the values of the label outcome of melo_requests_total.
var Outcomes = []string{"ok", "unknown", "refused", "overloaded", "draining", "input", "not_finite", "unlike", "canceled", "deadline", "error"}

// Outcome returns the outcome of a request in one word.
func Outcome(err error) string {
	var (
		broken   *serve.BrokenError
		overload *serve.OverloadError
		input    *serve.InputError
		unanswer *serve.AnswerError
		unlike   *fit.UnlikeError
		noSets   *serve.NoSetsError
	)
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &unlike):
		return "unlike"
	case errors.As(err, &unanswer):
		return "not_finite"
	case errors.Is(err, serve.ErrUnknownAdapter):
		return "unknown"
	case errors.As(err, &broken):
		return "refused"
	case errors.As(err, &overload):
		return "overloaded"
	case errors.Is(err, serve.ErrDraining):
		return "draining"
	case errors.As(err, &input), errors.As(err, &noSets):
		return "input"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline"
	}
	return "error"
}

// tritonReason returns Triton's name for the outcome of a failure.
func tritonReason(outcome string) string {
	switch outcome {
	case "overloaded", "draining":
		return "REJECTED"
	case "canceled", "deadline":
		return "CANCELED"
	case "refused", "not_finite", "error":
		return "BACKEND"
	}
	return "OTHER"
}

// RequestDone counts a request.
func (m *Metrics) RequestDone(_ context.Context, e serve.RequestEvent) {
	outcome := Outcome(e.Err)
	m.requests.WithLabelValues(outcome).Inc()
	if e.Err == nil {
		m.duration.Observe(time.Since(e.Start).Seconds())
		m.prepare.Observe(e.Timing.Prepare.Seconds())
		m.queue.Observe(e.Timing.Queue.Seconds())
		if e.Timing.Load > 0 {
			m.load.Observe(e.Timing.Load.Seconds())
		}
		return
	}
	if e.Digest == "" {
		return // names that clients make up must not become labels
	}
	m.mu.Lock()
	m.failures[failure{e.Identity, tritonReason(outcome)}]++
	m.mu.Unlock()
}

// BatchDone counts a pass through the base.
func (m *Metrics) BatchDone(e serve.BatchEvent) {
	m.batch.Observe(e.Duration.Seconds())
	m.images.Observe(float64(e.Images))
	m.adapters.Observe(float64(e.Adapters))
}

// AdapterChanged counts a change.
func (m *Metrics) AdapterChanged(e serve.AdapterEvent) {
	m.changes.WithLabelValues(string(e.Change)).Inc()
	if e.Change == serve.Loaded {
		m.loading.Observe(e.Duration.Seconds())
	}
}

// Call counts a call. done must be called with its status when it ends. route must be one of a fixed set.
func (m *Metrics) Call(protocol, route string) (done func(code string)) {
	start := time.Now()
	gauge := m.inFlight.WithLabelValues(protocol)
	gauge.Inc()
	return func(code string) {
		gauge.Dec()
		m.calls.WithLabelValues(protocol, route, code).Inc()
		m.callTime.WithLabelValues(protocol, route).Observe(time.Since(start).Seconds())
	}
}

// Denied counts a refused call. reason must be one of a fixed set.
func (m *Metrics) Denied(reason string) { m.denied.WithLabelValues(reason).Inc() }

// Connections adds the counts of a listener's connections: open, closed to make room, refused.
func (m *Metrics) Connections(listener string, counts func() (open int, closed, turned uint64)) {
	labels := prometheus.Labels{"listener": listener}
	m.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "melo_connections", Help: "Open connections.", ConstLabels: labels},
		func() float64 { n, _, _ := counts(); return float64(n) }))
	m.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "melo_connections_closed_total", Help: "Idle connections that were closed to make room.", ConstLabels: labels},
		func() float64 { _, n, _ := counts(); return float64(n) }))
	m.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "melo_connections_refused_total", Help: "Connections for which there was no room.", ConstLabels: labels},
		func() float64 { _, _, n := counts(); return float64(n) }))
}
