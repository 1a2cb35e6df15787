package host

import (
	"context"
	"log/slog"
	"path"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"melo.example/melo/serve/access"
	"melo.example/melo/serve/grpcapi"
	"melo.example/melo/serve/oip"
)

// carrier is gRPC metadata as trace headers.
type carrier metadata.MD

// Get returns the first value.
func (c carrier) Get(key string) string {
	if v := metadata.MD(c).Get(key); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Set sets a value.
func (c carrier) Set(key, value string) { metadata.MD(c).Set(key, value) }

// Keys lists the names.
func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}

// named is a request that names an adapter.
type named interface{ GetModelName() string }

// call puts the guard, the limits, the audit log, metrics, traces and logs around a call. size is that of the request
// and adapter the name in it, where they are known.
func (h *Host) call(ctx context.Context, method string, size int64, adapter string, next func(context.Context) error) (err error) {
	route := path.Base(method)
	role, known := h.roles[method]
	if !known {
		role, route = oip.Admin, "unknown"
	}
	need := roleOf(role)
	began := time.Now()
	md, _ := metadata.FromIncomingContext(ctx)
	counted := h.config.Recorder.Call("grpc", route)
	ctx, end := h.config.Tracer.Start(ctx, carrier(md), "grpc", route)
	shown := grpcCredentials(ctx, md)
	defer h.conns["grpc"].enter(shown.Address)()
	ctx, p, done, err := h.enter(ctx, visit{route, need, shown})
	entered := err == nil
	defer func() {
		done()
		code := status.Code(err)
		if need > access.Viewer && entered {
			outcome := "ok"
			if err != nil {
				outcome = "failed"
			}
			h.audit(ctx, route, outcome, adapter)
		}
		counted(code.String())
		end(code.String(), code == codes.Internal || code == codes.Unknown || code == codes.Unavailable)
		level := slog.LevelInfo
		if need == access.Public {
			level = slog.LevelDebug
		}
		h.config.Log.Log(ctx, level, "call", "protocol", "grpc", "route", route, "status", code.String(), "seconds", time.Since(began).Seconds())
	}()
	if err == nil {
		if limit := h.config.Guard.LimitsOf(p).Body; limit > 0 && p.Name != "" && size > limit {
			err = h.tooLarge(limit)
		} else {
			err = next(ctx)
		}
	}
	if err != nil {
		if _, ok := status.FromError(err); !ok {
			fault := oip.FaultOf(err)
			if fault.Kind == oip.Internal {
				h.config.Log.ErrorContext(ctx, "internal error", "error", err)
			}
			err = grpcapi.Status(fault)
		}
	}
	return err
}

func grpcCredentials(ctx context.Context, md metadata.MD) access.Credentials {
	c := access.Credentials{Authorization: carrier(md).Get("authorization")}
	if p, ok := peer.FromContext(ctx); ok {
		c.Address = p.Addr.String()
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			c.Certificate = leaf(&info.State)
		}
	}
	return c
}

func (h *Host) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (response any, err error) {
	size, adapter := int64(0), ""
	if m, ok := request.(proto.Message); ok {
		size = int64(proto.Size(m))
	}
	if n, ok := request.(named); ok {
		adapter = n.GetModelName()
	}
	err = h.call(ctx, info.FullMethod, size, adapter, func(ctx context.Context) error {
		response, err = next(ctx, request)
		return err
	})
	return response, err
}

// inContext is a stream with another context.
type inContext struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns the other context.
func (s inContext) Context() context.Context { return s.ctx }

func (h *Host) stream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return h.call(stream.Context(), info.FullMethod, 0, "", func(ctx context.Context) error {
		return next(server, inContext{stream, ctx})
	})
}
