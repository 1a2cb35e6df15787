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

// Engine is the part of the engine that the endpoints use; *serve.Engine implements it.
type Engine interface {
	Predict(ctx context.Context, requests ...serve.Request) ([]serve.Answer, []error)
	Explain(ctx context.Context, q serve.Request, how serve.Explaining) (serve.Explanation, error)
	ExplainBytes(name, version string, m explain.Method) int64
	Registry() *serve.Registry
	Side() int         // of the input in pixels; of several bases that of the first
	MaxSide() int      // of the base with the largest input
	Precision() string // of the base's products; of several bases that of the first
	Bases() []serve.BaseStatus
	Several() bool // whether there are several bases
	Live() bool
	Ready() bool
	Stats() serve.Stats
}

// Options configures a Service.
type Options struct {
	Limits  Limits
	Version string // of the program, for metadata
	Base    string // name of the base, for metadata
	// Digest identifies the weights of the base.
	Digest string
	// Coverage is that of the sets of labels that cannot be excluded, where a request does not say; 0: there are none then.
	Coverage float64
}

// Service implements the protocol on an engine, for both endpoints. It is safe for concurrent use.
type Service struct {
	engine   Engine
	options  Options
	limits   Limits
	codec    *Codec
	decoder  *Decoder
	memory   *Memory
	arriving arriving
}

// NewService returns the protocol on an engine.
func NewService(engine Engine, o Options) *Service {
	o.Limits = o.Limits.WithDefaults()
	memory := NewMemory(o.Limits.Memory)
	return &Service{engine: engine, options: o, limits: o.Limits, memory: memory,
		codec: &Codec{limits: o.Limits, side: engine.MaxSide}, decoder: NewDecoder(o.Limits, memory)}
}

// Limits returns the limits of requests.
func (s *Service) Limits() Limits { return s.limits }

// Codec returns the parser of requests.
func (s *Service) Codec() *Codec { return s.codec }

// Precision returns the precision of the base's products; "" if there are several bases: see PrecisionOf.
func (s *Service) Precision() string {
	if s.engine.Several() {
		return ""
	}
	return s.engine.Precision()
}

// PrecisionOf returns the precision in which an adapter's answers are computed.
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

// sideOf returns the input side of an adapter in pixels.
func (s *Service) sideOf(name, version string) int {
	if status, err := s.engine.Registry().Describe(name, version); err == nil && status.Side > 0 {
		return status.Side
	}
	return s.engine.Side()
}

// Memory returns the memory budget of all running requests.
func (s *Service) Memory() *Memory { return s.memory }

// Names returns the names of the adapters that the client of a request may use.
func (s *Service) Names(ctx context.Context) []string { return s.view(ctx).names() }

// Live reports whether the server works.
func (s *Service) Live() bool { return s.engine.Live() }

// stuck is how long images may wait before the server counts as not ready.
const stuck = 10 * time.Second

// Ready reports whether the server accepts requests and processes those with images in reasonable time.
func (s *Service) Ready() bool {
	return s.engine.Ready() && s.memory.Waited() < stuck && s.decoder.waited() < stuck
}

// resolveTries is how often a request retries if an adapter is replaced meanwhile.
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

// predictOnce answers rows, and returns the first error of any row.
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

// withoutFolder removes the folder from a path in a message.
func withoutFolder(message, path string) string {
	if path == "" {
		return message
	}
	return strings.ReplaceAll(message, path, filepath.Base(path))
}

// milliseconds returns the milliseconds since 1970; 0 for the zero time.
func milliseconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMilli())
}
