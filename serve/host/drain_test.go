package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"melo.example/melo/serve/access"
	pb "melo.example/melo/serve/openinference"
	"melo.example/melo/serve/servetest"
)

// Readiness goes first, while requests are still answered; then what was let in is answered, on both doors.
func TestDrain(t *testing.T) {
	s := newSite(t, func(c *Config) { c.DrainDelay = time.Second })
	var answered, refused, wrong atomic.Int64
	var group sync.WaitGroup
	gone := make(chan struct{})
	grpcClient := pb.NewGRPCInferenceServiceClient(s.dial())
	body, media := form(t, "lesion", "x.png")
	for range 4 {
		group.Go(func() {
			// A connection a request, so that one which is refused was not let in.
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
			for {
				r, _ := http.NewRequest("POST", "http://"+s.Address("http")+"/v1/predict", bytes.NewReader(body))
				r.Header.Set("Content-Type", media)
				r.Header.Set("Authorization", "Bearer "+s.tokens[access.Viewer])
				response, err := client.Do(r)
				if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
					refused.Add(1)
					return
				}
				if err != nil {
					t.Error(err)
					wrong.Add(1)
					return
				}
				text, err := io.ReadAll(response.Body)
				response.Body.Close()
				if err != nil || response.StatusCode != http.StatusOK || !bytes.HasPrefix(text, []byte(`{"results"`)) {
					t.Errorf("status %d, %v: %s", response.StatusCode, err, text)
					wrong.Add(1)
					return
				}
				answered.Add(1)
			}
		})
		group.Go(func() {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.tokens[access.Viewer])
			q := &pb.ModelInferRequest{ModelName: "view", Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "image", Datatype: "BYTES", Shape: []int64{1},
				Contents: &pb.InferTensorContents{BytesContents: [][]byte{servetest.PNG(t, 1, 20, 20)}}}}}
			for {
				_, err := grpcClient.ModelInfer(ctx, q)
				if status.Code(err) == codes.Unavailable {
					refused.Add(1)
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				answered.Add(1)
			}
		})
	}
	eventually(t, func() bool { return answered.Load() > 50 })
	s.stop()
	sawNotReady := false
	go func() {
		defer close(gone)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		for {
			response, err := client.Get("http://" + s.Address("http") + "/readyz")
			if err != nil {
				return
			}
			response.Body.Close()
			sawNotReady = sawNotReady || response.StatusCode == http.StatusServiceUnavailable && response.Close
		}
	}()
	err := s.end()
	if err != nil {
		t.Errorf("Serve: %v", err)
	}
	group.Wait()
	<-gone
	if !sawNotReady {
		t.Error("the server was never up and not ready, or kept connections")
	}
	if refused.Load() != 8 || wrong.Load() != 0 {
		t.Errorf("%d answered, %d of 8 clients refused at the end, %d wrong", answered.Load(), refused.Load(), wrong.Load())
	}
	written := int64(0)
	for _, e := range s.entries() {
		if e.Action == "predict" && e.Outcome == "ok" {
			written++
		}
	}
	if written != answered.Load() {
		t.Errorf("%d answered, %d in the audit log", answered.Load(), written)
	}
}

// A client that does not go on sending does not keep the server from stopping.
func TestDrainEndsSlowBodies(t *testing.T) {
	s := newSite(t, func(c *Config) { c.DrainTimeout = 20 * time.Second })
	conn, err := net.Dial("tcp", s.Address("http"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v2/models/lesion/infer HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Length: 1000\r\n\r\n{", s.tokens[access.Viewer])
	eventually(t, func() bool { return strings.Contains(metricsOf(s), `melo_calls_in_flight{protocol="http"} 2`) })
	if err := s.end(); err != nil {
		t.Error(err)
	}
	if text, _ := io.ReadAll(conn); !bytes.Contains(text, []byte(" 503 ")) {
		t.Errorf("answer %s", text)
	}
}

// What does not end in time is ended.
func TestDrainTimeout(t *testing.T) {
	s := newSite(t, func(c *Config) { c.DrainTimeout = 300 * time.Millisecond })
	conn, err := net.Dial("tcp", s.Address("http"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v2/models/lesion/infer HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Length: 1000\r\n\r\n{", s.tokens[access.Viewer])
	eventually(t, func() bool { return strings.Contains(metricsOf(s), `melo_calls_in_flight{protocol="http"} 2`) })
	if err := s.end(); err == nil || !strings.Contains(err.Error(), "under way") {
		t.Errorf("got %v", err)
	}
}

func metricsOf(s *site) string {
	_, text := s.do(access.Viewer, "GET", "/metrics", nil)
	return text
}

// Clients that hold connections, silent or sending byte by byte, cannot keep others out.
func TestConnectionsMakeRoom(t *testing.T) {
	s := newSite(t, func(c *Config) { c.MaxConnections = 16 })
	var held []net.Conn
	for i := range 64 {
		conn, err := net.Dial("tcp", s.Address("http"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 0 {
			fmt.Fprintf(conn, "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
		}
		held = append(held, conn)
	}
	for range 20 {
		for _, c := range held {
			c.Write([]byte("x"))
		}
		if response, text := s.predict(access.Viewer, "lesion"); response.StatusCode != http.StatusOK {
			t.Fatalf("status %d: %s", response.StatusCode, text)
		}
		s.client.CloseIdleConnections()
	}
	open, closed, turned := s.conns["http"].counts()
	if open > 16 || closed == 0 || turned != 0 {
		t.Errorf("%d open, %d closed, %d turned away", open, closed, turned)
	}
}

// A connection that is being answered is not closed for others.
func TestBusyConnectionsStay(t *testing.T) {
	c := newConns(2)
	now := time.Now()
	c.now = func() time.Time { now = now.Add(time.Second); return now }
	pipe := func(name string) net.Conn {
		a, b := net.Pipe()
		t.Cleanup(func() { a.Close(); b.Close() })
		return &namedConn{a, name}
	}
	a, b := c.admit(pipe("a")), c.admit(pipe("b"))
	leaveA, leaveB := c.enter("a"), c.enter("b")
	if c.admit(pipe("c")) != nil {
		t.Error("there was room for a third")
	}
	leaveB()
	d := c.admit(pipe("d"))
	if d == nil || c.open["b"] != nil || c.open["a"] != a {
		t.Errorf("%v", c.open)
	}
	b.Close() // closed already; counts nothing
	leaveA()
	a.Close()
	a.Close()
	c.enter("nobody")()
	if open, closed, turned := c.counts(); open != 1 || closed != 1 || turned != 1 {
		t.Errorf("%d open, %d closed, %d turned away", open, closed, turned)
	}
}

type namedConn struct {
	net.Conn
	name string
}

func (n *namedConn) RemoteAddr() net.Addr { return n }

// Network is part of net.Addr.
func (n *namedConn) Network() string { return "test" }

func (n *namedConn) String() string { return n.name }
