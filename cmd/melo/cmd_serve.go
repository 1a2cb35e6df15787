package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	facade "melo.example/melo"
	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/regular"
	"melo.example/melo/serve"
	"melo.example/melo/serve/access"
	"melo.example/melo/serve/audit"
	"melo.example/melo/serve/host"
	"melo.example/melo/serve/oip"
	"melo.example/melo/serve/telemetry"
	"melo.example/melo/vit"
)

// serveDocument is the --json document of "melo serve", printed when it answers.
type serveDocument struct {
	Base      string           `json:"base"`
	Digest    string           `json:"digest"`
	Precision string           `json:"precision"`
	Adapters  []servedAdapter  `json:"adapters"`
	Refused   []refusedAdapter `json:"refused"`
	HTTP      string           `json:"http"` // URL, empty if there is none
	GRPC      string           `json:"grpc"` // address
	Metrics   string           `json:"metrics"`
	Debug     string           `json:"debug"`
	Anonymous string           `json:"anonymous"` // role of clients that show nothing
	Notice    string           `json:"notice"`
}

// servedAdapter is an adapter that answers.
type servedAdapter struct {
	Name   string   `json:"name"`
	Digest string   `json:"digest"`
	Task   string   `json:"task"`
	Labels []string `json:"labels"`
}

// refusedAdapter is one that does not.
type refusedAdapter struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
}

// Run serves until ctx ends.
func (o *serveOptions) Run(ctx context.Context, parsed *kong.Context, s *stdio) error {
	if o.PrintConfig {
		return printConfig(s, resolved(parsed))
	}
	if err := fetchBase(ctx, s, o.Base); err != nil {
		return err
	}
	log, err := telemetry.NewLogger(s.err, o.LogFormat, o.level(), oip.RequestID)
	if err != nil {
		return err
	}
	r := &server{options: o, log: log, metrics: telemetry.NewMetrics()}
	defer r.close()
	if err := r.open(ctx, s); err != nil {
		return err
	}
	doc := r.document()
	if err := r.announce(s, doc); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	defer onHangup(func() { r.reload(watching, s.args) })()
	go r.engine.Registry().Watch(watching, o.Rescan)
	if err := r.host.Serve(ctx); err != nil {
		return err
	}
	if r.audit != nil {
		log.Info("audit log", "head", r.audit.Head().String())
	}
	return nil // it was asked to stop, and has
}

func (o *serveOptions) level() slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.LogLevel)) // one of an enumeration
	return level
}

// server is what "melo serve" puts together.
type server struct {
	options *serveOptions
	log     *slog.Logger
	metrics *telemetry.Metrics
	tracer  *telemetry.Tracer
	audit   *audit.Log
	engine  *serve.Engine
	guard   *access.Guard
	host    *host.Host
}

// open puts everything together. What is quick to check comes before the base is read.
func (r *server) open(ctx context.Context, s *stdio) error {
	o := r.options
	if err := r.openGuard(); err != nil {
		return badInput(err)
	}
	config, err := r.hostConfig()
	if err != nil {
		return badInput(err)
	}
	if err := config.CheckAddresses(); err != nil {
		return usage(err)
	}
	r.tracer, err = telemetry.NewTracer(ctx, telemetry.TraceOptions{Endpoint: o.OTLPEndpoint, Headers: o.OTLPHeaders, Sample: o.TraceSample, Version: buildinfo.Version})
	if err != nil {
		return usage(err)
	}
	observers := telemetry.Observers{r.metrics, r.tracer, telemetry.LogObserver{Log: r.log}}
	if o.AuditLog != "" {
		if r.audit, err = audit.Open(o.AuditLog); err != nil {
			return badInput(err)
		}
		observers = append(observers, host.Auditor{Log: r.audit, RequestID: oip.RequestID})
		r.metrics.Gauge("melo_audit_entries", "Number of the last entry of the audit log.", func() float64 { return float64(r.audit.Head().Seq) })
		r.metrics.Gauge("melo_audit_healthy", "Whether the audit log can be written.", func() float64 {
			if r.audit.Healthy() != nil {
				return 0
			}
			return 1
		})
		r.log.Info("audit log", "head", r.audit.Head().String())
	}
	if r.engine, err = r.openEngine(ctx, s, observers); err != nil {
		return badInput(err)
	}
	r.describe()
	config.Engine, config.Audit, config.Tracer = r.engine, r.audit, r.tracer
	config.Options.Digest = r.engine.BaseDigest()
	r.host, err = host.New(config)
	return err
}

// openGuard reads who may come.
func (r *server) openGuard() error {
	o := r.options
	g := &access.Guard{Limiter: access.NewLimiter(), Defaults: o.clientLimits()}
	r.guard = g
	var err error
	if o.Tokens != "" {
		g.Tokens, err = access.WatchTokens(o.Tokens, func(err error) {
			if err != nil {
				r.log.Error("the token file was not read again", "error", err)
				return
			}
			r.log.Info("the token file was read again")
		})
		if err != nil {
			return err
		}
	}
	if o.OIDCIssuer != "" {
		c := access.OIDCConfig{Issuer: o.OIDCIssuer, Audience: o.OIDCAudience, NameClaim: o.OIDCNameClaim, RoleClaim: o.OIDCRoleClaim, Roles: map[string]access.Role{}}
		for value, name := range o.OIDCRoles {
			if c.Roles[value], err = access.ParseRole(name); err != nil {
				return err
			}
		}
		if g.OIDC, err = access.NewOIDC(c); err != nil {
			return err
		}
	}
	if o.TLSClientCA != "" && o.ClientCertRole != "none" {
		if g.Certificate, err = access.ParseRole(o.ClientCertRole); err != nil {
			return err
		}
	}
	g.Local = o.AnonymousRole == "auto"
	g.Anonymous, err = o.anonymous()
	return err
}

// authenticated reports whether there is a way to tell clients apart.
func (o *serveOptions) authenticated() bool {
	return o.Tokens != "" || o.OIDCIssuer != "" || o.RequireClientCert || o.TLSClientCA != "" && o.ClientCertRole != "none"
}

// anonymous is the role of clients that show nothing.
func (o *serveOptions) anonymous() (access.Role, error) {
	switch {
	case o.AnonymousRole == "none", o.AnonymousRole == "auto" && o.authenticated():
		return access.Public, nil
	case o.AnonymousRole != "auto":
		return access.ParseRole(o.AnonymousRole)
	case host.Loopback(address(o.Listen)) && host.Loopback(address(o.GRPCListen)):
		return access.Admin, nil
	}
	return access.Viewer, nil
}

func (r *server) hostConfig() (c host.Config, err error) {
	o := r.options
	c = host.Config{Options: oip.Options{Limits: o.limits(), Version: buildinfo.Version, Base: baseName(o.Base)},
		HTTP: address(o.Listen), GRPC: address(o.GRPCListen), Metrics: address(o.MetricsListen), Debug: address(o.DebugListen),
		Insecure: o.Insecure, Authenticated: o.authenticated(), Hosts: o.AllowedHost,
		Guard: r.guard, Recorder: r.metrics, Log: r.log, MaxConnections: o.MaxConnections,
		DrainDelay: o.DrainDelay, DrainTimeout: o.DrainTimeout, RequestTimeout: o.RequestTimeout}
	if o.TLSCert != "" {
		c.HTTPS = &host.TLS{Cert: o.TLSCert, Key: o.TLSKey, ClientCA: o.TLSClientCA, RequireClient: o.RequireClientCert}
	}
	if o.MetricsTLS {
		c.MetricsTLS = &host.TLS{Cert: o.TLSCert, Key: o.TLSKey}
	}
	if o.MetricsToken != "" {
		token, err := regular.ReadFile(o.MetricsToken, 4<<10)
		if err != nil {
			return c, fmt.Errorf("serve: --metrics-token: %w", err)
		}
		if len(bytes.TrimSpace(token)) < 16 {
			return c, fmt.Errorf("serve: --metrics-token: %s: expected a token of at least 16 characters", o.MetricsToken)
		}
		c.MetricsToken = access.HashToken(string(bytes.TrimSpace(token)))
	}
	c.Proxies, err = host.ParseProxies(o.TrustedProxy)
	return c, err
}

// baseName is the last part of a base's path.
func baseName(path string) string {
	return strings.TrimSuffix(filepath.Base(filepath.Clean(path)), ".safetensors")
}

// describe tells metrics what runs.
func (r *server) describe() {
	build := map[string]string{"version": buildinfo.Version, "revision": "", "go": ""}
	if info, ok := debug.ReadBuildInfo(); ok {
		build["go"] = info.GoVersion
		for _, x := range info.Settings {
			if x.Key == "vcs.revision" {
				build["revision"] = x.Value
			}
		}
	}
	r.metrics.Info("melo_build_info", "Which program runs.", build)
	r.metrics.Info("melo_base_info", "Which base is served, and how.", map[string]string{"base": baseName(r.options.Base), "digest": r.engine.BaseDigest(),
		"precision": r.engine.Model().Precision.String(), "kernels": kernel.Name()})
}

// close ends what was opened.
func (r *server) close() {
	if r.engine != nil {
		r.engine.Close()
	}
	if r.tracer != nil {
		ctx, cancel := context.WithTimeout(context.Background(), traceTimeout)
		defer cancel()
		if err := r.tracer.Close(ctx); err != nil {
			r.log.Warn("the last traces were not sent", "error", err)
		}
	}
	if r.audit != nil {
		if err := r.audit.Close(); err != nil {
			r.log.Error("audit log", "error", err)
		}
	}
}

// document describes what is served.
func (r *server) document() *serveDocument {
	doc := &serveDocument{Base: r.options.Base, Digest: r.engine.BaseDigest(), Precision: r.engine.Model().Precision.String(),
		Adapters: []servedAdapter{}, Refused: []refusedAdapter{}, GRPC: r.host.Address("grpc"), Metrics: r.host.Address("metrics"),
		Debug: r.host.Address("debug"), Anonymous: r.guard.Anonymous.String(), Notice: notice}
	if at := r.host.Address("http"); at != "" {
		doc.HTTP = "http://" + at
		if r.options.TLSCert != "" {
			doc.HTTP = "https://" + at
		}
	}
	for _, a := range r.engine.Registry().List() {
		switch {
		case a.State == serve.Unavailable || a.Digest == "":
			doc.Refused = append(doc.Refused, refusedAdapter{filepath.Base(a.Path), oneLine(errors.New(a.Reason))})
		case a.Current && a.Card != nil:
			served := servedAdapter{Name: a.Name, Digest: a.Digest, Task: string(a.Card.Task), Labels: []string{}}
			for _, l := range a.Card.Labels {
				served.Labels = append(served.Labels, l.Name)
			}
			doc.Adapters = append(doc.Adapters, served)
		}
	}
	return doc
}

// listed bounds the adapters that are announced one by one.
const listed = 12

// announce says what is served, where, and how to ask.
func (r *server) announce(s *stdio, doc *serveDocument) error {
	if s.json {
		return s.document(doc)
	}
	m := r.engine.Model()
	line := func(name, format string, args ...any) {
		s.printf("  %-9s %s", name, oneLine(fmt.Errorf(format, args...)))
	}
	s.printf("melo %s serves", buildinfo.Version)
	line("base", "%s (%d blocks of width %d, %d pixels), %.19s", doc.Base, m.Depth, m.Width, m.Image, doc.Digest)
	line("precision", "%s, %s kernels", doc.Precision, kernel.Name())
	line("adapters", "%d in %s, looked at every %v", len(doc.Adapters), r.options.Adapters, r.options.Rescan)
	for i, a := range doc.Adapters {
		if i == listed {
			line("", "... and %d more", len(doc.Adapters)-listed)
			break
		}
		line("", "%s: %s, %d labels, %.19s", a.Name, a.Task, len(a.Labels), a.Digest)
	}
	for i, a := range doc.Refused {
		if i == listed {
			line("refused", "... and %d more", len(doc.Refused)-listed)
			break
		}
		line("refused", "%s: %s", a.File, a.Reason)
	}
	for _, x := range []struct{ name, at string }{{"http", doc.HTTP}, {"grpc", doc.GRPC}, {"metrics", doc.Metrics}, {"debug", doc.Debug}} {
		if x.at != "" {
			line(x.name, "%s", x.at)
		}
	}
	line("clients", "%s", r.clients())
	if doc.HTTP != "" {
		line("ask", "%s", r.example(doc))
	}
	line("notice", "%s", notice)
	return nil
}

// clients says who may come.
func (r *server) clients() string {
	o, ways := r.options, []string{}
	if r.guard.Anonymous > access.Public {
		ways = append(ways, "whoever shows nothing is "+r.guard.Anonymous.String())
	}
	if o.Tokens != "" {
		ways = append(ways, fmt.Sprintf("%d tokens of %s", len(r.guard.Tokens.Get()), o.Tokens))
	}
	if o.OIDCIssuer != "" {
		ways = append(ways, "tokens of "+o.OIDCIssuer)
	}
	if r.guard.Certificate > access.Public {
		ways = append(ways, "certificates of "+o.TLSClientCA+" are "+r.guard.Certificate.String())
	}
	if len(ways) == 0 {
		return "nobody may ask: no token, no provider, no certificate, and --anonymous-role none"
	}
	return strings.Join(ways, "; ")
}

// example is a command that asks the server.
func (r *server) example(doc *serveDocument) string {
	adapter := "all"
	if len(doc.Adapters) > 0 {
		adapter = doc.Adapters[0].Name
	}
	token := ""
	if r.guard.Anonymous < access.Viewer {
		token = `-H "Authorization: Bearer $MELO_TOKEN" `
	}
	url := doc.HTTP
	if scheme, at, ok := strings.Cut(url, "://"); ok {
		if h, port, err := net.SplitHostPort(at); err == nil && (h == "::" || h == "0.0.0.0") {
			url = scheme + "://" + net.JoinHostPort("localhost", port)
		}
	}
	return fmt.Sprintf("curl %s-F image=@scan.png -F adapter=%s %s/v1/predict", token, adapter, url)
}

// openEngine opens the base in the precision that --precision says, auto being the fastest that suits the adapters.
func (r *server) openEngine(ctx context.Context, s *stdio, observer serve.Observer) (*serve.Engine, error) {
	o := r.options
	p, err := parsePrecision(o.Precision, facade.Fastest())
	if err != nil {
		return nil, err
	}
	if o.Precision != "auto" && !vit.Supports(p) {
		return nil, fmt.Errorf("serve: --precision %s: this CPU (%s) has no instructions for it", o.Precision, kernel.Name())
	}
	return serve.OpenChecked(ctx, serve.Config{Base: o.Base, Adapters: o.Adapters, AnyBase: o.AnyBase, Precision: p,
		Workers: o.Workers, Batch: o.Batch, Queue: o.Queue, Budget: int64(o.AdapterMemory), State: o.StateFile, Remember: cacheDir(), Observer: observer},
		serve.Choice{Fastest: o.Precision == "auto", CheckAll: o.CheckAdapters, Note: func(reason string) { s.notef("%s", reason) }})
}

// traceTimeout bounds sending the last traces.
const traceTimeout = 5 * time.Second
