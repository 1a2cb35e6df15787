package host

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"melo.example/melo/serve/access"
	"melo.example/melo/serve/grpcapi"
	"melo.example/melo/serve/httpapi"
	"melo.example/melo/serve/oip"
	pb "melo.example/melo/serve/openinference"
	"melo.example/melo/serve/servetest"
)

// pathOf is a route's address for an adapter that there is.
func pathOf(r httpapi.Route) string {
	return strings.NewReplacer("{model}", "lesion", "{adapter}", "lesion", "{version}", "x", "{alias}", "x").Replace(r.Path)
}

// Every route takes its role, from those who have it alone.
func TestRolesOfEveryRoute(t *testing.T) {
	s := newSite(t)
	routes := append(httpapi.Routes(), httpapi.Route{Name: "Metrics", Method: "GET", Path: "/metrics", Role: oip.Viewer})
	for _, route := range routes {
		for role := access.Public; role <= access.Admin; role++ {
			response, text := s.do(role, route.Method, pathOf(route), nil)
			need := roleOf(route.Role)
			want := 0
			if role < need {
				want = http.StatusForbidden
				if role == access.Public {
					want = http.StatusUnauthorized
				}
			}
			refused := response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusUnauthorized
			if want != 0 && response.StatusCode != want || want == 0 && refused {
				t.Errorf("%s as %v: status %d, want %d: %s", route.Name, role, response.StatusCode, want, text)
			}
		}
		if route.Role == oip.Public {
			continue
		}
		for _, header := range []string{"Bearer x", "Basic " + s.tokens[access.Admin], s.tokens[access.Admin]} {
			response, _ := s.do(access.Public, route.Method, pathOf(route), nil, "Authorization", header)
			if response.StatusCode != http.StatusUnauthorized && response.StatusCode != http.StatusTooManyRequests {
				t.Errorf("%s with wrong credentials: status %d", route.Name, response.StatusCode)
			}
		}
	}
	// Only operators and above change anything.
	for _, route := range httpapi.Routes() {
		changes := route.Method == http.MethodPut || route.Method == http.MethodDelete || strings.HasSuffix(route.Path, "/load") || strings.HasSuffix(route.Path, "/unload")
		if changes != (roleOf(route.Role) >= access.Operator) {
			t.Errorf("%s takes %v", route.Name, roleOf(route.Role))
		}
	}
}

// dial returns a connection to the gRPC door.
func (s *site) dial(options ...grpc.DialOption) *grpc.ClientConn {
	s.t.Helper()
	if options == nil {
		options = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	}
	conn, err := grpc.NewClient("passthrough:///"+s.Address("grpc"), options...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// call calls a method with an empty request and the token.
func (s *site) call(conn *grpc.ClientConn, method, token string) codes.Code {
	ctx := s.t.Context()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err == nil {
		if err = stream.SendMsg(&emptypb.Empty{}); err == nil {
			err = stream.CloseSend()
		}
		if err == nil || err == io.EOF { // the end has come already
			err = stream.RecvMsg(&emptypb.Empty{})
		}
	}
	return status.Code(err)
}

func TestRolesOfEveryMethod(t *testing.T) {
	s := newSite(t)
	conn := s.dial()
	for method, needed := range grpcapi.Roles() {
		if strings.HasSuffix(method, "/Watch") {
			continue // does not end
		}
		for role := access.Public; role <= access.Admin; role++ {
			got, need := s.call(conn, method, s.tokens[role]), roleOf(needed)
			switch {
			case role >= need:
				if got == codes.PermissionDenied || got == codes.Unauthenticated {
					t.Errorf("%s as %v: %v", method, role, got)
				}
			case role == access.Public && got != codes.Unauthenticated, role > access.Public && got != codes.PermissionDenied:
				t.Errorf("%s as %v: %v", method, role, got)
			}
		}
		if got := s.call(conn, method, "x"); needed != oip.Public && got != codes.Unauthenticated && got != codes.ResourceExhausted {
			t.Errorf("%s with a wrong token: %v", method, got)
		}
	}
	// A method without a role takes the highest.
	if roleOf("") != access.Public || roleOf("nonsense") != access.Admin {
		t.Error("roles that nobody knows")
	}
	if _, ok := grpcapi.Roles()["/inference.GRPCInferenceService/Other"]; ok {
		t.Error("a method that there is not has a role")
	}
}

func TestGRPCThroughTheGuard(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Guard.Defaults = access.Limits{Rate: 0.01, Burst: 2, Body: 4096} })
	client := pb.NewGRPCInferenceServiceClient(s.dial())
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.tokens[access.Viewer], "x-request-id", "mine",
		"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	request := func(image []byte) *pb.ModelInferRequest {
		return &pb.ModelInferRequest{ModelName: "lesion", Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "image", Datatype: "BYTES", Shape: []int64{1},
			Contents: &pb.InferTensorContents{BytesContents: [][]byte{image}}}}}
	}
	if _, err := client.ModelInfer(ctx, request(servetest.PNG(t, 1, 20, 20))); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ModelInfer(ctx, request(make([]byte, 5000))); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "4096") {
		t.Errorf("above the client's size: %v", err)
	}
	_, err := client.ModelInfer(ctx, request(nil))
	if status.Code(err) != codes.ResourceExhausted || len(status.Convert(err).Details()) == 0 {
		t.Errorf("above the rate: %v, details %v", err, status.Convert(err).Details())
	}
	found := false
	for _, e := range s.entries() {
		found = found || e.Action == "predict" && e.Request == "mine" && e.Client == "the-viewer" && e.Adapter == "lesion" && e.Outcome == "ok"
	}
	if !found {
		t.Errorf("no entry in %+v", s.entries())
	}
	if log := s.log.String(); !strings.Contains(log, `"trace":"0af7651916cd43dd8448eb211c80319c"`) || !strings.Contains(log, `"request":"mine"`) {
		t.Error(log)
	}
}
