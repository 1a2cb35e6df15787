package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"melo.example/melo/serve"
	"melo.example/melo/serve/oip"
	"melo.example/melo/serve/servetest"
)

func servetestInput() serve.Input { return serve.Input{Tensor: servetest.Tensor(1)} }

// dial opens a connection and sends what is given.
func (d *door) dial(text string) net.Conn {
	d.t.Helper()
	var dialer net.Dialer
	c, err := dialer.DialContext(d.t.Context(), "tcp", d.Listener.Addr().String())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	if _, err := c.Write([]byte(text)); err != nil {
		d.t.Fatal(err)
	}
	return c
}

func TestSlowBodyEnds(t *testing.T) {
	d := newDoor(t, oip.Limits{}, func(o *Options) { o.Body = 50 * time.Millisecond })
	for _, request := range []string{
		"POST /v2/models/view/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
		"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 100\r\n\r\n--b\r\n",
	} {
		r, err := http.ReadResponse(bufio.NewReader(d.dial(request)), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%.30s: status %d, want %d", request, r.StatusCode, http.StatusRequestTimeout)
		}
	}
	// A client that was quick may use its connection for longer than that.
	c := d.dial("")
	reader := bufio.NewReader(c)
	for range 3 {
		body := inferBody(t, servetest.Tensor(1), 1)
		fmt.Fprintf(c, "POST /v2/models/view/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		r, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != 200 {
			t.Errorf("status %d", r.StatusCode)
		}
		if _, err := reader.Discard(int(r.ContentLength)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(80 * time.Millisecond)
	}
}

// A client that asks and does not read what it is told loses its connection.
func TestSlowReaderEnds(t *testing.T) {
	d := newDoor(t, oip.Limits{}, func(o *Options) { o.Write = 50 * time.Millisecond })
	c := d.dial("")
	go func() { // more answers than buffers hold
		for range 5000 {
			if _, err := io.WriteString(c, "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				return
			}
		}
	}()
	time.Sleep(300 * time.Millisecond)
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is still there after %d bytes", n)
	}
}

func TestBodiesAreBoundedTogether(t *testing.T) {
	d := newDoor(t, oip.Limits{Body: 1000, Memory: 8000})
	// One client sends most of what there is and stops.
	d.dial("POST /v2/models/view/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n" + strings.Repeat(" ", 800))
	deadline := time.Now().Add(10 * time.Second)
	for {
		r, body := d.do(post, "/v2/models/view/infer", nil, []byte(strings.Repeat(" ", 300)))
		if r.StatusCode == http.StatusTooManyRequests {
			if r.Header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("status %d: %s, want %d", r.StatusCode, body, http.StatusTooManyRequests)
		}
	}
}

func TestBodiesAreGivenBack(t *testing.T) {
	limits := oip.Limits{Body: 20000, Memory: 160000}
	d := newDoor(t, limits)
	for range 10 { // each takes more than a tenth of the room
		d.infer("/v2/models/view/infer", nil, inferBody(t, servetest.Tensor(1), 1))
		d.do(post, "/v2/models/view/infer", nil, make([]byte, 19000))
		d.sendForm("image", servetest.PNG(t, 1, 40, 40), "adapter", "view")
		d.do(post, "/v1/predict", map[string]string{"Content-Type": "multipart/form-data; boundary=b"}, make([]byte, 19000))
	}
}

func TestClientThatLeavesCancels(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.service().Infer(ctx, &oip.InferRequest{Model: "view", Inputs: []oip.Tensor{{Name: oip.InputImage, Datatype: oip.BYTES, Shape: []int64{1}, Bytes: [][]byte{servetest.PNG(t, 1, 9, 9)}}}})
	if f := oip.FaultOf(err); f.Kind != oip.Canceled {
		t.Errorf("kind %v: %v", f.Kind, err)
	}
}

func (d *door) service() *oip.Service { return oip.NewService(d.engine, oip.Options{}) }
