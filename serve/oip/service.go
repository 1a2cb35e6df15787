package oip

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"melo.example/melo/explain"
	"melo.example/melo/serve"
)

// Engine is what the endpoints ask of the server; *serve.Engine is one.
type Engine interface {
	Predict(ctx context.Context, requests ...serve.Request) ([]serve.Answer, []error)
	Explain(ctx context.Context, q serve.Request, how serve.Explaining) (serve.Explanation, error)
	ExplainBytes(name, version string, m explain.Method) int64
	Registry() *serve.Registry
	Side() int         // of the input, in pixels; of several bases the first's
	MaxSide() int      // of the base with the largest
	Precision() string // of the base's products; of several bases the first's
	Bases() []serve.BaseStatus
	Several() bool // bases
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
	// Coverage is that of the sets of labels that cannot be excluded, where a request does not say; 0: there are none then.
	Coverage float64
}

// Service is the protocol over an engine, for both endpoints. It is safe for concurrent use.
type Service struct {
	engine   Engine
	options  Options
	limits   Limits
	codec    *Codec
	decoder  *Decoder
	memory   *Memory
	arriving arriving
}

// NewService returns the protocol over an engine.
func NewService(engine Engine, o Options) *Service {
	o.Limits = o.Limits.WithDefaults()
	memory := NewMemory(o.Limits.Memory)
	return &Service{engine: engine, options: o, limits: o.Limits, memory: memory,
		codec: &Codec{limits: o.Limits, side: engine.MaxSide}, decoder: NewDecoder(o.Limits, memory)}
}

// Limits returns the limits of requests.
func (s *Service) Limits() Limits { return s.limits }

// Codec returns what reads requests.
func (s *Service) Codec() *Codec { return s.codec }

// Precision is that of the base's products, in which every answer is computed; empty where there are several bases: see
// PrecisionOf.
func (s *Service) Precision() string {
	if s.engine.Several() {
		return ""
	}
	return s.engine.Precision()
}

// PrecisionOf is that in which an adapter's answers are computed.
func (s *Service) PrecisionOf(id serve.Identity) string {
	if id.Base != "" {
		for _, b := range s.engine.Bases() {
			if b.Name == id.Base {
				return b.Precision
			}
		}
	}
	return s.engine.Precision()
}

// sideOf is that of the input of an adapter.
func (s *Service) sideOf(name, version string) int {
	if s.engine.Several() {
		if status, err := s.engine.Registry().Describe(name, version); err == nil && status.Base != nil {
			return status.Base.Side
		}
	}
	return s.engine.Side()
}

// Memory is what all requests under way take together.
func (s *Service) Memory() *Memory { return s.memory }

// Names returns the names of the adapters that the client of a request may see.
func (s *Service) Names(ctx context.Context) []string { return s.view(ctx).names() }

// Live reports whether the server runs at all.
func (s *Service) Live() bool { return s.engine.Live() }

// stuck is how long images may wait for their turn before the server counts as not ready.
const stuck = 10 * time.Second

// Ready reports whether the server takes requests, and gets to those with images.
func (s *Service) Ready() bool {
	return s.engine.Ready() && s.memory.Waited() < stuck && s.decoder.waited() < stuck
}

// resolveTries is how often a request looks again when an adapter is replaced under its hands.
const resolveTries = 3

// oneVersion calls ask with the version that n rows are to be answered by, and again when it is replaced meanwhile.
func (s *Service) oneVersion(ctx context.Context, name, version string, n int, ask func(name, version string) error) error {
	if n == 1 {
		return ask(name, version)
	}
	for try := 1; ; try++ {
		id, err := s.view(ctx).resolve(name, version)
		if err != nil {
			return err
		}
		if err = ask(id.Name, id.Digest); errors.Is(err, serve.ErrUnknownAdapter) && try < resolveTries {
			continue
		}
		return err
	}
}

// predictOnce returns the first error of any row.
func (s *Service) predictOnce(ctx context.Context, rows []serve.Request) ([]serve.Answer, error) {
	answers, errs := s.ask(ctx, rows)
	for i, err := range errs {
		var unanswered *serve.AnswerError
		if errors.As(err, &unanswered) && len(rows) > 1 {
			err = fmt.Errorf("row %d: %w", i, err)
		}
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
