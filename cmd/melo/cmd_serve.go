package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/alecthomas/kong"

	facade "melo.example/melo"
	"melo.example/melo/internal/kernel"
	config "melo.example/melo/internal/settings"
	"melo.example/melo/serve"
	"melo.example/melo/serve/access"
	"melo.example/melo/serve/host"
	"melo.example/melo/serve/oip"
	"melo.example/melo/serve/telemetry"
	"melo.example/melo/vit"
)

// Run serves until ctx ends.
func (o *serveOptions) Run(ctx context.Context, parsed *kong.Context, s *stdio) error {
	if o.PrintConfig {
		doc := &config.Document{Settings: resolved(parsed)}
		if s.json {
			return s.document(doc)
		}
		return doc.WriteYAML(s.out)
	}
	for _, base := range o.Base {
		if err := fetchBase(ctx, s, base); err != nil {
			return err
		}
	}
	level := &slog.LevelVar{}
	level.Set(o.level())
	log, err := telemetry.NewLogger(s.err, o.LogFormat, level, oip.RequestID)
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
	r := &server{options: o, values: settingValues(parsed), log: log, level: level, Server: h}
	defer h.Close()
	r.boundMemory()
	doc := h.Describe()
	h.Announce(doc, s.printf)
	if err := s.document(doc); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	defer onHangup(func() { r.reload(watching, s.args) })()
	return h.Serve(ctx) // nil: it was stopped on request
}

// serveError adds the exit status to an error of the server.
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
	_ = level.UnmarshalText([]byte(o.LogLevel)) // the parser has checked it
	return level
}

// server is the state of "melo serve".
type server struct {
	options *serveOptions
	values  map[string]any // of the settings that it runs with, by name
	log     *slog.Logger
	level   *slog.LevelVar
	bounded bool // by boundMemory
	*host.Server
}

// hostSettings converts the options to settings of package host.
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
		DrainDelay: o.DrainDelay, DrainTimeout: o.DrainTimeout, RequestTimeout: o.RequestTimeout, Limits: o.limits(), Coverage: o.Coverage,
		Allowed: o.Allow, Keys: o.Trust,
		MetricsToken: o.MetricsToken, Tokens: o.Tokens, Clients: o.clientLimits(),
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
	return h, badInput(o.addClients(&h))
}

// addClients adds authentication and authorization of clients.
func (o *serveOptions) addClients(h *host.Settings) (err error) {
	if o.OIDCIssuer != "" {
		h.OIDC = &access.OIDCConfig{Issuer: o.OIDCIssuer, Audience: o.OIDCAudience, NameClaim: o.OIDCNameClaim, RoleClaim: o.OIDCRoleClaim, Roles: map[string]access.Role{}}
		for value, name := range o.OIDCRoles {
			if h.OIDC.Roles[value], err = access.ParseRole(name); err != nil {
				return err
			}
		}
		h.OIDC.AdaptersClaim = o.OIDCAdaptersClaim
		if h.OIDC.Adapters, err = access.ParseNamesOf(o.OIDCAdapters); err != nil {
			return fmt.Errorf("--oidc-adapters: %w", err)
		}
	}
	if h.CertificateAdapters, err = access.ParseNamesOf(o.ClientCertAdapters); err != nil {
		return fmt.Errorf("--client-cert-adapters: %w", err)
	}
	if o.AnonymousAdapters != "" {
		if h.AnonymousAdapters, err = access.ParseNames(o.AnonymousAdapters); err != nil {
			return fmt.Errorf("--anonymous-adapters: %w", err)
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
