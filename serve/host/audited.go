package host

import (
	"context"
	"fmt"
	"sync"
	"time"

	"melo.example/melo/serve/audit"
	"melo.example/melo/serve/oip"
)

// audit logs what a client did other than predictions.
func (h *Host) audit(ctx context.Context, event audit.Event) {
	if h.config.Audit == nil {
		return
	}
	who := Auditor{h.config.Audit, oip.RequestID}.of(ctx, event.Action, event.Outcome)
	who.Adapter, who.Version, who.Digest, who.Address, who.Detail = event.Adapter, event.Version, event.Digest, event.Address, event.Detail
	_ = h.config.Audit.Record(who)
}

// decided returns what a name refers to at present, for the log.
func (h *Host) decided(name string) (text string, ok bool) {
	if h.config.Audit == nil || name == "" {
		return "", false
	}
	text, _, ok = h.gate.Registry().Decided(name)
	return text, ok
}

// operated logs an operator's action on an adapter: what was decided before, and what is now. A name that does
// not exist is not logged, because a client may have made it up.
func (h *Host) operated(ctx context.Context, action, outcome, name, before string) {
	event := audit.Event{Action: action, Outcome: outcome}
	if h.config.Audit != nil && name != "" {
		if after, current, ok := h.gate.Registry().Decided(name); ok {
			event.Adapter, event.Version, event.Digest = name, current.Version, current.Digest
			event.Detail = "before: " + before + "; after: " + after
			if before == after {
				event.Detail = "unchanged: " + after
			}
			if before == "" {
				event.Detail = "new: " + after
			}
		}
	}
	h.audit(ctx, event)
}

// refusals limits how fast refused clients can make the log grow: ten entries per second, with some burst.
type refusals struct {
	mu      sync.Mutex
	left    float64
	updated time.Time
	skipped uint64
}

const (
	refusalsEach  = 10.0
	refusalsBurst = 100.0
)

// next reports whether an entry may be written, and how many were skipped since the last one.
func (r *refusals) next(now time.Time) (skipped uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.updated.IsZero() {
		r.left = refusalsBurst
	} else {
		r.left = min(refusalsBurst, r.left+now.Sub(r.updated).Seconds()*refusalsEach)
	}
	r.updated = now
	if r.left < 1 {
		r.skipped++
		return 0, false
	}
	r.left--
	skipped, r.skipped = r.skipped, 0
	return skipped, true
}

// refused logs that a client was refused, and its address.
func (h *Host) refused(ctx context.Context, v visit, outcome string) {
	if h.config.Audit == nil {
		return
	}
	skipped, ok := h.refusals.next(time.Now())
	if !ok {
		return
	}
	event := audit.Event{Action: v.name, Outcome: outcome, Address: v.credentials.Address}
	if skipped > 0 {
		event.Detail = fmt.Sprintf("%d more were refused before, for which there was no room", skipped)
	}
	h.audit(ctx, event)
}
