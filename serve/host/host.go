package host

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"sync"
	"time"

	"melo.example/melo/serve"
	"melo.example/melo/serve/access"
	"melo.example/melo/serve/audit"
	"melo.example/melo/serve/grpcapi"
	"melo.example/melo/serve/httpapi"
	"melo.example/melo/serve/oip"
	"melo.example/melo/serve/telemetry"
)

// Config configures a Host.
type Config struct {
	Engine *serve.Engine
	// Options configures the protocol: limits, and metadata about the base.
	Options oip.Options

	// HTTP, GRPC, Metrics and Debug are addresses, "host:port"; empty ones are not served. Metrics also has the
	// health routes, and Debug is net/http/pprof. Neither of these two authenticates clients.
	HTTP, GRPC, Metrics, Debug string
	HTTPS                      *TLS // of HTTP and GRPC; nil: none
	// Insecure allows unprotected addresses, without TLS and authentication, that others can reach.
	Insecure bool
	// Authenticated says that Guard can distinguish clients.
	Authenticated bool
	Hosts         []string // additional host names of this server, if it listens on loopback
	// Proxies are trusted to give the original client address in X-Forwarded-For.
	Proxies []netip.Prefix
	// MetricsTLS encrypts the Metrics address, and MetricsToken returns what its readers have to show (access.HashToken); the
	// health routes there ask for none. nil: everybody may read.
	MetricsTLS   *TLS
	MetricsToken func() string

	Guard    *access.Guard
	Audit    *audit.Log // nil: none
	Recorder *telemetry.Metrics
	Tracer   *telemetry.Tracer
	Log      *slog.Logger

	MaxConnections int           // per endpoint; 0: 4096
	DrainDelay     time.Duration // delay between "not ready" and closing the endpoints
	DrainTimeout   time.Duration // time limit for requests that are then running; 0: 30 s
	RequestTimeout time.Duration // 0: that of the endpoints
}

// Host is a server, before or after it has been started.
type Host struct {
	config   Config
	gate     *gate
	http     *http.Server
	grpc     *http.Server
	service  *oip.Service
	extra    []*http.Server // metrics, debug
	sockets  []socket
	conns    map[string]*conns
	calls    map[string]*calls // by protocol
	reloads  []func()
	refusals refusals
	expires  func() time.Time // when the certificate expires; nil: there is none
}

// socket is a bound address and its server.
type socket struct {
	name     string
	listener net.Listener
	serve    func(net.Listener) error
}

const (
	defaultConnections = 4096
	defaultDrain       = 30 * time.Second
)

// New validates a configuration and binds its addresses, so that errors are reported before anything is served.
// Requests are answered only after Serve.
func New(c Config) (*Host, error) {
	if c.MaxConnections == 0 {
		c.MaxConnections = defaultConnections
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = defaultDrain
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	h := &Host{config: c, gate: &gate{Engine: c.Engine, audit: c.Audit}, conns: map[string]*conns{}, calls: map[string]*calls{"http": newCalls(c.MaxConnections), "grpc": newCalls(c.MaxConnections)}}
	if err := c.CheckAddresses(); err != nil {
		return nil, err
	}
	c.Recorder.Watch(h.gate, telemetry.EngineOptions{})
	h.service = oip.NewService(h.gate, c.Options)
	h.watchMemory()
	for _, open := range []func() error{h.openHTTP, h.openGRPC, h.openExtra} {
		if err := open(); err != nil {
			h.close()
			return nil, err
		}
	}
	return h, nil
}

// CheckAddresses returns an error if nothing is served, or an unprotected address can be reached by others.
func (c *Config) CheckAddresses() error {
	if c.HTTP == "" && c.GRPC == "" {
		return errors.New("host: neither an HTTP nor a gRPC address: there is nothing to serve")
	}
	if c.Insecure {
		return nil
	}
	return errors.Join(
		checkExposure("the HTTP", c.HTTP, c.HTTPS != nil, c.Authenticated),
		checkExposure("the gRPC", c.GRPC, c.HTTPS != nil, c.Authenticated),
		checkExposure("the metrics", c.Metrics, c.MetricsTLS != nil, c.MetricsToken != nil),
		checkExposure("the debug", c.Debug, false, false))
}

// bind listens on an address.
func (h *Host) bind(name, address string, serve func(net.Listener) error) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("host: %s address %s: %w", name, address, err)
	}
	k := newConns(h.config.MaxConnections)
	h.conns[name] = k
	h.sockets = append(h.sockets, socket{name, k.listen(l), serve})
	h.config.Recorder.Connections(name, k.counts)
	return nil
}

func (h *Host) openHTTP() error {
	if h.config.HTTP == "" {
		return nil
	}
	endpoint := httpapi.New(httpapi.Options{Service: h.service, Wrap: h.wrap, Log: h.config.Log, Request: h.config.RequestTimeout})
	h.http = h.newServer(h.entrance(endpoint))
	var encrypted *tls.Config
	if h.config.HTTPS != nil {
		var err error
		if encrypted, err = h.certificates(h.config.HTTPS, "HTTP", "h2", "http/1.1"); err != nil {
			return err
		}
	}
	h.http.TLSConfig = encrypted
	return h.bind("http", h.config.HTTP, func(l net.Listener) error {
		if encrypted != nil {
			return h.http.ServeTLS(l, "", "")
		}
		return h.http.Serve(l)
	})
}

// newServer returns an HTTP server that does not wait for slow clients and logs to the host's log.
func (h *Host) newServer(handler http.Handler) *http.Server {
	s := httpapi.NewServer(handler)
	s.ErrorLog = log.New(logWriter{h.config.Log}, "", 0)
	return s
}

// logWriter receives the log lines of http.Server.
type logWriter struct{ log *slog.Logger }

// Write logs one line.
func (w logWriter) Write(p []byte) (int, error) {
	line := strings.TrimSpace(string(p))
	level := slog.LevelWarn
	if isTLSNoise(line) {
		level = slog.LevelDebug
	}
	w.log.Log(context.Background(), level, "http server", "message", line)
	return len(p), nil
}

func (h *Host) openGRPC() error {
	if h.config.GRPC == "" {
		return nil
	}
	endpoint := grpcapi.New(grpcapi.Options{Service: h.service, Enter: h.enterCall, Log: h.config.Log, Request: h.config.RequestTimeout})
	h.grpc = grpcapi.NewServer(h.entranceGRPC(endpoint))
	h.grpc.ErrorLog = log.New(logWriter{h.config.Log}, "", 0)
	if h.config.HTTPS != nil {
		var err error
		if h.grpc.TLSConfig, err = h.certificates(h.config.HTTPS, "gRPC", "h2"); err != nil {
			return err
		}
	}
	return h.bind("grpc", h.config.GRPC, func(l net.Listener) error {
		if h.grpc.TLSConfig != nil {
			return h.grpc.ServeTLS(l, "", "")
		}
		return h.grpc.Serve(l)
	})
}

// watchMemory adds metrics of the memory of requests.
func (h *Host) watchMemory() {
	memory := h.service.Memory()
	value := func(name, help string, f func() int64) {
		h.config.Recorder.Gauge(name, help, func() float64 { return float64(f()) })
	}
	value("melo_request_memory_limit_bytes", "Memory that requests under way may take together.", memory.Limit)
	value("melo_request_memory_bytes", "Memory that requests under way take: bodies, tensors, images and what decoding them takes.",
		func() int64 { now, _ := memory.Used(); return now })
	value("melo_request_memory_peak_bytes", "The most that they ever took.", func() int64 { _, peak := memory.Used(); return peak })
}

// openExtra opens the addresses for operators.
func (h *Host) openExtra() error {
	if h.config.Metrics != "" {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", h.metricsReader(h.config.Recorder.Handler()))
		mux.HandleFunc("GET /livez", health(h.service.Live))
		mux.HandleFunc("GET /readyz", health(h.service.Ready))
		s := h.newServer(mux)
		h.extra = append(h.extra, s)
		serve := s.Serve
		if h.config.MetricsTLS != nil {
			var err error
			if s.TLSConfig, err = h.certificates(h.config.MetricsTLS, "metrics", "h2", "http/1.1"); err != nil {
				return err
			}
			serve = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
		}
		if err := h.bind("metrics", h.config.Metrics, serve); err != nil {
			return err
		}
	}
	if h.config.Debug != "" {
		mux := http.NewServeMux()
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
		s := h.newServer(mux)
		h.extra = append(h.extra, s)
		return h.bind("debug", h.config.Debug, s.Serve)
	}
	return nil
}

// health returns a handler that answers with a word and a status.
func health(good func() bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if !good() {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

// metricsReader requires the token for metrics, if there is one.
func (h *Host) metricsReader(next http.Handler) http.Handler {
	if h.config.MetricsToken == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(access.HashToken(strings.TrimSpace(token))), []byte(h.config.MetricsToken())) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="melo metrics"`)
			httpapi.WriteError(w, h.deny("unauthenticated", oip.NewFault(oip.Unauthorized, "metrics take a token")))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// certificates opens the TLS files of an address, which Reload reads again.
func (h *Host) certificates(t *TLS, what string, protocols ...string) (*tls.Config, error) {
	config, files, err := t.open(h.reloaded(what+" certificates"), protocols...)
	if err != nil {
		return nil, err
	}
	h.reloads = append(h.reloads, files.Reload)
	if h.expires == nil {
		h.expires = func() time.Time {
			until, err := validity(&files.Get().Certificates[0], time.Now())
			if err != nil {
				h.config.Log.Debug("certificate", "error", err)
			}
			return until
		}
		h.config.Recorder.Gauge("melo_tls_certificate_expires_seconds", "Time until the certificate of the server, or one above it, expires; below 0 it has.",
			func() float64 { return time.Until(h.expires()).Seconds() })
	}
	return config, nil
}

// Reload reads certificates again, even if their files appear unchanged.
func (h *Host) Reload() {
	for _, reload := range h.reloads {
		reload()
	}
}

func (h *Host) reloaded(what string) func(error) {
	return func(err error) {
		if err != nil {
			h.config.Log.Error(what+" were not read again", "error", err)
			return
		}
		h.config.Log.Info(what + " were read again")
	}
}

// Address returns the bound address of "http", "grpc", "metrics" or "debug", or "" if it is not served.
func (h *Host) Address(name string) string {
	for _, s := range h.sockets {
		if s.name == name {
			return s.listener.Addr().String()
		}
	}
	return ""
}

// Serve answers until ctx is cancelled, and then shuts down: first readiness, after DrainDelay the endpoints,
// then the engine, once all admitted requests are answered or DrainTimeout has passed. It returns why an
// endpoint failed, or that not all requests could be answered.
func (h *Host) Serve(ctx context.Context) error {
	failed := make(chan error, len(h.sockets))
	if h.expires != nil {
		watching, stop := context.WithCancel(ctx)
		defer stop()
		go h.watchExpiry(watching)
	}
	var running sync.WaitGroup
	for _, s := range h.sockets {
		running.Go(func() {
			err := s.serve(s.listener)
			if err != nil && !h.gate.stopping.Load() {
				failed <- fmt.Errorf("host: %s: %w", s.name, err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	err = errors.Join(err, h.drain())
	running.Wait()
	return err
}

// drain shuts the server down.
func (h *Host) drain() error {
	h.gate.stopping.Store(true)
	h.config.Log.Info("stopping: not ready any more", "delay", h.config.DrainDelay.String())
	time.Sleep(h.config.DrainDelay)
	ctx, cancel := context.WithTimeout(context.Background(), h.config.DrainTimeout)
	defer cancel()
	var endpoints sync.WaitGroup
	var httpErr, grpcErr error
	h.service.StopReceiving()
	endpoints.Go(func() { httpErr = h.stopEndpoint(ctx, "http", h.http) })
	endpoints.Go(func() { grpcErr = h.stopEndpoint(ctx, "grpc", h.grpc) })
	endpoints.Wait()
	err := errors.Join(httpErr, grpcErr, h.config.Engine.Drain(ctx))
	h.close()
	if err != nil {
		return fmt.Errorf("host: stopped after %v with requests under way: %w", h.config.DrainTimeout, err)
	}
	h.config.Log.Info("stopped: everything that was let in is answered")
	return nil
}

// settle is how long a connection must have been without a request before it is closed.
const settle = 250 * time.Millisecond

// stopEndpoint waits for running requests until ctx is cancelled. Server.Shutdown drops, without an answer,
// requests that it reads after it was called, so it comes last. First no new connections are accepted, and
// existing ones are answered and asked to close. Connections that have sent no request by then are closed.
func (h *Host) stopEndpoint(ctx context.Context, name string, s *http.Server) error {
	if s == nil {
		return nil
	}
	for _, socket := range h.sockets {
		if socket.name == name {
			socket.listener.Close()
		}
	}
	for !h.conns[name].settled(settle) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settle / 10):
		}
	}
	short, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	if err := s.Shutdown(short); err != nil {
		if err := s.Close(); err != nil {
			h.config.Log.Debug("closing connections without a request", "error", err)
		}
	}
	return nil
}

// close closes everything that is still open.
func (h *Host) close() {
	for _, s := range append(h.extra, h.http, h.grpc) {
		if s != nil {
			s.Close()
		}
	}
	for _, s := range h.sockets {
		s.listener.Close()
	}
}
