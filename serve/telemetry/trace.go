package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"melo.example/melo/serve"
)

// TraceOptions configures tracing.
type TraceOptions struct {
	Endpoint string            // URL of an OTLP collector (protobuf over HTTP); empty: no traces
	Headers  map[string]string // for the collector; may contain secrets
	Sample   float64           // fraction of requests without a caller's trace that are traced
	Version  string            // of the program
	Exporter sdktrace.SpanExporter
}

// Tracer makes spans of requests. It is a serve.Observer: when a request is done, its parts become spans.
type Tracer struct {
	tracer     trace.Tracer
	provider   *sdktrace.TracerProvider // nil: no traces
	propagator propagation.TextMapPropagator
}

// NewTracer returns a tracer. Nothing is sent before the first request.
func NewTracer(ctx context.Context, o TraceOptions) (*Tracer, error) {
	t := &Tracer{tracer: noop.NewTracerProvider().Tracer(""), propagator: propagation.TraceContext{}}
	exporter := o.Exporter
	if exporter == nil {
		if o.Endpoint == "" {
			return t, nil
		}
		u, err := url.Parse(o.Endpoint)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("telemetry: OTLP endpoint %.100q, expected a URL such as http://localhost:4318", o.Endpoint)
		}
		if u.Path == "" || u.Path == "/" {
			u.Path = "/v1/traces"
		}
		if exporter, err = otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithHeaders(o.Headers)); err != nil {
			return nil, fmt.Errorf("telemetry: %w", err)
		}
	}
	t.provider = sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Sample))),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "melo"), attribute.String("service.version", o.Version))))
	t.tracer = t.provider.Tracer("melo/serve")
	return t, nil
}

// Close sends the remaining traces.
func (t *Tracer) Close(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Start starts the span of a call, as part of the caller's trace if the carrier (headers, or gRPC metadata) has
// a W3C traceparent. route must be one of a fixed set. end takes the status of the call, and whether that is
// the server's fault.
func (t *Tracer) Start(ctx context.Context, carrier propagation.TextMapCarrier, protocol, route string) (_ context.Context, end func(code string, fault bool)) {
	ctx = t.propagator.Extract(ctx, carrier)
	if t.provider == nil {
		return ctx, func(string, bool) {} // the caller's trace still appears in the logs
	}
	ctx, span := t.tracer.Start(ctx, route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("protocol", protocol)))
	return ctx, func(code string, fault bool) {
		span.SetAttributes(attribute.String("status", code))
		if fault {
			span.SetStatus(codes.Error, code)
		}
		span.End()
	}
}

// RequestDone makes spans of a request and its parts.
func (t *Tracer) RequestDone(ctx context.Context, e serve.RequestEvent) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	end := time.Now()
	attrs := []attribute.KeyValue{attribute.String("melo.outcome", Outcome(e.Err))}
	if e.Digest != "" {
		attrs = append(attrs, attribute.String("melo.adapter", e.Name), attribute.String("melo.digest", e.Digest))
		if e.Base != "" {
			attrs = append(attrs, attribute.String("melo.base", e.Base))
		}
	}
	if e.Timing.Batch > 0 {
		attrs = append(attrs, attribute.Int("melo.batch", e.Timing.Batch))
	}
	ctx, span := t.tracer.Start(ctx, "answer", trace.WithTimestamp(e.Start), trace.WithAttributes(attrs...))
	at := end.Add(-e.Timing.Compute - e.Timing.Queue - e.Timing.Prepare - e.Timing.Load)
	if at.Before(e.Start) {
		at = e.Start
	}
	for _, part := range []struct {
		name string
		d    time.Duration
	}{{"load", e.Timing.Load}, {"prepare", e.Timing.Prepare}, {"queue", e.Timing.Queue}, {"compute", e.Timing.Compute}} {
		if part.d <= 0 {
			continue
		}
		_, s := t.tracer.Start(ctx, part.name, trace.WithTimestamp(at))
		at = at.Add(part.d)
		s.End(trace.WithTimestamp(at))
	}
	span.End(trace.WithTimestamp(end))
}

// BatchDone does nothing, because a pass belongs to several traces.
func (*Tracer) BatchDone(serve.BatchEvent) {}

// AdapterChanged does nothing.
func (*Tracer) AdapterChanged(serve.AdapterEvent) {}
