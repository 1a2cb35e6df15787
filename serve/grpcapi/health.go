package grpcapi

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"melo.example/melo/serve/oip"
	pb "melo.example/melo/serve/openinference"
)

// health is the standard health service. It reports on the whole server (the empty name), the inference
// service, and every adapter by name.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	service *oip.Service
}

// state returns the state of a service. Whether an adapter exists is reported only to clients that may use it,
// so that unknown and forbidden adapters cannot be distinguished.
func (h *health) state(ctx context.Context, name string) (grpc_health_v1.HealthCheckResponse_ServingStatus, bool) {
	ready := h.service.Ready()
	if name != "" && name != pb.GRPCInferenceService_ServiceDesc.ServiceName {
		if !oip.MaySee(ctx, name) {
			return grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN, false
		}
		ok, err := h.service.ModelReady(ctx, name, "")
		if err != nil {
			return grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN, false
		}
		ready = ok
	}
	if ready && !h.service.Stopping() {
		return grpc_health_v1.HealthCheckResponse_SERVING, true
	}
	return grpc_health_v1.HealthCheckResponse_NOT_SERVING, true
}

// Check reports whether the server, or an adapter, accepts requests.
func (h *health) Check(ctx context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	state, known := h.state(ctx, r.Service)
	if !known {
		return nil, status.Errorf(codes.NotFound, "unknown service %.100q", r.Service)
	}
	return &grpc_health_v1.HealthCheckResponse{Status: state}, nil
}

// listed limits the number of adapters in List.
const listed = 1000

// List reports the state of the server, the inference service and the adapters.
func (h *health) List(ctx context.Context, _ *grpc_health_v1.HealthListRequest) (*grpc_health_v1.HealthListResponse, error) {
	names := append([]string{"", pb.GRPCInferenceService_ServiceDesc.ServiceName}, h.service.Names(ctx)...)
	list := map[string]*grpc_health_v1.HealthCheckResponse{}
	for _, name := range names[:min(len(names), listed)] {
		if state, known := h.state(ctx, name); known {
			list[name] = &grpc_health_v1.HealthCheckResponse{Status: state}
		}
	}
	return &grpc_health_v1.HealthListResponse{Statuses: list}, nil
}

// watchEvery is the interval at which Watch checks.
const watchEvery = 250 * time.Millisecond

// Watch reports the state of a service, and again when it changes, until the client cancels or the server
// stops.
func (h *health) Watch(r *grpc_health_v1.HealthCheckRequest, s grpc_health_v1.Health_WatchServer) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	last := grpc_health_v1.HealthCheckResponse_ServingStatus(-1)
	for {
		if state, _ := h.state(s.Context(), r.Service); state != last {
			last = state
			if err := s.Send(&grpc_health_v1.HealthCheckResponse{Status: state}); err != nil {
				return err
			}
		}
		if h.service.Stopping() {
			return status.Error(codes.Unavailable, "the server is shutting down")
		}
		select {
		case <-tick.C:
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}
}
