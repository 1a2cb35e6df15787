package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/lora/trust"
	"melo.example/melo/serve"
	"melo.example/melo/serve/access"
	"melo.example/melo/serve/audit"
	"melo.example/melo/serve/oip"
	"melo.example/melo/serve/telemetry"
	"melo.example/melo/vit"
)

// Settings configures a server. For most fields the zero value is a default or means none. A base, a folder of
// adapters and an address are required.
type Settings struct {
	// Engine configures the engine. Its Observer is called in addition to the server's own.
	Engine serve.Config
	// Precision says how the precision of the base is chosen.
	Precision serve.Choice
	Rescan    time.Duration // interval for scanning the folder of adapters; 0: 2 s

	// HTTP, GRPC, Metrics and Debug are addresses, "host:port"; empty ones are not served. Metrics also has the
	// health routes, and Debug is net/http/pprof. Neither of these two authenticates clients.
	HTTP, GRPC, Metrics, Debug string
	TLS                        *TLS           // of HTTP and GRPC; nil: none
	Insecure                   bool           // allows addresses that others can reach without TLS and authentication
	Hosts                      []string       // further names of this server, where it has a loopback address
	Proxies                    []netip.Prefix // that are trusted to say whose requests they pass on
	MetricsTLS                 *TLS           // of Metrics; nil: none
	MetricsToken               string         // file of the token that readers of Metrics show; empty: none
	MaxConnections             int            // of each address; 0: 4096
	DrainDelay                 time.Duration
	DrainTimeout               time.Duration // for what is under way when the server stops; 0: 30 s
	RequestTimeout             time.Duration // 0: 30 s
	Limits                     oip.Limits    // of requests
	// Coverage is that of the sets of labels that cannot be excluded, which answers have where a request does not say and the
	// adapter can give them (conformal.Set); 0: none.
	Coverage float64

	Tokens      string             // file of clients with hashes of their tokens; empty: none
	OIDC        *access.OIDCConfig // provider whose tokens are accepted; nil: none
	Certificate access.Role        // role of clients with a certificate from TLS.ClientCA
	// Anonymous is the role of clients without credentials. nil: none if clients can authenticate; otherwise
	// administrator on loopback addresses and viewer on others.
	Anonymous *access.Role
	// CertificateAdapters and AnonymousAdapters are the adapters that such viewers may know of, see [access.Guard].
	CertificateAdapters map[string]*access.Names
	AnonymousAdapters   *access.Names
	Clients             access.Limits // of clients without their own

	// Allowed is a file of digests (trust.ParseAllowed) and Keys a file of keys (trust.ParseKeys). Adapters
	// that are not listed in Allowed, or not signed by one of Keys, are refused. Empty: all adapters are
	// trusted. Both files are read again when they change; if that fails, the previous content stays in force.
	Allowed, Keys string

	AuditLog string // file; empty: none
	// AuditAnchor is a file to which the head of the audit log is appended every minute; empty: none.
	AuditAnchor string
	// AuditTSA is the URL of a time stamp authority (RFC 3161) that attests heads, which are noted in
	// AuditAnchor; empty: none.
	AuditTSA string
	Trace    telemetry.TraceOptions // without an endpoint there are no traces
	Log      *slog.Logger           // nil: no log
}

// InputError reports a file or folder that cannot be used: tokens, audit log, base, adapters.
type InputError struct{ Err error }

// Error returns the message of Err.
func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *InputError) Unwrap() error { return e.Err }

// SettingError reports an invalid setting.
type SettingError struct{ Err error }

// Error returns the message of Err.
func (e *SettingError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *SettingError) Unwrap() error { return e.Err }

// Server is an engine with endpoints. Close it after use.
type Server struct {
	settings Settings
	log      *slog.Logger
	metrics  *telemetry.Metrics
	tracer   *telemetry.Tracer
	audit    *audit.Log
	engine   *serve.Engine
	guard    *access.Guard
	reader   *access.Watched[string]        // hash of the token of MetricsToken; nil: none
	policy   *access.Watched[*trust.Policy] // nil: all adapters are trusted
	host     *Host
}

// OpenServer creates a server and binds its addresses; Serve starts answering. Cheap checks come before reading
// the base. The error is an [InputError], a [SettingError], or about the machine.
func OpenServer(ctx context.Context, s Settings) (*Server, error) {
	r := &Server{settings: s, log: s.Log, metrics: telemetry.NewMetrics()}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if err := r.open(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Engine returns the engine.
func (r *Server) Engine() *serve.Engine { return r.engine }

// Guard returns the guard.
func (r *Server) Guard() *access.Guard { return r.guard }

// Address returns the bound address of http, grpc, metrics or debug, or "" if it is not served.
func (r *Server) Address(name string) string { return r.host.Address(name) }

// Reload reads again what may change at run time: tokens, certificates, the folder of adapters. What cannot be
// read stays unchanged, and is logged. Use Guard().SetDefaults to change the limits of clients.
func (r *Server) Reload(ctx context.Context) {
	if r.guard.Tokens != nil {
		r.guard.Tokens.Reload()
	}
	r.host.Reload()
	if r.reader != nil {
		r.reader.Reload()
	}
	if err := r.engine.BaseChanged(); err != nil {
		r.log.Error("the base is served as it was read", "error", err)
	}
	if r.policy != nil {
		r.policy.Reload()
	}
	if err := r.engine.Registry().Scan(ctx); err != nil {
		r.log.Error("the adapters were not looked at again", "error", err)
	}
}

// SetBases serves other bases from now on, see serve.Engine.SetBases; precisions are those of single ones, by path. Bases that are
// served already keep theirs; those of others are chosen as at the start.
func (r *Server) SetBases(ctx context.Context, paths, pinned []string, precisions map[string]vit.Precision) error {
	if len(paths) == 0 {
		return errors.New("host: no base")
	}
	c := r.settings.Engine
	c.Base, c.Bases, c.Precisions = paths[0], paths[1:], maps.Clone(precisions)
	if c.Precisions == nil {
		c.Precisions = map[string]vit.Precision{}
	}
	for _, b := range r.engine.Bases() {
		p, err := vit.ParsePrecision(b.Precision)
		if err != nil {
			return err
		}
		if wanted, ok := c.Precisions[b.Path]; ok && wanted != p && slices.Contains(paths, b.Path) {
			return fmt.Errorf("host: base %s is served in %v: another precision takes a restart, or taking it out and adding it again", b.Name, p)
		}
		c.Precisions[b.Path] = p
	}
	if how := r.settings.Precision; r.engine.Several() && (how.Fastest || how.CheckAll) {
		var err error
		if c.Precisions, err = serve.ChoosePrecisions(ctx, c, how); err != nil {
			return err
		}
	}
	return r.engine.SetBases(ctx, paths, pinned, c.Precisions)
}

// Serve answers until ctx is cancelled, then finishes running requests.
func (r *Server) Serve(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	rescan := r.settings.Rescan
	if rescan <= 0 {
		rescan = 2 * time.Second
	}
	go r.engine.Registry().Watch(watching, rescan)
	if err := r.host.Serve(ctx); err != nil {
		return err
	}
	if r.audit != nil {
		r.log.Info("audit log", "head", r.audit.Head().String())
	}
	return nil
}

func (r *Server) open(ctx context.Context) error {
	s := &r.settings
	if err := r.openReader(); err != nil {
		return &InputError{err}
	}
	if err := r.checkWritable(); err != nil {
		return &InputError{err}
	}
	if err := r.openGuard(); err != nil {
		return &InputError{err}
	}
	config := r.config()
	if err := config.CheckAddresses(); err != nil {
		return &SettingError{err}
	}
	s.Trace.Version = buildinfo.Version
	var err error
	if r.tracer, err = telemetry.NewTracer(ctx, s.Trace); err != nil {
		return &SettingError{err}
	}
	observers := telemetry.Observers{r.metrics, r.tracer, telemetry.LogObserver{Log: r.log}}
	if s.AuditLog != "" {
		if err := r.openAudit(); err != nil {
			return &InputError{err}
		}
		observers = append(observers, Auditor{Log: r.audit, RequestID: oip.RequestID})
	}
	if s.Engine.Observer != nil {
		observers = append(observers, s.Engine.Observer)
	}
	engine := s.Engine
	engine.Observer = observers
	if err := r.openPolicy(); err != nil {
		return &InputError{err}
	}
	if r.policy != nil {
		engine.Trust = r.policy.Get
	}
	if r.engine, err = serve.OpenChecked(ctx, engine, s.Precision); err != nil {
		return &InputError{err}
	}
	r.describe()
	config.Engine, config.Audit, config.Tracer = r.engine, r.audit, r.tracer
	config.Options.Digest = r.engine.BaseDigest()
	r.host, err = New(config)
	return err
}

func (r *Server) openAudit() (err error) {
	if r.audit, err = audit.Open(r.settings.AuditLog); err != nil {
		return err
	}
	if s := r.settings.AuditAnchor; s != "" {
		if err := r.audit.Anchor(s); err != nil {
			return err
		}
	}
	if err := r.openWitness(); err != nil {
		return err
	}
	r.metrics.Gauge("melo_audit_entries", "Number of the last entry of the audit log.", func() float64 { return float64(r.audit.Head().Seq) })
	r.metrics.Gauge("melo_audit_healthy", "Whether the audit log can be written.", func() float64 {
		if r.audit.Healthy() != nil {
			return 0
		}
		return 1
	})
	r.log.Info("audit log", "head", r.audit.Head().String())
	return nil
}

// openGuard reads the settings of authentication.
func (r *Server) openGuard() error {
	s := &r.settings
	g := &access.Guard{Limiter: access.NewLimiter(), Defaults: s.Clients, Certificate: s.Certificate,
		CertificateAdapters: s.CertificateAdapters, AnonymousAdapters: s.AnonymousAdapters}
	if s.Clients.Rate > 0 && s.Clients.Burst == 0 {
		g.Defaults.Burst = int(math.Ceil(math.Min(s.Clients.Rate, math.MaxInt32)))
	}
	r.guard = g
	var err error
	if s.Tokens != "" {
		g.Tokens, err = access.WatchTokens(s.Tokens, func(err error) {
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
	if s.OIDC != nil {
		if g.OIDC, err = access.NewOIDC(*s.OIDC); err != nil {
			return err
		}
	}
	g.Local = s.Anonymous == nil
	switch {
	case s.Anonymous != nil:
		g.Anonymous = *s.Anonymous
	case s.authenticated():
		g.Anonymous = access.Public
	case Loopback(s.HTTP) && Loopback(s.GRPC):
		g.Anonymous = access.Admin
	default:
		g.Anonymous = access.Viewer
	}
	return nil
}

// authenticated reports whether clients can authenticate.
func (s *Settings) authenticated() bool {
	return s.Tokens != "" || s.OIDC != nil || s.TLS != nil && s.TLS.RequireClient || s.TLS != nil && s.TLS.ClientCA != "" && s.Certificate > access.Public
}

func (r *Server) config() Config {
	s := &r.settings
	return Config{Options: oip.Options{Limits: s.Limits, Version: buildinfo.Version, Base: BaseName(s.Engine.Base), Coverage: s.Coverage},
		HTTP: s.HTTP, GRPC: s.GRPC, Metrics: s.Metrics, Debug: s.Debug, HTTPS: s.TLS,
		Insecure: s.Insecure, Authenticated: s.authenticated(), Hosts: s.Hosts,
		Proxies: s.Proxies, MetricsTLS: s.MetricsTLS, MetricsToken: r.metricsToken(),
		Guard: r.guard, Recorder: r.metrics, Log: r.log, MaxConnections: s.MaxConnections,
		DrainDelay: s.DrainDelay, DrainTimeout: s.DrainTimeout, RequestTimeout: s.RequestTimeout}
}

// BaseName returns the last component of a base's path, without extension.
func BaseName(path string) string {
	return strings.TrimSuffix(filepath.Base(filepath.Clean(path)), ".safetensors")
}

// describe adds metrics about the program and the base.
func (r *Server) describe() {
	p := buildinfo.This()
	r.metrics.Info("melo_build_info", "Which program runs.", map[string]string{"version": p.Version, "revision": p.Revision, "go": p.Go})
	if r.engine.Several() {
		return // its collector has them
	}
	r.metrics.Info("melo_base_info", "Which base is served, and how.", map[string]string{"base": BaseName(r.settings.Engine.Base), "digest": r.engine.BaseDigest(),
		"precision": r.engine.Model().Precision.String(), "kernels": vit.Kernels()})
}

// traceTimeout limits the time to send the last traces.
const traceTimeout = 5 * time.Second

// Close releases all resources.
func (r *Server) Close() error {
	var errs []error
	if r.engine != nil {
		errs = append(errs, r.engine.Close())
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
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
