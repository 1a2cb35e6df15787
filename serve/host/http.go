package host

import (
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"melo.example/melo/serve/access"
	"melo.example/melo/serve/httpapi"
	"melo.example/melo/serve/oip"
)

// entrance is everything that HTTP requests pass before the door.
func (h *Host) entrance(door http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h.wrap(httpapi.Route{Name: "Metrics", Method: http.MethodGet, Path: "/metrics", Role: oip.Viewer}, h.config.Recorder.Handler()))
	mux.Handle("/", door)
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		httpapi.WriteError(w, h.deny("origin", oip.NewFault(oip.Forbidden, "requests from pages of other sites are not taken")).(*oip.Fault))
	}))
	inner := origin.Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer h.conns["http"].enter(r.RemoteAddr)()
		secure(w.Header(), r.TLS != nil)
		if h.gate.stopping.Load() {
			w.Header().Set("Connection", "close") // clients should go elsewhere
		}
		if h.config.HTTPS == nil && Loopback(h.config.HTTP) && !hostAllowed(r.Host, h.config.Hosts) {
			httpapi.WriteError(w, h.deny("host", oip.NewFault(oip.Forbidden, "the request's Host is not this server's: see --allowed-host")).(*oip.Fault))
			return
		}
		inner.ServeHTTP(w, r)
	})
}

// secure sets the headers that keep a browser from doing more with an answer than showing it.
func secure(h http.Header, tls bool) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	if tls {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// wrap puts the guard, the limits, the audit log, metrics, traces and logs around a route.
func (h *Host) wrap(route httpapi.Route, next http.Handler) http.Handler {
	need := roleOf(route.Role)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		counted := h.config.Recorder.Call("http", route.Name)
		ctx, end := h.config.Tracer.Start(r.Context(), propagation.HeaderCarrier(r.Header), "http", route.Name)
		out := &recorder{ResponseWriter: w}
		ctx, p, done, err := h.enter(ctx, visit{route.Name, need, access.Credentials{
			Authorization: r.Header.Get("Authorization"), Certificate: leaf(r.TLS), Address: r.RemoteAddr}})
		r = r.WithContext(ctx)
		if err == nil {
			err = h.limitBody(r, p)
		}
		defer func() {
			done()
			code := strconv.Itoa(out.code())
			if need > access.Viewer && err == nil {
				outcome := "ok"
				if out.code() >= 400 {
					outcome = "failed"
				}
				h.audit(ctx, route.Name, outcome, r.PathValue("model")+r.PathValue("adapter"))
			}
			counted(code)
			end(code, out.code() >= 500)
			level := slog.LevelInfo
			if need == access.Public {
				level = slog.LevelDebug
			}
			h.config.Log.Log(ctx, level, "call", "protocol", "http", "route", route.Name, "status", out.code(),
				"seconds", time.Since(began).Seconds(), "bytes", out.bytes)
		}()
		if err != nil {
			fault := oip.FaultOf(err)
			if fault.Kind == oip.Unauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="melo"`)
			}
			httpapi.WriteError(out, fault)
			return
		}
		next.ServeHTTP(out, r)
	})
}

// limitBody holds a request to its client's own limit of bytes.
func (h *Host) limitBody(r *http.Request, p access.Principal) error {
	limit := h.config.Guard.LimitsOf(p).Body
	if limit <= 0 || p.Name == "" {
		return nil
	}
	if r.ContentLength > limit {
		return h.tooLarge(limit)
	}
	r.Body = &limited{r.Body, limit, func() error { return h.tooLarge(limit) }}
	return nil
}

// limited is a body that fails once it is longer than its limit.
type limited struct {
	io.ReadCloser
	left int64
	fail func() error
}

// Read reads up to the limit.
func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, l.fail()
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.ReadCloser.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		return 0, l.fail()
	}
	return n, err
}

// recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write counts.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// code is the status; a handler that ends without one is a bug, which the door answers with 500.
func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusInternalServerError
	}
	return r.status
}

// isTLSNoise tells what scanners and slow clients make http.Server print.
func isTLSNoise(line string) bool {
	return strings.Contains(line, "TLS handshake error")
}
