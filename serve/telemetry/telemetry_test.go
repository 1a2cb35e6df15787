package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"melo.example/melo/internal/par"
	"melo.example/melo/serve"
	"melo.example/melo/serve/access"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

const digest = "sha256:00000000000000000000000000000000000000000000000000000000000000ba"

// newEngine has no adapters.
func newEngine(t *testing.T) *serve.Engine {
	t.Helper()
	pool := par.New(1)
	c := vit.Config{Family: "vit", Width: 16, Depth: 1, Heads: 2, MLP: 32, Image: 8, Patch: 4, Channels: 3,
		Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, Act: arch.GELUErf, Eps: 1e-6}
	e, err := serve.New(t.Context(), vit.Random(pool, c, vit.F32, 0.3, 1), digest, serve.Config{Release: pool.Close, Adapters: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestMetricNames(t *testing.T) {
	m := NewMetrics()
	m.Watch(newEngine(t), EngineOptions{})
	m.Info("melo_build_info", "Which program this is.", map[string]string{"version": "test"})
	id := serve.Identity{Name: "busi", Version: "abc", Digest: digest}
	m.RequestDone(t.Context(), serve.RequestEvent{Identity: id, Start: time.Now(), Timing: serve.Timing{Load: time.Second, Queue: time.Millisecond}})
	m.RequestDone(t.Context(), serve.RequestEvent{Identity: serve.Identity{Name: "made up by a client"}, Err: &serve.UnknownError{}})
	m.BatchDone(serve.BatchEvent{Duration: time.Second, Images: 7, Requests: 9, Adapters: 3})
	m.AdapterChanged(serve.AdapterEvent{Change: serve.Loaded, Duration: time.Second})
	m.Call("http", "Predict")("200")
	m.Denied("rate")
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, "nv_") && !strings.HasPrefix(p.Metric, "go_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	text := scrape(t, m)
	for _, want := range []string{
		`melo_requests_total{outcome="ok"} 1`, `melo_requests_total{outcome="unknown"} 1`, `melo_requests_total{outcome="overloaded"} 0`,
		`melo_request_queue_seconds_bucket{le="0.001"} 1`, `melo_request_load_seconds_sum 1`, `melo_batch_images_bucket{le="8"} 1`,
		`melo_batch_adapters_sum 3`, `melo_adapter_changes_total{change="loaded"} 1`, `melo_calls_total{code="200",protocol="http",route="Predict"} 1`,
		`melo_calls_in_flight{protocol="http"} 0`, `melo_denied_total{reason="rate"} 1`, `melo_ready 1`, `melo_adapters_resident 0`,
		`nv_inference_pending_request_count{model="",version=""} 0`, "process_open_fds", "go_goroutines", `melo_build_info{version="test"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "made up") {
		t.Error("a name that a client made up is a label")
	}
}

func TestFailuresByReason(t *testing.T) {
	m := NewMetrics()
	id := serve.Identity{Name: "busi", Version: "abc", Digest: digest}
	for _, err := range []error{&serve.OverloadError{}, serve.ErrDraining, context.Canceled, &serve.BrokenError{Err: io.EOF}, &serve.InputError{Err: io.EOF}} {
		m.RequestDone(t.Context(), serve.RequestEvent{Identity: id, Err: err})
	}
	m.RequestDone(t.Context(), serve.RequestEvent{Identity: serve.Identity{Name: "gone", Digest: "sha256:1"}, Err: io.EOF})
	got := m.failuresOf([]serve.VersionStats{{Identity: id}})
	want := map[failure]uint64{{id, "REJECTED"}: 2, {id, "CANCELED"}: 1, {id, "BACKEND"}: 1, {id, "OTHER"}: 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(m.failures) != len(want) {
		t.Error("failures of adapters that are gone are kept")
	}
}

func TestOutcomesAreAll(t *testing.T) {
	for _, err := range []error{nil, &serve.UnknownError{}, &serve.BrokenError{Err: io.EOF}, &serve.OverloadError{}, serve.ErrDraining,
		&serve.InputError{Err: io.EOF}, context.Canceled, context.DeadlineExceeded, io.EOF} {
		if !slices.Contains(Outcomes, Outcome(err)) {
			t.Errorf("%v: %q is not listed", err, Outcome(err))
		}
	}
}

// Without adapters of their own the series of each and Triton's are not even described.
func TestEngineOptions(t *testing.T) {
	m := NewMetrics()
	m.Watch(newEngine(t), EngineOptions{NoAdapters: true})
	if text := scrape(t, m); strings.Contains(text, "nv_") || strings.Contains(text, "melo_adapter_answers_total") {
		t.Error(text)
	}
}

type requestKey struct{}

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	log, err := NewLogger(&b, "json", slog.LevelInfo, func(ctx context.Context) string {
		id, _ := ctx.Value(requestKey{}).(string)
		return id
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := access.With(context.WithValue(t.Context(), requestKey{}, "r1"), access.Principal{Name: "ris"})
	tracer, err := NewTracer(ctx, TraceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	carrier := propagation.MapCarrier{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	ctx, end := tracer.Start(ctx, carrier, "http", "Predict")
	log.With("a", 1).InfoContext(ctx, "hello")
	end("200", false)
	var line map[string]any
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"request": "r1", "client": "ris", "trace": "0af7651916cd43dd8448eb211c80319c", "a": 1.0, "msg": "hello"} {
		if line[key] != want {
			t.Errorf("%s: got %v, want %v", key, line[key], want)
		}
	}
	if _, err := NewLogger(&b, "xml", slog.LevelInfo, nil); err == nil {
		t.Error("xml is taken")
	}
	b.Reset()
	Observers{LogObserver{log}}.AdapterChanged(serve.AdapterEvent{Change: serve.Refused, Identity: serve.Identity{Name: "busi"}, Err: io.EOF})
	Observers{LogObserver{log}}.AdapterChanged(serve.AdapterEvent{Change: serve.Evicted})
	if s := b.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, `"adapter refused"`) || !strings.Contains(s, "WARN") {
		t.Error(s)
	}
}

func TestTraces(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	tracer, err := NewTracer(t.Context(), TraceOptions{Exporter: exporter, Sample: 1})
	if err != nil {
		t.Fatal(err)
	}
	carrier := propagation.MapCarrier{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	ctx, end := tracer.Start(t.Context(), carrier, "http", "Predict")
	start := time.Now().Add(-time.Second)
	tracer.RequestDone(ctx, serve.RequestEvent{Identity: serve.Identity{Name: "busi", Digest: digest}, Start: start,
		Timing: serve.Timing{Prepare: 100 * time.Millisecond, Queue: 300 * time.Millisecond, Compute: 500 * time.Millisecond, Batch: 3}})
	tracer.RequestDone(ctx, serve.RequestEvent{Identity: serve.Identity{Name: "secret name"}, Start: start, Err: errors.New("of patient x")})
	end("200", false)
	if err := tracer.provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range exporter.GetSpans() {
		names = append(names, s.Name)
		if s.SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("%s is in trace %s", s.Name, s.SpanContext.TraceID())
		}
		if s.Name == "compute" && s.EndTime.Sub(s.StartTime) != 500*time.Millisecond {
			t.Errorf("compute took %v", s.EndTime.Sub(s.StartTime))
		}
		if text := fmt.Sprint(s.Attributes, s.Events, s.Status); strings.Contains(text, "secret") || strings.Contains(text, "patient") {
			t.Errorf("%s: %s", s.Name, text)
		}
	}
	if want := []string{"prepare", "queue", "compute", "answer", "answer", "Predict"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	tracer.Close(t.Context())
}

func TestOTLP(t *testing.T) {
	got := make(chan *http.Request, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		got <- r
	}))
	defer collector.Close()
	tracer, err := NewTracer(t.Context(), TraceOptions{Endpoint: collector.URL, Sample: 1, Headers: map[string]string{"x-key": "k"}})
	if err != nil {
		t.Fatal(err)
	}
	_, end := tracer.Start(t.Context(), propagation.MapCarrier{}, "grpc", "ModelInfer")
	end("OK", false)
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r.URL.Path != "/v1/traces" || r.Header.Get("x-key") != "k" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("%s %v", r.URL, r.Header)
	}
	for _, bad := range []string{"localhost:4318", "ftp://x", "http://"} {
		if _, err := NewTracer(t.Context(), TraceOptions{Endpoint: bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
