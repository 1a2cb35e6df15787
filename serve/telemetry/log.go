package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"melo.example/melo/serve"
	"melo.example/melo/serve/access"
)

// NewLogger returns a logger that writes JSON or key=value lines to w. If the context of a record belongs to a
// request, the record includes the request's ID (requestID may be nil), client and trace.
func NewLogger(w io.Writer, format string, level slog.Leveler, requestID func(context.Context) string) (*slog.Logger, error) {
	if requestID == nil {
		requestID = func(context.Context) string { return "" }
	}
	o := &slog.HandlerOptions{Level: level}
	switch format {
	case "json":
		return slog.New(&requestHandler{slog.NewJSONHandler(w, o), requestID}), nil
	case "text":
		return slog.New(&requestHandler{slog.NewTextHandler(w, o), requestID}), nil
	}
	return nil, fmt.Errorf("telemetry: log format %.40q, expected text or json", format)
}

// requestHandler adds attributes from the context.
type requestHandler struct {
	slog.Handler
	requestID func(context.Context) string
}

// Handle adds the request to a record.
func (h *requestHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := h.requestID(ctx); id != "" {
		r.AddAttrs(slog.String("request", id))
	}
	if p := access.From(ctx); p.Name != "" {
		r.AddAttrs(slog.String("client", p.Name))
	}
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		r.AddAttrs(slog.String("trace", span.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs returns a handler with further attributes.
func (h *requestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &requestHandler{h.Handler.WithAttrs(attrs), h.requestID}
}

// WithGroup returns a handler whose further attributes are in a group.
func (h *requestHandler) WithGroup(name string) slog.Handler {
	return &requestHandler{h.Handler.WithGroup(name), h.requestID}
}

// LogObserver logs changes of adapters. The endpoints log requests.
type LogObserver struct{ Log *slog.Logger }

// RequestDone does nothing.
func (LogObserver) RequestDone(context.Context, serve.RequestEvent) {}

// BatchDone does nothing.
func (LogObserver) BatchDone(serve.BatchEvent) {}

// AdapterChanged writes one line.
func (o LogObserver) AdapterChanged(e serve.AdapterEvent) {
	attrs := []slog.Attr{slog.String("adapter", e.Name)}
	if e.Digest != "" {
		attrs = append(attrs, slog.String("digest", e.Digest))
	}
	if e.Base != "" {
		attrs = append(attrs, slog.String("base", e.Base))
	}
	if e.Bytes > 0 {
		attrs = append(attrs, slog.Int64("bytes", e.Bytes))
	}
	if e.Duration > 0 {
		attrs = append(attrs, slog.Float64("seconds", e.Duration.Seconds()))
	}
	level := slog.LevelInfo
	switch e.Change {
	case serve.Loaded, serve.Evicted:
		level = slog.LevelDebug // as frequent as changes of the working set
	case serve.Refused:
		level = slog.LevelWarn
	}
	if e.Forgotten {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("note", "the next start will not know of it: --state-file keeps what operators decide"))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	o.Log.LogAttrs(context.Background(), level, "adapter "+string(e.Change), attrs...)
}

// BaseChanged writes one line.
func (o LogObserver) BaseChanged(e serve.BaseEvent) {
	attrs := []slog.Attr{slog.String("base", e.Base), slog.String("digest", e.Digest)}
	if e.Adapter != "" {
		attrs = append(attrs, slog.String("tuned_by", e.Adapter))
	}
	if e.Bytes > 0 {
		attrs = append(attrs, slog.Int64("bytes", e.Bytes))
	}
	if e.Duration > 0 {
		attrs = append(attrs, slog.Float64("seconds", e.Duration.Seconds()))
	}
	level := slog.LevelInfo
	if e.Err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	o.Log.LogAttrs(context.Background(), level, "base "+string(e.Change), attrs...)
}

// Observers forwards events to several observers.
type Observers []serve.Observer

// RequestDone forwards the event.
func (all Observers) RequestDone(ctx context.Context, e serve.RequestEvent) {
	for _, o := range all {
		o.RequestDone(ctx, e)
	}
}

// BatchDone forwards the event.
func (all Observers) BatchDone(e serve.BatchEvent) {
	for _, o := range all {
		o.BatchDone(e)
	}
}

// BaseChanged forwards the event to those that implement serve.BaseObserver.
func (all Observers) BaseChanged(e serve.BaseEvent) {
	for _, o := range all {
		if o, ok := o.(serve.BaseObserver); ok {
			o.BaseChanged(e)
		}
	}
}

// AdapterChanged forwards the event.
func (all Observers) AdapterChanged(e serve.AdapterEvent) {
	for _, o := range all {
		o.AdapterChanged(e)
	}
}
