package melo

import (
	"context"
	"errors"

	"melo.example/melo/serve"
	"melo.example/melo/serve/host"
)

// ServeConfig says what a server serves, where, and to whom.
type ServeConfig struct {
	Base string // as [Open] takes it
	// Bases are further bases: adapters find theirs by the digest of its weights that is in them. With several, each is loaded
	// when it is first asked for; Adjust has what memory they may take together, and which stay (host.Settings.Engine).
	Bases    []string
	Adapters string // folder of adapter files, which is watched; an adapter is named by its file

	HTTP string // address, "host:port"; empty: none
	GRPC string // address; empty: none

	// Ready is told the bound addresses of HTTP and gRPC when the server answers; may be nil.
	Ready func(http, grpc string)
	// Adjust changes whatever else there is to choose, last: authentication, TLS, limits, precision, logs; may be nil.
	// Without it, whoever reaches a loopback address may do anything, and other addresses are refused.
	Adjust func(*host.Settings)
}

// Serve answers over HTTP and gRPC until ctx ends, and then lets what is under way finish. The base is read anew: for
// answers without a server see [Base.Predict], and for an engine with a queue and batches across adapters, [serve.Open].
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
