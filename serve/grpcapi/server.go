package grpcapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"

	"melo.example/melo/serve/oip"
	pb "melo.example/melo/serve/openinference"
)

// Options configures the endpoint. A zero field means its default.
type Options struct {
	Service *oip.Service
	// Enter admits a call, before anything but its header is read, and every further message of a stream,
	// before it is answered. nil admits everybody.
	Enter func(ctx context.Context, c Call) (Entered, error)
	// Log receives internal errors; nil: none.
	Log *slog.Logger
	// Body is the time limit for receiving a message; default oip.ArrivalTime.
	Body time.Duration
	// Request is the time limit for answering a message after it has arrived; default 60 s.
	Request time.Duration
	// Write is the time limit for a client to receive an answer; default 30 s.
	Write time.Duration
}

// Call is a call, or one message of a stream, to be admitted.
type Call struct {
	Method  string // full name, such as "/inference.GRPCInferenceService/ModelInfer"; arbitrary if Known is false
	Known   bool
	Role    oip.Role      // required role
	Request *http.Request // its header, address and TLS state
	// Opening is set when a stream is opened, whose messages follow one by one. Message is set for one of these
	// messages.
	Opening, Message bool
}

// Entered is an admitted call.
type Entered struct {
	Context context.Context // context for answering it
	Limit   int64           // maximum message size of its client in bytes; 0: the general limit
	// Named is called with the name of the adapter, once known; may be nil.
	Named func(adapter string)
	// Done is called after the call has been answered, with the adapter that it named.
	Done func(err error, adapter string)
}

// requestIDKey is the header with a request's ID, in both directions.
const requestIDKey = "X-Request-Id"

// Server is the endpoint: an http.Handler for HTTP/2. It implements the gRPC protocol, a thin layer over
// HTTP/2, itself, because nothing of a message may be read, decompressed or decoded before its client is known,
// its size is counted, and its time limit is set. Services are those that gRPC's code generator creates.
type Server struct {
	Options
	methods map[string]method // by full name with leading slash
	info    map[string]grpc.ServiceInfo
}

// method is a method of a registered service.
type method struct {
	unary  func(ctx context.Context, decode func(any) error) (any, error) // nil: a stream
	stream func(grpc.ServerStream) error
	input  protoreflect.MessageDescriptor
}

// api implements the inference service.
type api struct {
	pb.UnimplementedGRPCInferenceServiceServer
	Options
}

// New returns the endpoint with its services: inference, health, reflection.
func New(o Options) *Server {
	fill := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	fill(&o.Body, oip.ArrivalTime)
	fill(&o.Request, time.Minute)
	fill(&o.Write, 30*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Enter == nil {
		o.Enter = func(ctx context.Context, _ Call) (Entered, error) {
			return Entered{Context: ctx, Done: func(error, string) {}}, nil
		}
	}
	s := &Server{Options: o, methods: map[string]method{}, info: map[string]grpc.ServiceInfo{}}
	pb.RegisterGRPCInferenceServiceServer(s, &api{Options: o})
	grpc_health_v1.RegisterHealthServer(s, &health{service: o.Service})
	reflection.Register(s)
	return s
}

// RegisterService implements grpc.ServiceRegistrar, for New.
func (s *Server) RegisterService(d *grpc.ServiceDesc, impl any) {
	inputs := map[string]protoreflect.MessageDescriptor{}
	if found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(d.ServiceName)); err == nil {
		methods := found.(protoreflect.ServiceDescriptor).Methods()
		for i := range methods.Len() {
			inputs[string(methods.Get(i).Name())] = methods.Get(i).Input()
		}
	}
	info := grpc.ServiceInfo{Metadata: d.Metadata}
	for _, m := range d.Methods {
		s.methods["/"+d.ServiceName+"/"+m.MethodName] = method{input: inputs[m.MethodName],
			unary: func(ctx context.Context, decode func(any) error) (any, error) {
				return m.Handler(impl, ctx, decode, nil)
			}}
		info.Methods = append(info.Methods, grpc.MethodInfo{Name: m.MethodName})
	}
	for _, m := range d.Streams {
		s.methods["/"+d.ServiceName+"/"+m.StreamName] = method{input: inputs[m.StreamName],
			stream: func(stream grpc.ServerStream) error { return m.Handler(impl, stream) }}
		info.Methods = append(info.Methods, grpc.MethodInfo{Name: m.StreamName, IsClientStream: m.ClientStreams, IsServerStream: m.ServerStreams})
	}
	s.info[d.ServiceName] = info
}

// GetServiceInfo returns the services and their methods, for reflection.
func (s *Server) GetServiceInfo() map[string]grpc.ServiceInfo { return s.info }

// Streams is the maximum number of concurrent calls per connection.
const Streams = 64

// NewServer returns an HTTP server for the endpoint: HTTP/2 only, without TLS unless the caller configures it.
func NewServer(h http.Handler) *http.Server {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 10 * time.Minute, MaxHeaderBytes: 32 << 10,
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: Streams, SendPingTimeout: 2 * time.Minute, PingTimeout: 20 * time.Second},
		Protocols: &http.Protocols{}}
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

// Roles returns the role that each method requires, by full name.
func Roles() map[string]oip.Role {
	roles := map[string]oip.Role{
		pb.GRPCInferenceService_ServerLive_FullMethodName:  oip.Public,
		pb.GRPCInferenceService_ServerReady_FullMethodName: oip.Public,
		grpc_health_v1.Health_Check_FullMethodName:         oip.Public,
		// it lists the adapters
		grpc_health_v1.Health_List_FullMethodName:                                    oip.Viewer,
		grpc_health_v1.Health_Watch_FullMethodName:                                   oip.Public,
		grpc_reflection_v1.ServerReflection_ServerReflectionInfo_FullMethodName:      oip.Viewer,
		grpc_reflection_v1alpha.ServerReflection_ServerReflectionInfo_FullMethodName: oip.Viewer,
		pb.GRPCInferenceService_RepositoryModelLoad_FullMethodName:                   oip.Operator,
		pb.GRPCInferenceService_RepositoryModelUnload_FullMethodName:                 oip.Operator,
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

var roles = Roles()

// roleOf returns the required role of a method. Unknown methods require the highest.
func roleOf(name string) oip.Role {
	if role, ok := roles[name]; ok {
		return role
	}
	return oip.Admin
}

// statusCodes maps oip.Kind to gRPC codes.
var statusCodes = map[oip.Kind]codes.Code{
	oip.Internal: codes.Internal, oip.Invalid: codes.InvalidArgument, oip.TooLarge: codes.InvalidArgument, oip.Unsupported: codes.Unimplemented,
	oip.NotFound: codes.NotFound, oip.Refused: codes.FailedPrecondition, oip.Overloaded: codes.ResourceExhausted,
	oip.Unavailable: codes.Unavailable, oip.DeadlineError: codes.DeadlineExceeded, oip.Canceled: codes.Canceled,
	oip.Unauthorized: codes.Unauthenticated, oip.Forbidden: codes.PermissionDenied, oip.Slow: codes.DeadlineExceeded, oip.NotFinite: codes.OutOfRange,
	oip.Unlike: codes.OutOfRange,
}

// Status converts a fault to a gRPC error, with google.rpc.RetryInfo if retrying helps.
func Status(fault *oip.Fault) error {
	s := status.New(statusCodes[fault.Kind], oip.Clean(fault.Message))
	if fault.RetryAfter > 0 {
		if detailed, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(fault.RetryAfter)}); err == nil {
			s = detailed
		}
	}
	return s.Err()
}
