package host

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"melo.example/melo/serve/access"
	pb "melo.example/melo/serve/openinference"
	"melo.example/melo/serve/servetest"
)

// h2 returns a client of the gRPC door that sends what it is told.
func (s *site) h2() *http.Client {
	t := &http.Transport{Protocols: &http.Protocols{}}
	t.Protocols.SetUnencryptedHTTP2(true)
	s.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: time.Minute}
}

// counted is an endless body that tells how much was taken of it.
type counted struct{ n atomic.Int64 }

// Read gives zeros.
func (c *counted) Read(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// Who does not say who it is has nothing of its call read, however long it is, on either door.
func TestNothingIsReadOfStrangers(t *testing.T) {
	s := newSite(t)
	for name, url := range map[string]string{
		"grpc": "http://" + s.Address("grpc") + pb.GRPCInferenceService_ModelInfer_FullMethodName,
		"http": "http://" + s.Address("http") + "/v2/models/view/infer",
	} {
		body := &counted{}
		r, _ := http.NewRequest("POST", url, io.NopCloser(body))
		r.Header.Set("Content-Type", "application/grpc")
		r.ContentLength = -1
		client := s.client
		if name == "grpc" {
			client = s.h2()
		}
		response, err := client.Do(r)
		if err == nil {
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if name == "grpc" && response.Trailer.Get("Grpc-Status") != fmt.Sprint(int(codes.Unauthenticated)) || name == "http" && response.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: %v %v", name, response.Status, response.Trailer)
			}
		}
		if n := body.n.Load(); n > 8<<20 { // windows and buffers of two ends
			t.Errorf("%s: %d bytes were taken", name, n)
		}
		if now, peak := s.service.Memory().Used(); now != 0 || peak != 0 {
			t.Errorf("%s: memory %d, at most %d", name, now, peak)
		}
	}
}

// A message that stops one byte short, or in its head, holds nothing for ever, and does not keep the server from stopping.
func TestMessagesThatStopShort(t *testing.T) {
	s := newSite(t, func(c *Config) { c.DrainTimeout = 20 * time.Second })
	client := s.h2()
	frame := append([]byte{0, 0, 0, 4, 0}, make([]byte, 1023)...) // says 1024
	var bodies []*io.PipeWriter
	status := make(chan string, 10)
	for _, sent := range [][]byte{frame, frame[:3], {}} {
		for _, method := range []string{pb.GRPCInferenceService_ModelInfer_FullMethodName, pb.GRPCInferenceService_ModelStreamInfer_FullMethodName} {
			in, out := io.Pipe()
			bodies = append(bodies, out)
			r, _ := http.NewRequest("POST", "http://"+s.Address("grpc")+method, in)
			r.Header.Set("Content-Type", "application/grpc")
			r.Header.Set("Authorization", "Bearer "+s.tokens[access.Viewer])
			go func() {
				response, err := client.Do(r)
				if err != nil {
					status <- err.Error()
					return
				}
				io.Copy(io.Discard, response.Body)
				response.Body.Close()
				status <- response.Trailer.Get("Grpc-Status")
			}()
			out.Write(sent)
		}
	}
	eventually(t, func() bool { return strings.Contains(metricsOf(s), `melo_calls_in_flight{protocol="grpc"} 6`) })
	if used, _ := s.service.Memory().Used(); used != 2*3*1023 {
		t.Errorf("%d bytes are counted", used)
	}
	began := time.Now()
	if err := s.end(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("stopping took %v", took)
	}
	for range bodies {
		if got := <-status; got != fmt.Sprint(int(codes.Unavailable)) {
			t.Errorf("status %s", got)
		}
	}
	for _, b := range bodies {
		b.Close()
	}
	if used, _ := s.service.Memory().Used(); used != 0 {
		t.Errorf("%d bytes are still counted", used)
	}
}

// Every message of a stream is a request: it is counted, limited, written down, and refused once its token is gone.
func TestMessagesOfStreams(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Guard.Defaults = access.Limits{Rate: 0.001, Burst: 4, Body: 4096} })
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.tokens[access.Viewer])
	ask := func(image []byte) *pb.ModelInferRequest {
		return &pb.ModelInferRequest{ModelName: "lesion", Id: "7", Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "image", Datatype: "BYTES", Shape: []int64{1},
			Contents: &pb.InferTensorContents{BytesContents: [][]byte{image}}}}}
	}
	client := pb.NewGRPCInferenceServiceClient(s.dial())
	stream, err := client.ModelStreamInfer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 { // one was for opening it
		if err := stream.Send(ask(servetest.PNG(t, 1, 20, 20))); err != nil {
			t.Fatal(err)
		}
		got, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if limited := strings.Contains(got.ErrorMessage, "limit"); limited != (i >= 3) || got.InferResponse.Id != "7" {
			t.Errorf("message %d: %q", i, got.ErrorMessage)
		}
	}
	text := metricsOf2(s)
	if !strings.Contains(text, `melo_calls_total{code="OK",protocol="grpc",route="ModelStreamInfer"} 3`) ||
		!strings.Contains(text, `melo_calls_total{code="ResourceExhausted",protocol="grpc",route="ModelStreamInfer"}`) {
		t.Error(text)
	}
	if err := stream.Send(ask(make([]byte, 5000))); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "4096") {
		t.Errorf("above the client's size: %v", err)
	}

	ctx = metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.tokens[access.Operator])
	if stream, err = client.ModelStreamInfer(ctx); err != nil {
		t.Fatal(err)
	}
	stream.Send(ask(servetest.PNG(t, 1, 20, 20)))
	if got, err := stream.Recv(); err != nil || got.ErrorMessage != "" {
		t.Fatal(got, err)
	}
	if err := os.WriteFile(s.tokensAt, []byte("# nobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // the file is looked at once a second
	stream.Send(ask(servetest.PNG(t, 1, 20, 20)))
	if _, err := stream.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a token: %v", err)
	}
}

// metricsOf2 is metricsOf for a site whose clients are limited.
func metricsOf2(s *site) string {
	_, text := s.do(access.Admin, "GET", "/metrics", nil)
	return text
}

// Compressed messages count by what comes out of them.
func TestBombs(t *testing.T) {
	s := newSite(t)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 70 {
		z.Write(make([]byte, 1<<20))
	}
	z.Close()
	for name, r := range map[string]*http.Request{
		"grpc": request("http://"+s.Address("grpc")+pb.GRPCInferenceService_ModelInfer_FullMethodName,
			append(binary.BigEndian.AppendUint32([]byte{1}, uint32(bomb.Len())), bomb.Bytes()...), "Content-Type", "application/grpc", "Grpc-Encoding", "gzip"),
		"http": request("http://"+s.Address("http")+"/v2/models/view/infer", bomb.Bytes(), "Content-Encoding", "gzip"),
	} {
		r.Header.Set("Authorization", "Bearer "+s.tokens[access.Viewer])
		client := s.client
		if name == "grpc" {
			client = s.h2()
		}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if name == "grpc" && response.Trailer.Get("Grpc-Status") != fmt.Sprint(int(codes.InvalidArgument)) || name == "http" && response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %v %v", name, response.Status, response.Trailer)
		}
	}
	if used, _ := s.service.Memory().Used(); used != 0 {
		t.Errorf("%d bytes are still counted", used)
	}
}

func request(url string, body []byte, header ...string) *http.Request {
	r, _ := http.NewRequest("POST", url, bytes.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}
