package telemetry

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"melo.example/melo/serve"
	"melo.example/melo/vit"
)

// Engine is the part of an engine that metrics read; *serve.Engine implements it.
type Engine interface {
	Stats() serve.Stats
	Registry() *serve.Registry
	Ready() bool
	Bases() []serve.BaseStatus
	Several() bool // bases
}

// engineCollector reads the counters that an engine keeps itself.
type engineCollector struct {
	engine  Engine
	metrics *Metrics
	aliases bool
	each    bool
}

// EngineOptions selects the metrics of an engine.
type EngineOptions struct {
	NoAdapters bool // no series per adapter
	NoTriton   bool // no nv_inference_* series
}

// Watch adds the metrics of an engine.
func (m *Metrics) Watch(e Engine, o EngineOptions) {
	m.Register(&engineCollector{engine: e, metrics: m, aliases: !o.NoTriton && !o.NoAdapters, each: !o.NoAdapters})
}

// whole lists the series of the engine as a whole.
var whole = []struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(s serve.Stats) float64
}{
	{describe("melo_queue_waiting", "Questions that are not being computed yet."), prometheus.GaugeValue,
		func(s serve.Stats) float64 { return float64(s.Waiting) }},
	{describe("melo_adapters", "Names of adapters."), prometheus.GaugeValue,
		func(s serve.Stats) float64 { return float64(s.Adapters) }},
	{describe("melo_adapters_resident", "Adapters in memory."), prometheus.GaugeValue,
		func(s serve.Stats) float64 { return float64(s.Resident) }},
	{describe("melo_adapters_resident_bytes", "Memory of the adapters in it."), prometheus.GaugeValue,
		func(s serve.Stats) float64 { return float64(s.ResidentBytes) }},
	{describe("melo_adapters_tuned", "Adapters whose own network, made of the base, is in memory."), prometheus.GaugeValue,
		func(s serve.Stats) float64 { return float64(s.Tuned) }},
	{describe("melo_adapters_tuned_bytes", "Memory of those networks, by estimate."), prometheus.GaugeValue,
		func(s serve.Stats) float64 { return float64(s.TunedBytes) }},
	{describe("melo_adapters_budget_bytes", "Memory that adapters may take; 0 is no limit."), prometheus.GaugeValue,
		func(s serve.Stats) float64 { return float64(s.Budget) }},
	{describe("melo_adapter_loads_total", "Adapters that were read into memory."), prometheus.CounterValue,
		func(s serve.Stats) float64 { return float64(s.Loads) }},
	{describe("melo_adapter_evictions_total", "Adapters that left memory for others."), prometheus.CounterValue,
		func(s serve.Stats) float64 { return float64(s.Evictions) }},
	{describe("melo_adapter_refusals_total", "Adapters that were refused: damaged, of another base, or failing their self-test."), prometheus.CounterValue,
		func(s serve.Stats) float64 { return float64(s.Refusals) }},
	{describe("melo_image_seconds_estimate", "Estimate of the time that one more waiting image takes."), prometheus.GaugeValue,
		func(s serve.Stats) float64 { return s.PerImage.Seconds() }},
}

// versionSeries is a series of one version of one adapter.
type versionSeries struct {
	desc  *prometheus.Desc
	value func(s *serve.VersionStats) float64
}

func ofVersion(name, help string, value func(s *serve.VersionStats) float64) versionSeries {
	return versionSeries{describe(name, help, "adapter", "version"), value}
}

func ofModel(name, help string, value func(s *serve.VersionStats) float64) versionSeries {
	return versionSeries{describe(name, help, "model", "version"), value}
}

func microseconds(d time.Duration) float64 { return float64(d / time.Microsecond) }

// each lists the counters of every version; triton lists the same under Triton's names.
var (
	each = []versionSeries{
		ofVersion("melo_adapter_answers_total", "Questions that the version answered.", func(s *serve.VersionStats) float64 { return float64(s.Success.Count) }),
		ofVersion("melo_adapter_failures_total", "Questions to the version that failed.", func(s *serve.VersionStats) float64 { return float64(s.Fail.Count) }),
		ofVersion("melo_adapter_seconds_total", "Time of the questions that it answered.", func(s *serve.VersionStats) float64 { return s.Success.Time.Seconds() }),
		ofVersion("melo_adapter_queue_seconds_total", "Of that, waiting for a batch.", func(s *serve.VersionStats) float64 { return s.Queue.Time.Seconds() }),
	}
	triton = []versionSeries{
		ofModel("nv_inference_request_success", "Alias of melo_adapter_answers_total.", func(s *serve.VersionStats) float64 { return float64(s.Success.Count) }),
		ofModel("nv_inference_count", "Inferences performed.", func(s *serve.VersionStats) float64 { return float64(s.Requests) }),
		ofModel("nv_inference_exec_count", "Passes that had any of them.", func(s *serve.VersionStats) float64 { return float64(s.Executions) }),
		ofModel("nv_inference_request_duration_us", "Time of requests.", func(s *serve.VersionStats) float64 { return microseconds(s.Success.Time) }),
		ofModel("nv_inference_queue_duration_us", "Time in the queue.", func(s *serve.VersionStats) float64 { return microseconds(s.Queue.Time) }),
		ofModel("nv_inference_compute_input_duration_us", "Time of preparing inputs.", func(s *serve.VersionStats) float64 { return microseconds(s.Prepare.Time) }),
		ofModel("nv_inference_compute_infer_duration_us", "Time of passes.", func(s *serve.VersionStats) float64 { return microseconds(s.Compute.Time) }),
		ofModel("nv_inference_compute_output_duration_us", "Time of making outputs: part of the pass here, so 0.", func(*serve.VersionStats) float64 { return 0 }),
	}
	tritonFailure = describe("nv_inference_request_failure", "Requests that failed, by reason.", "model", "version", "reason")
	tritonPending = describe("nv_inference_pending_request_count", "Alias of melo_queue_waiting: batches are of all adapters.", "model", "version")
	ready         = describe("melo_ready", "Whether new requests are taken.")
)

// ofBases lists the series of each of several bases.
var ofBases = []struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(b *serve.BaseStatus) float64
}{
	{describe("melo_base_resident", "Whether the base is in memory.", "base"), prometheus.GaugeValue, func(b *serve.BaseStatus) float64 { return yes(b.Resident > 0) }},
	{describe("melo_base_available", "Whether the base is in memory, or would be loaded.", "base"), prometheus.GaugeValue,
		func(b *serve.BaseStatus) float64 { return yes(b.State != serve.Unavailable) }},
	{describe("melo_base_bytes", "Memory of the base when it is in it, by estimate.", "base"), prometheus.GaugeValue, func(b *serve.BaseStatus) float64 { return float64(b.Bytes) }},
	{describe("melo_base_adapters", "Names of adapters whose current version belongs to the base.", "base"), prometheus.GaugeValue, func(b *serve.BaseStatus) float64 { return float64(b.Adapters) }},
	{describe("melo_base_loads_total", "How often the base was loaded.", "base"), prometheus.CounterValue, func(b *serve.BaseStatus) float64 { return float64(b.Loads) }},
	{describe("melo_base_evictions_total", "How often the base left memory for another.", "base"), prometheus.CounterValue, func(b *serve.BaseStatus) float64 { return float64(b.Evictions) }},
}

var (
	basesBudget = describe("melo_bases_budget_bytes", "Memory that bases may take; 0 is no limit.")
	baseInfo    = describe("melo_base_info", "Which bases are served, and how.", "base", "digest", "precision", "kernels")
	adapterBase = describe("melo_adapter_base_info", "Which base the version belongs to.", "adapter", "version", "base")
)

func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// collectBases reads the bases, if there are several.
func (c *engineCollector) collectBases(send func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string), budget int64) {
	send(basesBudget, prometheus.GaugeValue, float64(budget))
	list := c.engine.Bases()
	for i := range list {
		b := &list[i]
		send(baseInfo, prometheus.GaugeValue, 1, b.Name, b.Digest, b.Precision, vit.Kernels())
		for _, s := range ofBases {
			send(s.desc, s.kind, s.value(b), b.Name)
		}
	}
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe lists all series.
func (c *engineCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- ready
	for _, w := range whole {
		ch <- w.desc
	}
	if c.engine.Several() {
		ch <- basesBudget
		ch <- baseInfo
		for _, s := range ofBases {
			ch <- s.desc
		}
		if c.each {
			ch <- adapterBase
		}
	}
	if c.each {
		for _, s := range each {
			ch <- s.desc
		}
	}
	if c.aliases {
		for _, s := range triton {
			ch <- s.desc
		}
		ch <- tritonFailure
		ch <- tritonPending
	}
}

// Collect reads the engine.
func (c *engineCollector) Collect(ch chan<- prometheus.Metric) {
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		for i, l := range labels {
			labels[i] = strings.ToValidUTF8(l, "?")
		}
		ch <- prometheus.MustNewConstMetric(desc, kind, value, labels...)
	}
	up := 0.0
	if c.engine.Ready() {
		up = 1
	}
	send(ready, prometheus.GaugeValue, up)
	stats := c.engine.Stats()
	for _, w := range whole {
		send(w.desc, w.kind, w.value(stats))
	}
	if c.engine.Several() {
		c.collectBases(send, stats.BaseBudget)
	}
	if !c.each {
		return
	}
	versions := c.engine.Registry().Stats()
	failures := c.metrics.failuresOf(versions)
	for i := range versions {
		v := &versions[i]
		if v.Base != "" {
			send(adapterBase, prometheus.GaugeValue, 1, v.Name, v.Version, v.Base)
		}
		for _, s := range each {
			send(s.desc, prometheus.CounterValue, s.value(v), v.Name, v.Version)
		}
		if !c.aliases {
			continue
		}
		for _, s := range triton {
			send(s.desc, prometheus.CounterValue, s.value(v), v.Name, v.Version)
		}
	}
	if !c.aliases {
		return
	}
	for f, n := range failures {
		send(tritonFailure, prometheus.CounterValue, float64(n), f.id.Name, f.id.Version, f.reason)
	}
	send(tritonPending, prometheus.GaugeValue, float64(stats.Waiting), "", "")
}

// failuresOf returns the failures of versions, and drops those of versions that no longer exist.
func (m *Metrics) failuresOf(versions []serve.VersionStats) map[failure]uint64 {
	there := make(map[serve.Identity]bool, len(versions))
	for i := range versions {
		there[versions[i].Identity] = true
	}
	found := map[failure]uint64{}
	m.mu.Lock()
	defer m.mu.Unlock()
	for f, n := range m.failures {
		if there[f.id] {
			found[f] = n
		} else {
			delete(m.failures, f)
		}
	}
	return found
}
