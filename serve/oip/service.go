package oip

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"melo.example/melo/serve"
)

// Engine is what the doors ask of the server; *serve.Engine is one.
type Engine interface {
	Predict(ctx context.Context, requests ...serve.Request) ([]serve.Answer, []error)
	Registry() *serve.Registry
	Side() int // of the input, in pixels
	Live() bool
	Ready() bool
	Stats() serve.Stats
}

// Options are the settings of a Service.
type Options struct {
	Limits  Limits
	Version string // of the program, for metadata
	Base    string // name of the base, for metadata
	// Digest identifies the weights of the base.
	Digest string
}

// Service is the protocol over an engine, for both doors. It is safe for concurrent use.
type Service struct {
	engine  Engine
	options Options
	limits  Limits
	side    int
	codec   *Codec
	decoder *Decoder
	bodies  budget
}

// NewService returns the protocol over an engine.
func NewService(engine Engine, o Options) *Service {
	o.Limits = o.Limits.WithDefaults()
	return &Service{engine: engine, options: o, limits: o.Limits, side: engine.Side(),
		codec: NewCodec(o.Limits, engine.Side()), decoder: NewDecoder(o.Limits), bodies: budget{limit: o.Limits.Bodies}}
}

// Limits returns the limits of requests.
func (s *Service) Limits() Limits { return s.limits }

// Codec returns what reads requests.
func (s *Service) Codec() *Codec { return s.codec }

// Live reports whether the server runs at all.
func (s *Service) Live() bool { return s.engine.Live() }

// Ready reports whether the server takes requests.
func (s *Service) Ready() bool { return s.engine.Ready() }

// resolveTries is how often a request looks again when an adapter is replaced under its hands.
const resolveTries = 3

// predict answers the rows of one request, all by the same version: a canary is drawn once.
func (s *Service) predict(ctx context.Context, rows []serve.Request) ([]serve.Answer, error) {
	if len(rows) == 1 {
		return s.predictOnce(ctx, rows)
	}
	name, version := rows[0].Name, rows[0].Version
	for try := 1; ; try++ {
		id, err := s.engine.Registry().Resolve(name, version)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			rows[i].Name, rows[i].Version = id.Name, id.Digest
		}
		answers, err := s.predictOnce(ctx, rows)
		if errors.Is(err, serve.ErrUnknownAdapter) && try < resolveTries {
			continue // replaced meanwhile
		}
		return answers, err
	}
}

// predictOnce returns the first error of any row.
func (s *Service) predictOnce(ctx context.Context, rows []serve.Request) ([]serve.Answer, error) {
	answers, errs := s.engine.Predict(ctx, rows...)
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// withoutFolder leaves the name of a file and hides where it lies.
func withoutFolder(message, path string) string {
	if path == "" {
		return message
	}
	return strings.ReplaceAll(message, path, filepath.Base(path))
}

// milliseconds since 1970, 0 of the zero time.
func milliseconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMilli())
}
