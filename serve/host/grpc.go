package host

import (
	"context"
	"crypto/x509"
	"net/http"
	"path"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"melo.example/melo/serve/access"
	"melo.example/melo/serve/grpcapi"
	"melo.example/melo/serve/oip"
)

// enterCall admits a gRPC call, or a message of a stream, in the same steps as an HTTP request.
func (h *Host) enterCall(ctx context.Context, c grpcapi.Call) (grpcapi.Entered, error) {
	v := visit{protocol: "grpc", name: path.Base(c.Method), need: roleOf(c.Role), header: c.Request.Header, opening: c.Opening, message: c.Message,
		credentials: h.credentials(c.Request)}
	if !c.Known {
		v.name = "unknown"
	}
	e, err := h.begin(ctx, v)
	entered := grpcapi.Entered{Context: e.ctx, Limit: e.limit, Named: e.named, Done: func(err error, adapter string) {
		code := status.Code(err)
		e.end(code.String(), err == nil, code == codes.Internal || code == codes.Unknown || code == codes.Unavailable, adapter, 0)
	}}
	if err != nil {
		entered.Done(grpcapi.Status(oip.FaultOf(err)), "")
	}
	return entered, err
}

// credentials returns the credentials in a request.
func (h *Host) credentials(r *http.Request) access.Credentials {
	var certificate *x509.Certificate
	if r.TLS != nil {
		certificate = leaf(r.TLS)
	}
	address, proxied := h.client(r)
	return access.Credentials{Authorization: r.Header.Get("Authorization"), Certificate: certificate, Address: address, Proxied: proxied}
}

// entranceGRPC is the middleware of gRPC calls before the endpoint.
func (h *Host) entranceGRPC(endpoint http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer h.conns["grpc"].enter(r.RemoteAddr)()
		if h.gate.stopping.Load() {
			w.Header().Set("Connection", "close") // becomes GOAWAY, so that clients use another server
		}
		endpoint.ServeHTTP(w, r)
	})
}

// stopTime is how long connections without a request may take to close.
const stopTime = time.Second
