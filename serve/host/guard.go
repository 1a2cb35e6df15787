package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"melo.example/melo/serve/access"
	"melo.example/melo/serve/oip"
)

// visit is what either door knows of a call before it is looked at.
type visit struct {
	name        string // of the route or method
	need        access.Role
	credentials access.Credentials
}

// roleOf is a role of the doors' tables. What they do not know takes the highest.
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

// enter lets a call in, or says why not. done must be called when it has been answered.
func (h *Host) enter(ctx context.Context, v visit) (_ context.Context, p access.Principal, done func(), err error) {
	nothing := func() {}
	if v.need == access.Public {
		return ctx, p, nothing, nil
	}
	guard := h.config.Guard
	if p, err = guard.Authenticate(ctx, v.credentials); err == nil {
		ctx = access.With(ctx, p)
		err = guard.Authorize(p, v.need)
	}
	if errors.Is(err, access.ErrForbidden) {
		h.audit(ctx, v.name, "forbidden", "")
	}
	if err == nil && h.config.Audit != nil {
		if unhealthy := h.config.Audit.Healthy(); unhealthy != nil {
			h.config.Log.ErrorContext(ctx, "the audit log cannot be written", "error", unhealthy)
			err = unhealthy
			return ctx, p, nothing, h.deny("audit", &oip.Fault{Kind: oip.Unavailable, Message: "the audit log cannot be written: nothing is answered until it can", RetryAfter: time.Second})
		}
	}
	if err == nil {
		if done, err = guard.Admit(p); err == nil {
			return ctx, p, done, nil
		}
	}
	return ctx, p, nothing, h.refuse(err)
}

// refuse makes an error of the guard one of the doors.
func (h *Host) refuse(err error) error {
	var limited *access.LimitError
	switch {
	case errors.As(err, &limited):
		return h.deny("limit", &oip.Fault{Kind: oip.Overloaded, Message: limited.Error(), RetryAfter: max(limited.RetryAfter, time.Millisecond)})
	case errors.Is(err, access.ErrUnauthenticated):
		return h.deny("unauthenticated", oip.NewFault(oip.Unauthorized, err.Error()))
	case errors.Is(err, access.ErrForbidden):
		return h.deny("forbidden", oip.NewFault(oip.Forbidden, err.Error()))
	case errors.Is(err, access.ErrUnavailable):
		return h.deny("provider", &oip.Fault{Kind: oip.Unavailable, Message: "the identity provider cannot be reached", RetryAfter: 5 * time.Second, Cause: err})
	}
	return err
}

func (h *Host) deny(reason string, fault *oip.Fault) error {
	h.config.Recorder.Denied(reason)
	return fault
}

// tooLarge is the answer to a request above its client's own limit.
func (h *Host) tooLarge(limit int64) error {
	return h.deny("size", oip.NewFault(oip.TooLarge, fmt.Sprintf("the request is larger than this client's limit of %d bytes", limit)))
}

// audit writes what a client did other than asking adapters.
func (h *Host) audit(ctx context.Context, action, outcome, adapter string) {
	if h.config.Audit == nil {
		return
	}
	event := Auditor{h.config.Audit, oip.RequestID}.of(ctx, action, outcome)
	event.Adapter = adapter
	_ = h.config.Audit.Record(event)
}

// leaf returns the certificate that a client has proved to hold.
func leaf(state *tls.ConnectionState) *x509.Certificate {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return nil
	}
	return state.VerifiedChains[0][0]
}
