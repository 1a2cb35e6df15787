package main

import (
	"context"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	config "melo.example/melo/internal/settings"
	"melo.example/melo/serve/access"
)

// clientLimits returns the limits of clients that have none of their own.
func (o *serveOptions) clientLimits() access.Limits {
	l := access.Limits{Rate: o.Rate, Burst: o.Burst, Concurrent: o.Concurrent, Body: int64(o.ClientBody)}
	if o.Rate > 0 && o.Burst == 0 {
		l.Burst = int(math.Ceil(math.Min(o.Rate, math.MaxInt32)))
	}
	return l
}

// reloaded are the settings that a running server takes up, and reloadedBases those of them that a server of several bases does.
// Every other setting takes a restart, and the log says so when it has changed. Files that settings name are read again all the same.
var (
	reloaded      = []string{"rate", "burst", "concurrent", "client-body", "log-level"}
	reloadedBases = []string{"base", "pin", "base-precision"}
)

// reload reads what may change while the server runs: tokens, certificates, limits of clients, the folder. What cannot be
// read stays as it is, and the log says so.
func (r *server) reload(ctx context.Context, args []string) {
	r.log.Info("reading settings, tokens, certificates, lists of trusted adapters and adapters again")
	if o, values, err := settingsAgain(ctx, args); err != nil {
		r.log.Error("the settings were not read again", "error", err)
	} else {
		r.applyAgain(ctx, o, values)
	}
	r.Reload(ctx)
}

// applyAgain applies what may change of the settings, and says what else has changed.
func (r *server) applyAgain(ctx context.Context, o *serveOptions, values map[string]any) {
	if l := o.clientLimits(); l != r.Guard().LimitsOf(access.Principal{}) {
		r.Guard().SetDefaults(l)
		r.log.Info("limits of clients", "rate", l.Rate, "burst", l.Burst, "concurrent", l.Concurrent, "body", l.Body)
	}
	r.level.Set(o.level())
	may := reloaded
	if r.Engine().Several() {
		may = slices.Concat(reloaded, reloadedBases)
		r.basesAgain(ctx, o)
	}
	if names := changed(r.values, values, may); len(names) > 0 {
		why := ""
		if !r.Engine().Several() && slices.ContainsFunc(names, func(name string) bool { return slices.Contains(reloadedBases, name) }) {
			why = "; a server that was started with one base keeps it"
		}
		r.log.Error("settings changed that take a restart, and are as before"+why, "settings", strings.Join(names, ", "))
	}
}

// basesAgain serves other bases.
func (r *server) basesAgain(ctx context.Context, o *serveOptions) {
	precisions, err := o.basePrecisions()
	if err == nil {
		err = r.SetBases(ctx, o.Base, o.Pin, precisions)
	}
	if err != nil {
		r.log.Error("the bases were not changed", "error", err)
		return
	}
	r.options.Base, r.options.Pin = o.Base, o.Pin
	r.boundMemory()
	r.log.Info("bases", "served", len(o.Base))
}

// changed lists settings that differ, but for those that may.
func changed(before, now map[string]any, may []string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if !slices.Contains(may, name) && !reflect.DeepEqual(before[name], now[name]) {
			names = append(names, name)
		}
	}
	return names
}

// settingValues are the settings of a command line that has been parsed, by name.
func settingValues(ctx *kong.Context) map[string]any {
	values := map[string]any{}
	for _, flag := range serveFlags(ctx) {
		if !slices.Contains(notSettings, flag.Name) {
			values[flag.Name] = flag.Target.Interface()
		}
	}
	return values
}

// settingsAgain reads the settings as they are now: of flags, environment and file, the file alone can have changed.
func settingsAgain(ctx context.Context, args []string) (*serveOptions, map[string]any, error) {
	var c commands
	parser, err := newParser(ctx, &c, &stdio{out: io.Discard, err: io.Discard})
	if err != nil {
		return nil, nil, err
	}
	parsed, err := parser.Parse(config.EncodeArgs(args))
	if err != nil {
		return nil, nil, err
	}
	config.DecodeOptions(reflect.ValueOf(&c))
	return &c.Serve, settingValues(parsed), nil
}
