package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"melo.example/melo/serve/access"
	"melo.example/melo/serve/oip"
)

// visit describes a call before it is admitted.
type visit struct {
	protocol    string // http or grpc
	name        string // of the route or method
	need        access.Role
	header      http.Header
	credentials access.Credentials
	adapter     string // adapter in the address, if any
	opening     bool   // opening of a stream, whose messages are counted individually
	message     bool   // message of a stream, which itself is an admitted call
}

// entered is a call that was admitted or refused. It is counted, timed, traced and logged in either case.
type entered struct {
	ctx   context.Context
	limit int64                // maximum bytes from its client; 0: the general limit
	named func(adapter string) // called with the adapter if it becomes known later
	end   func(code string, ok, fault bool, adapter string, bytes int64)
}

// begin applies authentication, limits, audit log, metrics, traces and logs to a call. end must be called after
// the call has been answered, even if begin returns an error.
func (h *Host) begin(ctx context.Context, v visit) (entered, error) {
	began := time.Now()
	counted := h.config.Recorder.Call(v.protocol, v.name)
	ctx, end := h.config.Tracer.Start(ctx, propagation.HeaderCarrier(v.header), v.protocol, v.name)
	p, done := access.Principal{}, func() {}
	leave, err := func() {}, error(nil)
	if !v.message {
		leave, err = h.calls[v.protocol].enter(clientHost(v.credentials.Address), v.need)
	}
	if err != nil {
		h.config.Recorder.Denied("calls")
	} else {
		ctx, p, done, err = h.enter(ctx, v)
	}
	before := ""
	named := func(adapter string) {
		if v.need > access.Viewer && err == nil {
			before, _ = h.decided(adapter)
		}
	}
	named(v.adapter)
	e := entered{ctx: ctx, named: named, end: func(code string, ok, fault bool, adapter string, bytes int64) {
		done()
		leave()
		if v.need > access.Viewer && err == nil {
			outcome := "ok"
			if !ok {
				outcome = "failed"
			}
			h.operated(ctx, v.name, outcome, adapter, before)
		}
		counted(code)
		end(code, fault)
		level := slog.LevelInfo
		if v.need == access.Public {
			level = slog.LevelDebug
		}
		h.config.Log.Log(ctx, level, "call", "protocol", v.protocol, "route", v.name, "status", code,
			"seconds", time.Since(began).Seconds(), "bytes", bytes)
	}}
	if err == nil && p.Name != "" {
		e.limit = h.config.Guard.LimitsOf(p).Body
	}
	return e, err
}

// roleOf converts a role of the endpoints. Unknown roles become the highest.
func roleOf(r oip.Role) access.Role {
	switch r {
	case oip.Public:
		return access.Public
	case oip.Viewer:
		return access.Viewer
	case oip.Operator:
		return access.Operator
	}
	return access.Admin
}

// enter admits a call, or returns an error. done must be called after the call has been answered.
func (h *Host) enter(ctx context.Context, v visit) (_ context.Context, p access.Principal, done func(), err error) {
	nothing := func() {}
	guard := h.config.Guard
	if v.need == access.Public {
		return oip.WithAdapters(ctx, func(name string) bool { return h.maySee(ctx, v.credentials, name) }), p, nothing, nil
	}
	if p, err = guard.Authenticate(ctx, v.credentials); err == nil {
		ctx = access.With(ctx, p)
		err = guard.Authorize(p, v.need)
	}
	switch {
	case errors.Is(err, access.ErrForbidden):
		h.refused(ctx, v, "forbidden")
	case errors.Is(err, access.ErrUnauthenticated):
		h.refused(ctx, v, "unauthenticated")
	}
	if err == nil && h.config.Audit != nil {
		if unhealthy := h.config.Audit.Healthy(); unhealthy != nil {
			h.config.Log.ErrorContext(ctx, "the audit log cannot be written", "error", unhealthy)
			return ctx, p, nothing, h.deny("audit", &oip.Fault{Kind: oip.Unavailable, Message: "the audit log cannot be written: nothing is answered until it can", RetryAfter: time.Second})
		}
	}
	if err == nil {
		if done, err = guard.Admit(p); err == nil {
			if v.opening {
				done()
				done = nothing
			}
			if p.Adapters != nil {
				ctx = oip.WithAdapters(ctx, p.Adapters.May)
			}
			return oip.WithClient(ctx, p.Via+" "+p.Name), p, done, nil
		}
	}
	return ctx, p, nothing, h.refuse(err)
}

// maySee reports whether the client of a public request may also know about an adapter.
func (h *Host) maySee(ctx context.Context, c access.Credentials, name string) bool {
	p, err := h.config.Guard.Authenticate(ctx, c)
	return err == nil && h.config.Guard.Authorize(p, access.Viewer) == nil && p.Adapters.May(name)
}

// refuse converts an error of the guard to one of the endpoints.
func (h *Host) refuse(err error) error {
	var limited *access.LimitError
	switch {
	case errors.As(err, &limited):
		return h.deny("limit", &oip.Fault{Kind: oip.Overloaded, Message: oip.Clean(limited.Error()), RetryAfter: max(limited.RetryAfter, time.Millisecond)})
	case errors.Is(err, access.ErrUnauthenticated):
		return h.deny("unauthenticated", oip.NewFault(oip.Unauthorized, oip.Clean(err.Error())))
	case errors.Is(err, access.ErrForbidden):
		return h.deny("forbidden", oip.NewFault(oip.Forbidden, oip.Clean(err.Error())))
	case errors.Is(err, access.ErrUnavailable):
		return h.deny("provider", &oip.Fault{Kind: oip.Unavailable, Message: "the identity provider cannot be reached", RetryAfter: 5 * time.Second, Cause: err})
	}
	return err
}

func (h *Host) deny(reason string, fault *oip.Fault) *oip.Fault {
	h.config.Recorder.Denied(reason)
	return fault
}

// leaf returns the verified certificate of a client.
func leaf(state *tls.ConnectionState) *x509.Certificate {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return nil
	}
	return state.VerifiedChains[0][0]
}
