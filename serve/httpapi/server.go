package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"melo.example/melo/serve/oip"
)

// Options configures the endpoint. A zero field means its default.
type Options struct {
	Service *oip.Service
	// Wrap adds middleware to a route: authorisation, limits, audit, metrics. It may be nil. It runs after
	// requests have got their ID.
	Wrap func(Route, http.Handler) http.Handler
	// Log receives internal errors; nil: none.
	Log *slog.Logger
	// Body is the time limit for a client to send a request; default oip.ArrivalTime.
	Body time.Duration
	// Request is the time limit for answering a request after it has arrived; default 60 s.
	Request time.Duration
	// Write is the time limit for a client to receive the answer; default 30 s.
	Write time.Duration
}

// api is the endpoint.
type api struct {
	Options
	mux     *http.ServeMux
	openapi []byte
}

// headerTimeout is the time limit for a request's header; idleTimeout that of an idle connection.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10
	defaultWrite  = 30 * time.Second
)

// New returns the endpoint. Requests get an ID, and all errors have the same form.
func New(o Options) http.Handler {
	fill := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	fill(&o.Body, oip.ArrivalTime)
	fill(&o.Request, time.Minute)
	fill(&o.Write, defaultWrite)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &api{Options: o, mux: http.NewServeMux(), openapi: document(o.Service)}
	for _, route := range routes {
		var h http.Handler = a.handler(route)
		if o.Wrap != nil {
			h = o.Wrap(route, h)
		}
		a.mux.Handle(route.Pattern(), h)
	}
	a.mux.HandleFunc("/", a.nowhere)
	return http.HandlerFunc(a.enter)
}

// NewServer returns an HTTP server for the endpoint, or its middleware, that does not wait for slow clients.
// The caller sets address and TLS.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader}
}

// enter gives a request its ID and recovers from panics in handlers.
func (a *api) enter(w http.ResponseWriter, r *http.Request) {
	id := oip.SaneRequestID(r.Header.Get("X-Request-Id"))
	h := w.Header()
	h.Set("X-Request-Id", id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	r = r.WithContext(oip.WithRequestID(r.Context(), id))
	defer func() {
		if bug := recover(); bug != nil {
			if err, ok := bug.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(bug)
			}
			a.Log.ErrorContext(r.Context(), "bug", "panic", bug, "stack", string(debug.Stack()))
			a.fail(w, r, oip.NewFault(oip.Internal, "internal error, see the server's log"))
		}
	}()
	a.mux.ServeHTTP(w, r)
}

// handler returns the handler of a route.
func (a *api) handler(route Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := route.handle(a, w, r); err != nil {
			a.fail(w, r, err)
		}
	})
}

// nowhere answers for unknown paths and methods.
func (a *api) nowhere(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{get, post, put, del} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := a.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		a.fail(w, r, oip.NewFault(oip.NotFound, "no such address; GET /openapi.json lists those that there are"))
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	_ = a.writeJSON(w, http.StatusMethodNotAllowed, errorDocument{"this address takes " + strings.Join(allowed, ", ")})
}

// errorDocument is the answer to a failed request.
type errorDocument struct {
	Error string `json:"error" doc:"One line that says what is wrong."`
}

// statuses maps oip.Kind to HTTP statuses.
var statuses = map[oip.Kind]int{
	oip.Internal: http.StatusInternalServerError, oip.Invalid: http.StatusBadRequest, oip.TooLarge: http.StatusRequestEntityTooLarge,
	oip.Unsupported: http.StatusNotImplemented, oip.NotFound: http.StatusNotFound, oip.Refused: http.StatusFailedDependency,
	oip.Overloaded: http.StatusTooManyRequests, oip.Unavailable: http.StatusServiceUnavailable, oip.DeadlineError: http.StatusGatewayTimeout,
	oip.Canceled: http.StatusRequestTimeout, oip.Unauthorized: http.StatusUnauthorized, oip.Forbidden: http.StatusForbidden,
	oip.Slow: http.StatusRequestTimeout, oip.NotFinite: http.StatusUnprocessableEntity,
	oip.Unlike: http.StatusUnprocessableEntity,
}

// fail answers with an error.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	fault := oip.FaultOf(err)
	if fault.Kind == oip.Internal {
		a.Log.ErrorContext(r.Context(), "internal error", "request", oip.RequestID(r.Context()), "error", errors.Unwrap(fault))
	}
	WriteError(w, fault)
}

// WriteError answers with an error in the endpoint's form, for middleware that refuses a request.
func WriteError(w http.ResponseWriter, fault *oip.Fault) {
	if fault.Kind == oip.Overloaded || fault.Kind == oip.Unavailable {
		seconds := max(int64((fault.RetryAfter+time.Second-1)/time.Second), 1)
		w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	body, _ := json.Marshal(errorDocument{oip.Clean(fault.Message)}) // cannot fail for a string
	write(w, statuses[fault.Kind], "application/json", body, defaultWrite)
}

// writeJSON answers with a document.
func (a *api) writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	write(w, status, "application/json", body, a.Write)
	return nil
}

// write sends an answer, with a time limit for the client to receive it. Errors mean that the client has gone,
// and are ignored.
func write(w http.ResponseWriter, status int, media string, body []byte, patience time.Duration) {
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(patience))
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }() // the connection may have further requests
	w.WriteHeader(status)
	if _, err := w.Write(body); err == nil {
		_ = control.Flush()
	}
}

// open returns the body of a request. The caller must release it.
func (a *api) open(w http.ResponseWriter, r *http.Request) (*oip.Body, error) {
	if limit := a.Service.Limits().Body; r.ContentLength > limit {
		return nil, oip.NewFault(oip.TooLarge, fmt.Sprintf("request of %d bytes, the limit is %d", r.ContentLength, limit))
	}
	return a.Service.Receive(r.Body, oip.Arrival{Time: a.Body, Deadline: http.NewResponseController(w).SetReadDeadline,
		Encoding: strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))), Limit: BodyLimit(r.Context())})
}

// body reads the body of a request within the limits. The caller must release in.
func (a *api) body(w http.ResponseWriter, r *http.Request) (data []byte, in *oip.Body, err error) {
	if in, err = a.open(w, r); err != nil {
		return nil, nil, err
	}
	claim := r.ContentLength
	if r.Header.Get("Content-Encoding") != "" {
		claim = -1
	}
	if data, err = in.ReadAll(claim); err != nil {
		in.Release()
		return nil, nil, err
	}
	in.Arrived()
	return data, in, nil
}

type limitKey struct{}

// WithBodyLimit returns a context for requests of a client with its own limit in bytes.
func WithBodyLimit(ctx context.Context, limit int64) context.Context {
	return context.WithValue(ctx, limitKey{}, limit)
}

// BodyLimit returns the client's own limit, or 0 if there is none.
func BodyLimit(ctx context.Context) int64 {
	limit, _ := ctx.Value(limitKey{}).(int64)
	return limit
}

// deadline returns the context for answering a request that has arrived.
func (a *api) deadline(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), a.Request)
}
