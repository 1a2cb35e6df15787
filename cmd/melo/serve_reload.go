package main

import (
	"context"
	"io"
	"math"
	"slices"

	"melo.example/melo/serve/access"
)

// clientLimits are those of clients without their own.
func (o *serveOptions) clientLimits() access.Limits {
	l := access.Limits{Rate: o.Rate, Burst: o.Burst, Concurrent: o.Concurrent, Body: int64(o.ClientBody)}
	if o.Rate > 0 && o.Burst == 0 {
		l.Burst = int(math.Ceil(math.Min(o.Rate, math.MaxInt32)))
	}
	return l
}

// reload reads what may change while the server runs: tokens, certificates, limits of clients, the folder. What cannot be
// read stays as it is, and the log says so.
func (r *server) reload(ctx context.Context, args []string) {
	r.log.Info("reading tokens, certificates, limits and adapters again")
	if o, err := settingsAgain(ctx, args); err != nil {
		r.log.Error("the settings were not read again", "error", err)
	} else {
		r.applyAgain(ctx, o)
	}
	r.Reload(ctx)
}

// applyAgain applies what may change of the settings.
func (r *server) applyAgain(ctx context.Context, o *serveOptions) {
	if l := o.clientLimits(); l != r.Guard().LimitsOf(access.Principal{}) {
		r.Guard().SetDefaults(l)
		r.log.Info("limits of clients", "rate", l.Rate, "burst", l.Burst, "concurrent", l.Concurrent, "body", l.Body)
	}
	if slices.Equal(o.Base, r.options.Base) && slices.Equal(o.Pin, r.options.Pin) && !r.Engine().Several() {
		return
	}
	if err := r.SetBases(ctx, o.Base, o.Pin); err != nil {
		r.log.Error("the bases were not changed", "error", err)
		return
	}
	r.options.Base, r.options.Pin = o.Base, o.Pin
	r.boundMemory()
	r.log.Info("bases", "served", len(o.Base))
}

// settingsAgain reads the settings as they are now: of flags, environment and file, the file alone can have changed.
func settingsAgain(ctx context.Context, args []string) (*serveOptions, error) {
	var c commands
	parser, err := newParser(ctx, &c, &stdio{out: io.Discard, err: io.Discard})
	if err != nil {
		return nil, err
	}
	if _, err := parser.Parse(args); err != nil {
		return nil, err
	}
	return &c.Serve, nil
}
