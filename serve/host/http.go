package host

import (
	"net/http"
	"strconv"
	"strings"

	"melo.example/melo/serve/access"
	"melo.example/melo/serve/httpapi"
	"melo.example/melo/serve/oip"
)

// entrance is the middleware of HTTP requests before the endpoint.
func (h *Host) entrance(endpoint http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h.wrap(httpapi.Route{Name: "Metrics", Method: http.MethodGet, Path: "/metrics", Role: oip.Viewer}, h.metricsFor()))
	mux.Handle("/", endpoint)
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		httpapi.WriteError(w, h.deny("origin", oip.NewFault(oip.Forbidden, "requests from pages of other sites are not taken")))
	}))
	inner := origin.Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer h.conns["http"].enter(r.RemoteAddr)()
		secure(w.Header(), r.TLS != nil)
		if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
			// A request may have chunks and a length, of which net/http has taken the length away. Whoever stands in between may
			// have gone by the length, so what follows on the connection may be somebody else's words (RFC 9112, 6.1).
			w.Header().Set("Connection", "close")
		}
		if h.gate.stopping.Load() {
			w.Header().Set("Connection", "close") // clients should use another server
		}
		if h.config.HTTPS == nil && Loopback(h.config.HTTP) && !hostAllowed(r.Host, h.config.Hosts) {
			httpapi.WriteError(w, h.deny("host", oip.NewFault(oip.Forbidden, "the request's Host is not this server's: see --allowed-host")))
			return
		}
		inner.ServeHTTP(w, r)
	})
}

// metricsFor returns a handler for the metrics that a client may see.
func (h *Host) metricsFor() http.Handler {
	whole := h.config.Recorder.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if names := access.From(r.Context()).Adapters; names != nil {
			h.config.Recorder.HandlerFor(names.May).ServeHTTP(w, r)
			return
		}
		whole.ServeHTTP(w, r)
	})
}

// secure sets headers that restrict what a browser does with an answer.
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

// wrap adds admission, audit and telemetry to a route.
func (h *Host) wrap(route httpapi.Route, next http.Handler) http.Handler {
	need := roleOf(route.Role)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, err := h.begin(r.Context(), visit{protocol: "http", name: route.Name, need: need, header: r.Header, credentials: h.credentials(r), adapter: r.PathValue("model") + r.PathValue("adapter")})
		out := &recorder{ResponseWriter: w}
		r = r.WithContext(httpapi.WithBodyLimit(e.ctx, e.limit))
		defer func() {
			code := out.code()
			e.end(strconv.Itoa(code), code < 400, code >= 500, r.PathValue("model")+r.PathValue("adapter"), out.bytes)
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

// recorder records the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader records the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Unwrap supports http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// code returns the status. A handler that sets none has a bug, which the endpoint answers with 500.
func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusInternalServerError
	}
	return r.status
}

// isTLSNoise reports whether a log line of http.Server is caused by scanners or slow clients.
func isTLSNoise(line string) bool {
	return strings.Contains(line, "TLS handshake error")
}
