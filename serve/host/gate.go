package host

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"melo.example/melo/serve"
	"melo.example/melo/serve/access"
	"melo.example/melo/serve/audit"
	"melo.example/melo/serve/telemetry"
)

// gate is the engine as the endpoints see it: it reports not ready when the server is about to stop, while it
// still answers.
type gate struct {
	*serve.Engine
	stopping atomic.Bool
	audit    *audit.Log // may be nil
}

// Ready reports whether new requests should be sent here.
func (g *gate) Ready() bool {
	return !g.stopping.Load() && g.Engine.Ready() && g.Registry().Err() == nil && (g.audit == nil || g.audit.Healthy() == nil)
}

// Auditor logs predictions in an audit log. It is a serve.Observer.
type Auditor struct {
	Log       *audit.Log
	RequestID func(context.Context) string
}

// RequestDone writes one entry. If writing fails, the log keeps the entry, and the server answers nothing new
// until it has been written.
func (a Auditor) RequestDone(ctx context.Context, e serve.RequestEvent) {
	action := "predict"
	if e.Explain != "" {
		action = "explain"
	}
	event := a.of(ctx, action, telemetry.Outcome(e.Err))
	if e.Digest != "" { // a name that a client makes up may be that of a patient
		event.Adapter, event.Version, event.Digest, event.Signer = e.Name, e.Version, e.Digest, strings.Join(e.Signers, ",")
	}
	var details []string
	if e.Base != "" {
		details = append(details, "base: "+e.Base)
	}
	if e.Explain != "" {
		details = append(details, "method: "+e.Explain)
	}
	if f := e.Fit; f != nil {
		details = append(details, fmt.Sprintf("fit: %s its training images, score %.4g", map[bool]string{true: "unlike", false: "like"}[f.Unlike], f.Score))
	}
	event.Detail = strings.Join(details, "; ")
	_ = a.Log.Record(event)
}

// of returns an event of the request that ctx belongs to.
func (a Auditor) of(ctx context.Context, action, outcome string) audit.Event {
	p := access.From(ctx)
	return audit.Event{Action: action, Outcome: outcome, Client: p.Name, Via: p.Via, Role: p.Role.String(), Request: a.RequestID(ctx)}
}

// BatchDone does nothing.
func (Auditor) BatchDone(serve.BatchEvent) {}

// AdapterChanged logs changes that no operator made: files that appeared, disappeared or were refused.
// Operators' actions are logged elsewhere, with the operators' names.
func (a Auditor) AdapterChanged(e serve.AdapterEvent) {
	switch e.Change {
	case serve.Published, serve.Removed, serve.Refused:
	default:
		return
	}
	event := audit.Event{Action: "adapter " + string(e.Change), Outcome: "ok", Adapter: e.Name, Version: e.Version, Digest: e.Digest, Signer: strings.Join(e.Signers, ",")}
	if e.Base != "" {
		event.Detail = "base: " + e.Base
	}
	if e.Err != nil {
		event.Outcome = "failed"
	}
	_ = a.Log.Record(event)
}

// BaseChanged logs that one of several bases was loaded, unloaded or could not be loaded.
func (a Auditor) BaseChanged(e serve.BaseEvent) {
	event := audit.Event{Action: "base " + string(e.Change), Outcome: "ok", Adapter: e.Adapter, Digest: e.Digest, Detail: "base: " + e.Base}
	if e.Err != nil {
		event.Outcome = "failed"
	}
	_ = a.Log.Record(event)
}
