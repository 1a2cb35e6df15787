package grpcapi

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"melo.example/melo/imaging"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve"
	"melo.example/melo/serve/oip"
	pb "melo.example/melo/serve/openinference"
	"melo.example/melo/serve/servetest"
)

// door is a running server, a client of it, and what is behind it.
type door struct {
	pb.GRPCInferenceServiceClient
	t      *testing.T
	conn   *grpc.ClientConn
	engine *serve.Engine
	dir    string // of adapters
}

func newDoor(t *testing.T, limits oip.Limits, change ...func(*Options)) *door {
	t.Helper()
	dir := servetest.Folder(t)
	e := servetest.Engine(t, serve.Config{Adapters: dir})
	o := Options{Service: oip.NewService(e, oip.Options{Limits: limits, Version: "1.2.3", Base: "tiny", Digest: servetest.BaseDigest})}
	for _, f := range change {
		f(&o)
	}
	s := New(o)
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(s)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &door{pb.NewGRPCInferenceServiceClient(conn), t, conn, e, dir}
}

func raw(x []float32) []byte {
	var b []byte
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func floats(raw []byte) []float32 {
	list := make([]float32, len(raw)/4)
	for i := range list {
		list[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return list
}

// pixels asks about a prepared tensor.
func pixels(model string, seed uint64) *pb.ModelInferRequest {
	return &pb.ModelInferRequest{ModelName: model, Id: "7",
		Inputs:           []*pb.ModelInferRequest_InferInputTensor{{Name: "pixel_values", Datatype: "FP32", Shape: []int64{1, 3, 8, 8}}},
		RawInputContents: [][]byte{raw(servetest.Tensor(seed))}}
}

func (d *door) want(name string, input serve.Input) serve.Answer {
	d.t.Helper()
	answers, errs := d.engine.Predict(d.t.Context(), serve.Request{Name: name, Input: input})
	if errs[0] != nil {
		d.t.Fatal(errs[0])
	}
	return answers[0]
}

func TestHealthAndMetadata(t *testing.T) {
	d, ctx := newDoor(t, oip.Limits{}), t.Context()
	live, err := d.ServerLive(ctx, &pb.ServerLiveRequest{})
	if err != nil || !live.Live {
		t.Fatal(live, err)
	}
	ready, err := d.ServerReady(ctx, &pb.ServerReadyRequest{})
	if err != nil || !ready.Ready {
		t.Fatal(ready, err)
	}
	model, err := d.ModelReady(ctx, &pb.ModelReadyRequest{Name: "view"})
	if err != nil || !model.Ready {
		t.Fatal(model, err)
	}
	server, err := d.ServerMetadata(ctx, &pb.ServerMetadataRequest{})
	if err != nil || server.Name != "melo" || server.Version != "1.2.3" || !slices.Contains(server.Extensions, "model_repository") {
		t.Fatal(server, err)
	}
	m, err := d.ModelMetadata(ctx, &pb.ModelMetadataRequest{Name: "view"})
	if err != nil || m.Platform != "melo" || !slices.Equal(m.Inputs[0].Shape, []int64{-1, 3, 8, 8}) || m.Outputs[1].Name != "probabilities" || len(m.Versions) == 0 {
		t.Fatal(m, err)
	}
	c, err := d.ModelConfig(ctx, &pb.ModelConfigRequest{Name: "view"})
	if err != nil || c.Config.Input[0].DataType != pb.DataType_TYPE_FP32 || c.Config.Input[0].Format != pb.ModelInput_FORMAT_NCHW ||
		c.Config.Output[0].Dims[0] != 3 || c.Config.Parameters["task"].StringValue != "multiclass" {
		t.Fatal(c, err)
	}
	h := grpc_health_v1.NewHealthClient(d.conn)
	check, err := h.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil || check.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Fatal(check, err)
	}
	if _, err := h.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "x"}); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
	if _, err := d.ModelMetadata(ctx, &pb.ModelMetadataRequest{Name: "nobody"}); status.Code(err) != codes.NotFound {
		t.Error(err)
	}

	list, err := h.List(ctx, &grpc_health_v1.HealthListRequest{})
	if err != nil || len(list.Statuses) != 5 || list.Statuses["view"].GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Error(list, err)
	}
	watch, err := h.Watch(ctx, &grpc_health_v1.HealthCheckRequest{Service: "view"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watch.Recv(); err != nil || got.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Fatal(got, err)
	}
	if err := d.engine.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	check, err = h.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil || check.Status != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Error(check, err)
	}
	if got, err := watch.Recv(); err != nil || got.Status != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Error(got, err)
	}
	_, err = d.ModelInfer(ctx, pixels("view", 1))
	if s := status.Convert(err); s.Code() != codes.Unavailable || retryDelay(s) <= 0 {
		t.Errorf("draining: %v, retry in %v", err, retryDelay(s))
	}
}

// retryDelay returns what google.rpc.RetryInfo says, 0 if there is none.
func retryDelay(s *status.Status) time.Duration {
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.RetryDelay.AsDuration()
		}
	}
	return 0
}

func TestInfer(t *testing.T) {
	d, ctx := newDoor(t, oip.Limits{}), t.Context()
	want := d.want("view", serve.Input{Tensor: servetest.Tensor(1)})
	contents := pixels("view", 1)
	contents.RawInputContents = nil
	contents.Inputs[0].Contents = &pb.InferTensorContents{Fp32Contents: servetest.Tensor(1)}
	version := pixels("view", 1)
	version.ModelVersion = want.Digest
	for name, r := range map[string]*pb.ModelInferRequest{"raw": pixels("view", 1), "contents": contents, "version": version} {
		got, err := d.ModelInfer(ctx, r)
		if err != nil {
			t.Fatal(name, err)
		}
		if got.Id != "7" || got.ModelName != "view" || got.ModelVersion != want.Version || got.Parameters["digest"].GetStringParam() != want.Digest ||
			!slices.Equal(floats(got.RawOutputContents[0]), want.Logits) || string(got.RawOutputContents[2][4:]) != want.Label {
			t.Errorf("%s: %v, want %+v", name, got, want)
		}
	}
	picture := servetest.PNG(t, 2, 12, 10)
	img, _ := imaging.Decode(picture, "picture")
	want = d.want("lesion", serve.Input{Image: img})
	r := &pb.ModelInferRequest{ModelName: "lesion",
		Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "image", Datatype: "BYTES", Shape: []int64{1}, Contents: &pb.InferTensorContents{BytesContents: [][]byte{picture}}}},
		Outputs: []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "probabilities"},
			{Name: "logits", Parameters: map[string]*pb.InferParameter{"classification": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 1}}}}}}
	got, err := d.ModelInfer(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if p := floats(got.RawOutputContents[0]); p[0] != float32(want.Probabilities[0]) || !strings.HasSuffix(string(got.RawOutputContents[1]), ":"+want.Label) ||
		got.Outputs[1].Datatype != "BYTES" || !slices.Equal(got.Outputs[1].Shape, []int64{1, 1}) {
		t.Errorf("%v, want %+v", got, want)
	}
}

func TestInferRefuses(t *testing.T) {
	d := newDoor(t, oip.Limits{Body: 1 << 16, Rows: 2, Pixels: 400})
	change := func(f func(*pb.ModelInferRequest)) *pb.ModelInferRequest {
		r := pixels("view", 1)
		f(r)
		return r
	}
	for _, c := range []struct {
		says    string
		code    codes.Code
		request *pb.ModelInferRequest
	}{
		{"unknown adapter", codes.NotFound, pixels("nobody", 1)},
		{"0 inputs", codes.InvalidArgument, &pb.ModelInferRequest{ModelName: "view"}},
		{"raw_input_contents", codes.InvalidArgument, change(func(r *pb.ModelInferRequest) { r.RawInputContents = append(r.RawInputContents, nil) })},
		{"768 bytes", codes.InvalidArgument, change(func(r *pb.ModelInferRequest) { r.RawInputContents[0] = r.RawInputContents[0][1:] })},
		{"limit", codes.InvalidArgument, change(func(r *pb.ModelInferRequest) { r.Inputs[0].Shape = []int64{1 << 62, 4} })},
		{"beside", codes.InvalidArgument, change(func(r *pb.ModelInferRequest) { r.Inputs[0].Contents = &pb.InferTensorContents{} })},
		{"elements", codes.InvalidArgument, change(func(r *pb.ModelInferRequest) { r.RawInputContents = nil })},
		{"finite", codes.InvalidArgument, change(func(r *pb.ModelInferRequest) {
			copy(r.RawInputContents[0], raw([]float32{float32(math.NaN())}))
		})},
		{"timeout", codes.InvalidArgument, change(func(r *pb.ModelInferRequest) {
			r.Parameters = map[string]*pb.InferParameter{"timeout": {ParameterChoice: &pb.InferParameter_StringParam{StringParam: "x"}}}
		})},
		{"shared memory", codes.Unimplemented, change(func(r *pb.ModelInferRequest) {
			r.Inputs[0].Parameters = map[string]*pb.InferParameter{"shared_memory_region": {}}
		})},
	} {
		_, err := d.ModelInfer(t.Context(), c.request)
		if s := status.Convert(err); s.Code() != c.code || !strings.Contains(s.Message(), c.says) {
			t.Errorf("%v, want %v with %q", err, c.code, c.says)
		}
	}
	if _, err := d.ModelInfer(t.Context(), change(func(r *pb.ModelInferRequest) { r.RawInputContents[0] = make([]byte, 1<<17) })); status.Code(err) != codes.InvalidArgument {
		t.Errorf("large message: %v", err)
	}
	if _, err := d.LogSettings(t.Context(), &pb.LogSettingsRequest{}); status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
	if _, err := d.SystemSharedMemoryRegister(t.Context(), &pb.SystemSharedMemoryRegisterRequest{}); status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
}

func TestStream(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	s, err := d.ModelStreamInfer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	models := []string{"view", "nobody", "lesion"}
	for _, model := range models {
		if err := s.Send(pixels(model, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for _, model := range models {
		got, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if got.InferResponse.ModelName != model || got.InferResponse.Id != "7" || (got.ErrorMessage != "") != (model == "nobody") {
			t.Errorf("%s: %v", model, got)
		}
		if model != "nobody" {
			want := d.want(model, serve.Input{Tensor: servetest.Tensor(1)})
			if !slices.Equal(floats(got.InferResponse.RawOutputContents[0]), want.Logits) {
				t.Errorf("%s: %v, want %v", model, got, want)
			}
		}
	}
	if _, err := s.Recv(); err == nil {
		t.Error("the stream goes on")
	}
}

func TestRepositoryAndStatistics(t *testing.T) {
	d, ctx := newDoor(t, oip.Limits{}), t.Context()
	index, err := d.RepositoryIndex(ctx, &pb.RepositoryIndexRequest{})
	if err != nil || len(index.Models) != 3 || index.Models[2].Name != "view" || index.Models[2].State != "READY" {
		t.Fatal(index, err)
	}
	if _, err := d.ModelInfer(ctx, pixels("view", 1)); err != nil {
		t.Fatal(err)
	}
	stats, err := d.ModelStatistics(ctx, &pb.ModelStatisticsRequest{Name: "view"})
	if err != nil || len(stats.ModelStats) != 1 || stats.ModelStats[0].InferenceStats.Success.Count != 1 || stats.ModelStats[0].MemoryUsage[0].ByteSize == 0 {
		t.Fatal(stats, err)
	}
	if _, err := d.RepositoryModelUnload(ctx, &pb.RepositoryModelUnloadRequest{ModelName: "view"}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ModelInfer(ctx, pixels("view", 1)); status.Code(err) != codes.NotFound {
		t.Errorf("unloaded: %v", err)
	}
	file := func(data []byte) *pb.RepositoryModelLoadRequest {
		return &pb.RepositoryModelLoadRequest{ModelName: "new", Parameters: map[string]*pb.ModelRepositoryParameter{
			"config":   {ParameterChoice: &pb.ModelRepositoryParameter_StringParam{StringParam: "{}"}},
			"file:1/x": {ParameterChoice: &pb.ModelRepositoryParameter_BytesParam{BytesParam: data}}}}
	}
	if _, err := d.RepositoryModelLoad(ctx, file([]byte("x"))); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("broken file: %v", err)
	}
	if _, err := d.RepositoryModelLoad(ctx, file(servetest.Bytes(t, servetest.Adapter(t, 9, adapterfile.Binary, "a", "b")))); err != nil {
		t.Fatal(err)
	}
	for _, model := range []string{"view", "new"} {
		if _, err := d.RepositoryModelLoad(ctx, &pb.RepositoryModelLoadRequest{ModelName: model}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.ModelInfer(ctx, pixels(model, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.RepositoryModelLoad(ctx, &pb.RepositoryModelLoadRequest{ModelName: "nobody"}); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
}

func TestEnterAndIdentity(t *testing.T) {
	type end struct {
		err     error
		adapter string
	}
	ended := make(chan end, 10)
	d := newDoor(t, oip.Limits{}, func(o *Options) {
		o.Enter = func(ctx context.Context, c Call) (Entered, error) {
			if oip.RequestID(ctx) == "" {
				t.Error("no request id")
			}
			if c.Role == oip.Operator {
				return Entered{}, oip.NewFault(oip.Forbidden, "operators only")
			}
			return Entered{Context: ctx, Done: func(err error, adapter string) { ended <- end{err, adapter} }}, nil
		}
	})
	var header metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "abc")
	if _, err := d.ModelInfer(ctx, pixels("view", 1), grpc.Header(&header)); err != nil || !slices.Equal(header.Get("x-request-id"), []string{"abc"}) {
		t.Errorf("header %v, %v", header, err)
	}
	if e := <-ended; e.err != nil || e.adapter != "view" {
		t.Errorf("%+v", e)
	}
	if _, err := d.RepositoryModelUnload(ctx, &pb.RepositoryModelUnloadRequest{ModelName: "view"}); status.Code(err) != codes.PermissionDenied {
		t.Error(err)
	}
	if _, err := d.ModelInfer(ctx, pixels("nobody", 1)); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
	if e := <-ended; status.Code(e.err) != codes.NotFound {
		t.Errorf("%+v", e)
	}
	if err := d.conn.Invoke(ctx, "/inference.GRPCInferenceService/Nothing", &pb.ServerLiveRequest{}, &pb.ServerLiveResponse{}); status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
	if e := <-ended; status.Code(e.err) != codes.Unimplemented {
		t.Errorf("%+v", e)
	}
}

// Two bytes of a message can stand for hundreds of memory: they are refused before they are decoded, compressed or not.
func TestMessagesOfManyParts(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	for name, data := range map[string][]byte{
		"empty inputs":     bytes.Repeat([]byte{0x2a, 0}, 4<<20),
		"empty parameters": bytes.Repeat([]byte{0x22, 0}, 4<<20),
		"a shape":          append(append([]byte{0x2a}, varints(0x1a, 8<<20)...), bytes.Repeat([]byte{1}, 8<<20)...),
		"unknown fields":   bytes.Repeat([]byte{0xa2, 0x3f, 0}, 3<<20),
		"a group":          append(bytes.Repeat([]byte{0xa3, 0x3f}, 1<<20), bytes.Repeat([]byte{0xa4, 0x3f}, 1<<20)...),
		"damaged":          {0x2a, 0x7f, 1},
	} {
		for _, option := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := d.conn.Invoke(t.Context(), pb.GRPCInferenceService_ModelInfer_FullMethodName, data, &pb.ModelInferResponse{}, append(option, grpc.ForceCodec(rawCodec{}))...)
			runtime.ReadMemStats(&after)
			if status.Code(err) != codes.InvalidArgument {
				t.Errorf("%s: %v", name, err)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 120<<20 { // with the client's own, which are many copies
				t.Errorf("%s: %d bytes for a message of %d", name, took, len(data))
			}
		}
	}
	if _, err := d.ModelInfer(t.Context(), pixels("view", 1), grpc.UseCompressor(gzip.Name)); err != nil {
		t.Errorf("an ordinary one, compressed: %v", err)
	}
}

// varints is a field of so many bytes inside a message.
func varints(tag byte, n int) []byte {
	head := binary.AppendUvarint([]byte{tag}, uint64(n))
	return append(binary.AppendUvarint(nil, uint64(n+len(head))), head...)
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

// Marshal returns the bytes.
func (rawCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

// Unmarshal reads a message.
func (rawCodec) Unmarshal(data []byte, v any) error { return proto.Unmarshal(data, v.(proto.Message)) }

// Name is that of the usual codec.
func (rawCodec) Name() string { return "proto" }

func FuzzParts(f *testing.F) {
	for _, r := range []proto.Message{pixels("view", 1), &pb.ModelInferRequest{Inputs: []*pb.ModelInferRequest_InferInputTensor{{Shape: []int64{1, 2},
		Parameters: map[string]*pb.InferParameter{"a": text("b")}, Contents: &pb.InferTensorContents{BytesContents: [][]byte{{1}}, BoolContents: []bool{true}}}}}} {
		data, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(bytes.Repeat([]byte{0x2a, 0}, 100))
	input := (&pb.ModelInferRequest{}).ProtoReflect().Descriptor()
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkParts(data, input) != nil {
			return
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := proto.Unmarshal(data, &pb.ModelInferRequest{})
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err == nil && took > uint64(16*len(data)+1<<20) {
			t.Fatalf("%d bytes for a message of %d", took, len(data))
		}
	})
}

func TestRolesAreOfEveryMethod(t *testing.T) {
	roles, n := Roles(), 0
	for name := range New(Options{Service: oip.NewService(servetest.Engine(t, serve.Config{}), oip.Options{})}).GetServiceInfo() {
		for _, m := range pb.GRPCInferenceService_ServiceDesc.Methods {
			if name == pb.GRPCInferenceService_ServiceDesc.ServiceName {
				n++
				if _, ok := roles["/"+name+"/"+m.MethodName]; !ok {
					t.Errorf("%s has no role", m.MethodName)
				}
			}
		}
	}
	if n != 19 || roles[pb.GRPCInferenceService_ModelStreamInfer_FullMethodName] != oip.Viewer ||
		roles[pb.GRPCInferenceService_RepositoryModelLoad_FullMethodName] != oip.Operator {
		t.Errorf("%d methods, roles %v", n, roles)
	}
}

// The numbers are the protocol's: a request as its bytes are defined, written by hand.
func TestWireFormat(t *testing.T) {
	b := []byte{
		0x0a, 1, 'm', 0x12, 1, 'v', 0x1a, 1, 'i', // model_name, model_version, id
		0x2a, 13, 0x0a, 1, 'x', 0x12, 4, 'F', 'P', '3', '2', 0x1a, 2, 1, 3, // inputs: name, datatype, shape (packed)
		0x32, 3, 0x0a, 1, 'o', // outputs: name
		0x3a, 2, 9, 8, // raw_input_contents
	}
	var r pb.ModelInferRequest
	if err := proto.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	in := r.Inputs[0]
	if r.ModelName != "m" || r.ModelVersion != "v" || r.Id != "i" || in.Name != "x" || in.Datatype != "FP32" || !slices.Equal(in.Shape, []int64{1, 3}) ||
		r.Outputs[0].Name != "o" || !slices.Equal(r.RawInputContents[0], []byte{9, 8}) || len(r.ProtoReflect().GetUnknown()) != 0 {
		t.Errorf("read %v", &r)
	}
	if name := r.ProtoReflect().Descriptor().FullName(); name != "inference.ModelInferRequest" {
		t.Errorf("message %s", name)
	}
}

func FuzzInfer(f *testing.F) {
	add := func(r *pb.ModelInferRequest) {
		b, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	add(pixels("view", 1))
	add(&pb.ModelInferRequest{Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "image", Datatype: "BYTES", Shape: []int64{2}}}, RawInputContents: [][]byte{{1, 0, 0, 0, 'x', 0, 0, 0, 0}},
		Outputs: []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "label", Parameters: map[string]*pb.InferParameter{"classification": {ParameterChoice: &pb.InferParameter_Uint64Param{Uint64Param: 1 << 63}}}}}})
	add(&pb.ModelInferRequest{Inputs: []*pb.ModelInferRequest_InferInputTensor{{Datatype: "FP32", Shape: []int64{1 << 62, 1 << 62}, Contents: &pb.InferTensorContents{Fp32Contents: []float32{1}}}}})
	codec := oip.NewCodec(oip.Limits{Rows: 2}, 8)
	f.Fuzz(func(t *testing.T, b []byte) {
		var r pb.ModelInferRequest
		if proto.Unmarshal(b, &r) != nil {
			return
		}
		got, err := parseInfer(codec, &r)
		if err != nil {
			if oip.FaultOf(err).Kind == oip.Internal {
				t.Fatalf("internal: %v", err)
			}
			return
		}
		for _, in := range got.Inputs {
			n := int64(1)
			for _, d := range in.Shape {
				n *= d
			}
			if found := int64(len(in.Floats) + len(in.Bytes)); found != n || found > 2*192 {
				t.Fatalf("%v: %d elements", in.Shape, found)
			}
		}
	})
}
