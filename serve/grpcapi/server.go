package grpcapi

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"melo.example/melo/serve/oip"
	pb "melo.example/melo/serve/openinference"
)

// Options are the settings of the door. A zero field means its default.
type Options struct {
	Service *oip.Service
	// Unary and Stream run inside of what gives calls their identity, the first one outermost.
	Unary  []grpc.UnaryServerInterceptor
	Stream []grpc.StreamServerInterceptor
	// Server has further options, such as transport credentials.
	Server []grpc.ServerOption
	// Log gets internal errors; nil is nowhere.
	Log *slog.Logger
	// Request is the time in which a call must be answered; default 60 s.
	Request time.Duration
	// Streams is the number of calls at once on one connection; default 64.
	Streams uint32
}

// requestIDKey is the metadata that carries a request's identity, both ways.
const requestIDKey = "x-request-id"

// api is the door.
type api struct {
	pb.UnimplementedGRPCInferenceServiceServer
	Options
}

// New returns a gRPC server with the door registered.
func New(o Options) *grpc.Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Request <= 0 {
		o.Request = time.Minute
	}
	if o.Streams == 0 {
		o.Streams = 64
	}
	a := &api{Options: o}
	const header = 32 << 10
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(int(o.Service.Limits().Body)),
		grpc.MaxConcurrentStreams(o.Streams),
		grpc.MaxHeaderListSize(header),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 10 * time.Minute, Time: 2 * time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(append([]grpc.UnaryServerInterceptor{a.unary}, o.Unary...)...),
		grpc.ChainStreamInterceptor(append([]grpc.StreamServerInterceptor{a.stream}, o.Stream...)...),
	}
	s := grpc.NewServer(append(options, o.Server...)...)
	pb.RegisterGRPCInferenceServiceServer(s, a)
	grpc_health_v1.RegisterHealthServer(s, &health{service: o.Service})
	return s
}

// Roles returns the role that each method needs, by its full name.
func Roles() map[string]oip.Role {
	roles := map[string]oip.Role{
		pb.GRPCInferenceService_ServerLive_FullMethodName:            oip.Public,
		pb.GRPCInferenceService_ServerReady_FullMethodName:           oip.Public,
		grpc_health_v1.Health_Check_FullMethodName:                   oip.Public,
		grpc_health_v1.Health_List_FullMethodName:                    oip.Public,
		grpc_health_v1.Health_Watch_FullMethodName:                   oip.Public,
		pb.GRPCInferenceService_RepositoryModelLoad_FullMethodName:   oip.Operator,
		pb.GRPCInferenceService_RepositoryModelUnload_FullMethodName: oip.Operator,
	}
	for _, m := range pb.GRPCInferenceService_ServiceDesc.Methods {
		addRole(roles, m.MethodName)
	}
	for _, s := range pb.GRPCInferenceService_ServiceDesc.Streams {
		addRole(roles, s.StreamName)
	}
	return roles
}

func addRole(roles map[string]oip.Role, method string) {
	full := "/" + pb.GRPCInferenceService_ServiceDesc.ServiceName + "/" + method
	if _, ok := roles[full]; !ok {
		roles[full] = oip.Viewer
	}
}

// identify gives a call its identity, which goes back to the client.
func identify(ctx context.Context) context.Context {
	id := ""
	if values := metadata.ValueFromIncomingContext(ctx, requestIDKey); len(values) > 0 {
		id = values[0]
	}
	id = oip.SaneRequestID(id)
	_ = grpc.SetHeader(ctx, metadata.Pairs(requestIDKey, id)) // fails only once the answer is under way
	return oip.WithRequestID(ctx, id)
}

func (a *api) unary(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (response any, err error) {
	ctx, cancel := context.WithTimeout(identify(ctx), a.Request)
	defer cancel()
	defer a.recoverBug(ctx, &err)
	message, _ := request.(proto.Message)
	release, err := a.Service.Hold(proto.Size(message))
	if err != nil {
		return nil, a.status(ctx, err)
	}
	defer release()
	response, err = next(ctx, request)
	return response, a.status(ctx, err)
}

// identified is a stream with the context of identify.
type identified struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns the stream's context.
func (s identified) Context() context.Context { return s.ctx }

func (a *api) stream(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	ctx := identify(stream.Context())
	defer a.recoverBug(ctx, &err)
	return a.status(ctx, next(server, identified{stream, ctx}))
}

// recoverBug keeps a bug from ending more than the call.
func (a *api) recoverBug(ctx context.Context, err *error) {
	if bug := recover(); bug != nil {
		a.Log.ErrorContext(ctx, "bug", "request", oip.RequestID(ctx), "panic", bug, "stack", string(debug.Stack()))
		*err = Status(oip.NewFault(oip.Internal, "internal error, see the server's log"))
	}
}

// status turns an error into what the client is told. What interceptors have made a status already stays.
func (a *api) status(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var fault *oip.Fault
	if _, ok := status.FromError(err); ok && !errors.As(err, &fault) {
		return err
	}
	fault = oip.FaultOf(err)
	if fault.Kind == oip.Internal {
		a.Log.ErrorContext(ctx, "internal error", "request", oip.RequestID(ctx), "error", errors.Unwrap(fault))
	}
	return Status(fault)
}

// statusCodes by oip.Kind.
var statusCodes = map[oip.Kind]codes.Code{
	oip.Internal: codes.Internal, oip.Invalid: codes.InvalidArgument, oip.TooLarge: codes.InvalidArgument, oip.Unsupported: codes.Unimplemented,
	oip.NotFound: codes.NotFound, oip.Refused: codes.FailedPrecondition, oip.Overloaded: codes.ResourceExhausted,
	oip.Unavailable: codes.Unavailable, oip.DeadlineError: codes.DeadlineExceeded, oip.Canceled: codes.Canceled,
	oip.Unauthorized: codes.Unauthenticated, oip.Forbidden: codes.PermissionDenied, oip.Slow: codes.DeadlineExceeded,
}

// Status returns a fault as a gRPC error, with google.rpc.RetryInfo where trying again helps: for interceptors that
// refuse a call.
func Status(fault *oip.Fault) error {
	s := status.New(statusCodes[fault.Kind], fault.Message)
	if fault.RetryAfter > 0 {
		if detailed, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(fault.RetryAfter)}); err == nil {
			s = detailed
		}
	}
	return s.Err()
}

// health is the standard health service. It knows the whole server (the empty name) and the inference service.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	service *oip.Service
}

// Check tells whether the server takes requests.
func (h *health) Check(_ context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if r.Service != "" && r.Service != pb.GRPCInferenceService_ServiceDesc.ServiceName {
		return nil, status.Errorf(codes.NotFound, "unknown service %.100q", r.Service)
	}
	state := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if h.service.Ready() {
		state = grpc_health_v1.HealthCheckResponse_SERVING
	}
	return &grpc_health_v1.HealthCheckResponse{Status: state}, nil
}
