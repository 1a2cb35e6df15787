package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	facade "melo.example/melo"
	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/regular"
	"melo.example/melo/serve"
	"melo.example/melo/serve/access"
	"melo.example/melo/serve/host"
	"melo.example/melo/serve/oip"
	"melo.example/melo/serve/telemetry"
	"melo.example/melo/vit"
)

// serveDocument is the --json document of "melo serve", printed when it answers.
type serveDocument struct {
	Base      string           `json:"base"` // of several the first
	Digest    string           `json:"digest"`
	Bases     []servedBase     `json:"bases,omitempty"` // where there are several
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
	Base   string   `json:"base,omitempty"` // name of its base, where there are several
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
	for _, base := range o.Base {
		if err := fetchBase(ctx, s, base); err != nil {
			return err
		}
	}
	log, err := telemetry.NewLogger(s.err, o.LogFormat, o.level(), oip.RequestID)
	if err != nil {
		return err
	}
	settings, err := o.hostSettings(s)
	if err != nil {
		return err
	}
	settings.Log = log
	h, err := host.OpenServer(ctx, settings)
	if err != nil {
		return serveError(err)
	}
	r := &server{options: o, log: log, Server: h}
	defer h.Close()
	r.boundMemory()
	if err := r.announce(s, r.document()); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	defer onHangup(func() { r.reload(watching, s.args) })()
	return h.Serve(ctx) // it was asked to stop, and has
}

// serveError gives an error of the server its status.
func serveError(err error) error {
	var input *host.InputError
	var setting *host.SettingError
	switch {
	case errors.As(err, &input):
		return badInput(err)
	case errors.As(err, &setting):
		return usage(err)
	}
	return err
}

func (o *serveOptions) level() slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.LogLevel)) // one of an enumeration
	return level
}

// server is what "melo serve" runs.
type server struct {
	options *serveOptions
	log     *slog.Logger
	bounded bool // by boundMemory
	*host.Server
}

// hostSettings are the options as those of a server.
func (o *serveOptions) hostSettings(s *stdio) (host.Settings, error) {
	p, err := parsePrecision(o.Precision, facade.Fastest())
	if err != nil {
		return host.Settings{}, err
	}
	if o.Precision != "auto" && !vit.Supports(p) {
		return host.Settings{}, badInput(fmt.Errorf("serve: --precision %s: this CPU (%s) has no instructions for it", o.Precision, kernel.Name()))
	}
	precisions, err := o.basePrecisions()
	if err != nil {
		return host.Settings{}, err
	}
	h := host.Settings{
		Engine: serve.Config{Base: o.Base[0], Bases: o.Base[1:], Pinned: o.Pin, BaseBudget: int64(o.BaseMemory), Precisions: precisions,
			Adapters: o.Adapters, AnyBase: o.AnyBase, Refuse: o.Refuse, Precision: p, Workers: o.Workers, Batch: o.Batch,
			Queue: o.Queue, Budget: int64(o.AdapterMemory), State: o.StateFile, Remember: cacheDir()},
		Precision: serve.Choice{Fastest: o.Precision == "auto", CheckAll: o.CheckAdapters, Note: func(reason string) { s.notef("%s", reason) }},
		Rescan:    o.Rescan,
		HTTP:      address(o.Listen), GRPC: address(o.GRPCListen), Metrics: address(o.MetricsListen), Debug: address(o.DebugListen),
		Insecure: o.Insecure, Hosts: o.AllowedHost, MaxConnections: o.MaxConnections,
		DrainDelay: o.DrainDelay, DrainTimeout: o.DrainTimeout, RequestTimeout: o.RequestTimeout, Limits: o.limits(),
		Allowed: o.Allow, Keys: o.Trust,
		Tokens: o.Tokens, Clients: o.clientLimits(),
		AuditLog: o.AuditLog, AuditAnchor: o.AuditAnchor, AuditTSA: o.AuditTSA, Trace: telemetry.TraceOptions{Endpoint: o.OTLPEndpoint, Headers: o.OTLPHeaders, Sample: o.TraceSample},
	}
	if o.TLSCert != "" {
		h.TLS = &host.TLS{Cert: o.TLSCert, Key: o.TLSKey, ClientCA: o.TLSClientCA, RequireClient: o.RequireClientCert}
	}
	if o.MetricsTLS {
		h.MetricsTLS = &host.TLS{Cert: o.TLSCert, Key: o.TLSKey}
	}
	if h.Proxies, err = host.ParseProxies(o.TrustedProxy); err != nil {
		return h, badInput(err)
	}
	return h, badInput(errors.Join(o.addMetricsToken(&h), o.addClients(&h)))
}

// addMetricsToken adds what readers of metrics have to show.
func (o *serveOptions) addMetricsToken(h *host.Settings) error {
	if o.MetricsToken == "" {
		return nil
	}
	token, err := regular.ReadFile(o.MetricsToken, 4<<10)
	if err != nil {
		return fmt.Errorf("serve: --metrics-token: %w", err)
	}
	if len(bytes.TrimSpace(token)) < 16 {
		return fmt.Errorf("serve: --metrics-token: %s: expected a token of at least 16 characters", o.MetricsToken)
	}
	h.MetricsToken = access.HashToken(string(bytes.TrimSpace(token)))
	return nil
}

// addClients adds who may come.
func (o *serveOptions) addClients(h *host.Settings) (err error) {
	if o.OIDCIssuer != "" {
		h.OIDC = &access.OIDCConfig{Issuer: o.OIDCIssuer, Audience: o.OIDCAudience, NameClaim: o.OIDCNameClaim, RoleClaim: o.OIDCRoleClaim, Roles: map[string]access.Role{}}
		for value, name := range o.OIDCRoles {
			if h.OIDC.Roles[value], err = access.ParseRole(name); err != nil {
				return err
			}
		}
	}
	if o.TLSClientCA != "" && o.ClientCertRole != "none" {
		if h.Certificate, err = access.ParseRole(o.ClientCertRole); err != nil {
			return err
		}
	}
	switch role := access.Public; o.AnonymousRole {
	case "auto":
	case "none":
		h.Anonymous = &role
	default:
		if role, err = access.ParseRole(o.AnonymousRole); err != nil {
			return err
		}
		h.Anonymous = &role
	}
	return nil
}

// document describes what is served.
func (r *server) document() *serveDocument {
	doc := &serveDocument{Base: r.options.Base[0], Digest: r.Engine().BaseDigest(), Precision: r.Engine().Model().Precision.String(),
		Adapters: []servedAdapter{}, Refused: []refusedAdapter{}, GRPC: r.Address("grpc"), Metrics: r.Address("metrics"),
		Debug: r.Address("debug"), Anonymous: r.Guard().Anonymous.String(), Notice: notice}
	if at := r.Address("http"); at != "" {
		doc.HTTP = "http://" + at
		if r.options.TLSCert != "" {
			doc.HTTP = "https://" + at
		}
	}
	if r.Engine().Several() {
		doc.Bases = servedBases(r.Engine().Bases())
	}
	for _, a := range r.Engine().Registry().List() {
		switch {
		case a.State == serve.Unavailable || a.Digest == "":
			doc.Refused = append(doc.Refused, refusedAdapter{filepath.Base(a.Path), oneLine(errors.New(a.Reason))})
		case a.Current && a.Card != nil:
			served := servedAdapter{Name: a.Name, Digest: a.Digest, Task: string(a.Card.Task), Labels: []string{}, Base: a.Identity.Base}
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
	m := r.Engine().Model()
	line := func(name, format string, args ...any) {
		s.printf("  %-9s %s", name, oneLine(fmt.Errorf(format, args...)))
	}
	s.printf("melo %s serves", buildinfo.Version)
	if doc.Bases == nil {
		line("base", "%s (%d blocks of width %d, %d pixels), %.19s", doc.Base, m.Depth, m.Width, m.Image, doc.Digest)
		line("precision", "%s, %s kernels", doc.Precision, kernel.Name())
	}
	for _, b := range doc.Bases {
		line("base", "%s", b.line())
	}
	line("adapters", "%d in %s, looked at every %v", len(doc.Adapters), r.options.Adapters, r.options.Rescan)
	for i, a := range doc.Adapters {
		if i == listed {
			line("", "... and %d more", len(doc.Adapters)-listed)
			break
		}
		on := ""
		if a.Base != "" {
			on = ", on " + a.Base
		}
		line("", "%s: %s, %d labels, %.19s%s", a.Name, a.Task, len(a.Labels), a.Digest, on)
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
	if r.Guard().Anonymous > access.Public {
		ways = append(ways, "whoever shows nothing is "+r.Guard().Anonymous.String())
	}
	if o.Tokens != "" {
		ways = append(ways, fmt.Sprintf("%d tokens of %s", len(r.Guard().Tokens.Get()), o.Tokens))
	}
	if o.OIDCIssuer != "" {
		ways = append(ways, "tokens of "+o.OIDCIssuer)
	}
	if r.Guard().Certificate > access.Public {
		ways = append(ways, "certificates of "+o.TLSClientCA+" are "+r.Guard().Certificate.String())
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
	if r.Guard().Anonymous < access.Viewer {
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
