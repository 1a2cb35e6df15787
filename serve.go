package melo

import (
	"context"
	"errors"

	"melo.example/melo/serve"
	"melo.example/melo/serve/host"
)

// ServeConfig configures Serve.
type ServeConfig struct {
	Base string // path or name, as for [Open]
	// Bases are further bases. Each adapter is matched to its base by digest, and a base is loaded when it is
	// first needed. Adjust can limit their memory and keep some of them loaded (host.Settings.Engine).
	Bases []string
	// Adapters is a folder of adapter files, which is watched for changes. Adapters are named after their files.
	Adapters string

	HTTP string // address, "host:port"; empty: none
	GRPC string // address; empty: none

	// Ready is called with the actual addresses of HTTP and gRPC when the server is ready. It may be nil.
	Ready func(http, grpc string)
	// Adjust changes any other setting, such as authentication, TLS, limits, precision or logs. It may be nil.
	// Without authentication, clients on this machine may do everything, and addresses that others can reach
	// are refused.
	Adjust func(*host.Settings)
}

// Serve serves over HTTP and gRPC until ctx ends, then finishes requests in progress. It loads its own copy of
// the base. To predict without a server use [Base.Predict]; for the engine alone, with its queue and batching,
// [serve.Open].
func Serve(ctx context.Context, c ServeConfig) error {
	if c.HTTP == "" && c.GRPC == "" {
		return errors.New("melo: serve: no address: give HTTP, GRPC or both")
	}
	s := host.Settings{Engine: serve.Config{Base: c.Base, Bases: c.Bases, Adapters: c.Adapters}, HTTP: c.HTTP, GRPC: c.GRPC}
	if c.Adjust != nil {
		c.Adjust(&s)
	}
	h, err := host.OpenServer(ctx, s)
	if err != nil {
		return err
	}
	if c.Ready != nil {
		c.Ready(h.Address("http"), h.Address("grpc"))
	}
	return errors.Join(h.Serve(ctx), h.Close())
}
