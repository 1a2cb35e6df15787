package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"melo.example/melo/serve/access"
	"melo.example/melo/serve/oip"
)

func TestCallsAreBounded(t *testing.T) {
	c := newCalls(64)
	var leave []func()
	enter := func(address string, need access.Role) bool {
		l, err := c.enter(address, need)
		var fault *oip.Fault
		if err != nil && (!errors.As(err, &fault) || fault.Kind != oip.Overloaded) {
			t.Errorf("got %v", err)
		}
		leave = append(leave, l)
		return err == nil
	}
	count := func(address string, need access.Role) (n int) {
		for enter(address, need) {
			n++
		}
		return n
	}
	for i := range 4 {
		if n := count(fmt.Sprint("address ", i), access.Public); n != 4 {
			t.Errorf("address %d has %d public calls, expected 4", i, n)
		}
	}
	if n := count("another", access.Public); n != 0 {
		t.Errorf("%d public calls beyond their share", n)
	}
	if n := count("address 0", access.Viewer); n != 48 {
		t.Errorf("%d other calls, expected 48", n)
	}
	for _, l := range leave {
		l()
		l() // once is enough
	}
	if c.all != 0 || c.public != 0 || len(c.addresses) != 0 {
		t.Errorf("left %+v", c)
	}
}

// TestWatchersLeaveRoom: streams of health, which everybody may open, keep nobody from asking.
func TestWatchersLeaveRoom(t *testing.T) {
	s := newSite(t, func(c *Config) { c.MaxConnections = 64 })
	client := grpc_health_v1.NewHealthClient(s.dial())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	taken, refused := 0, 0
	for range 10 {
		w, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err == nil {
			_, err = w.Recv()
		}
		switch status.Code(err) {
		case codes.OK:
			taken++
		case codes.ResourceExhausted:
			refused++
		default:
			t.Error(err)
		}
	}
	if taken != 64/addressShare || refused != 10-taken {
		t.Errorf("%d watch, %d were refused", taken, refused)
	}
	body, media := form(t, "view", "x.png")
	if response, text := s.do(access.Viewer, "POST", "/v1/predict", bytes.NewReader(body), "Content-Type", media); response.StatusCode != http.StatusOK {
		t.Errorf("a question is answered %d %s", response.StatusCode, text)
	}
	cancel()
	deadline := time.Now().Add(10 * time.Second)
	for { // the places are free again
		_, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
