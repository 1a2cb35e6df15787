package oip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"melo.example/melo/imaging"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve"
	"melo.example/melo/serve/servetest"
)

func TestFaultOf(t *testing.T) {
	broken := &serve.BrokenError{Name: "x", Path: "/secret/x.safetensors", Err: errors.New("adapterfile: /secret/x.safetensors: bad\nline")}
	for _, c := range []struct {
		err  error
		kind Kind
		says string
	}{
		{&serve.UnknownError{Name: "x"}, NotFound, "unknown adapter"},
		{broken, Refused, "adapterfile: x.safetensors: bad line"},
		{&serve.OverloadError{RetryAfter: time.Second}, Overloaded, "overloaded"},
		{serve.ErrDraining, Unavailable, "shutting down"},
		{&serve.InputError{Err: errors.New("too long")}, Invalid, "too long"},
		{fmt.Errorf("x: %w", context.Canceled), Canceled, "cancelled"},
		{context.DeadlineExceeded, DeadlineError, "time"},
		{fmt.Errorf("x: %w", imaging.ErrTooLarge), TooLarge, "too large"},
		{errors.New("open /secret/file: permission denied"), Internal, "see the server's log"},
		{fmt.Errorf("y: %w", NewFault(Forbidden, "no")), Forbidden, "no"},
	} {
		f := FaultOf(c.err)
		if f.Kind != c.kind || !strings.Contains(f.Message, c.says) || strings.Contains(f.Message, "secret") || strings.Contains(f.Message, "\n") {
			t.Errorf("%v: %v %q, want %v with %q", c.err, f.Kind, f.Message, c.kind, c.says)
		}
	}
	if f := FaultOf(&serve.OverloadError{RetryAfter: 3 * time.Second}); f.RetryAfter != 3*time.Second {
		t.Errorf("retry after %v", f.RetryAfter)
	}
	if long := FaultOf(&serve.InputError{Err: errors.New(strings.Repeat("ä", 1000))}); len(long.Message) > maxMessage+3 {
		t.Errorf("message of %d bytes", len(long.Message))
	}
}

func TestElements(t *testing.T) {
	for _, c := range []struct {
		shape []int64
		n     int64
		kind  Kind
	}{
		{[]int64{2, 3, 4}, 24, 0},
		{[]int64{100}, 100, 0},
		{[]int64{101}, 0, TooLarge},
		{[]int64{1 << 32, 1 << 32}, 0, TooLarge},
		{[]int64{1 << 62, 1 << 62, 0}, 0, TooLarge},
		{[]int64{0}, 0, Invalid},
		{[]int64{-1, -1}, 0, Invalid},
		{nil, 0, Invalid},
		{make([]int64, 9), 0, Invalid},
	} {
		n, err := elements("x", c.shape, 100)
		if err == nil && n != c.n || err != nil && FaultOf(err).Kind != c.kind {
			t.Errorf("%v: %d, %v", c.shape, n, err)
		}
	}
}

// A picture that has its turn keeps others waiting until it is given back.
func TestDecoderBoundsPixels(t *testing.T) {
	d := NewDecoder(Limits{Pixels: 100, PixelsAtOnce: 150})
	picture := Encoded{"picture", servetest.PNG(t, 1, 10, 10)}
	list, release, err := d.Decode(t.Context(), []Encoded{picture})
	if err != nil || list[0].Err != nil {
		t.Fatal(err, list)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := d.Decode(ctx, []Encoded{picture}); FaultOf(err).Kind != DeadlineError {
		t.Errorf("while the pixels are taken: %v", err)
	}
	release()
	release() // once counts
	list, release, err = d.Decode(t.Context(), []Encoded{picture, {"other", []byte("x")}})
	if err != nil || list[0].Err != nil || FaultOf(list[1].Err).Kind != Invalid {
		t.Fatal(err, list)
	}
	release()
	if _, _, err := d.Decode(t.Context(), []Encoded{picture, picture}); FaultOf(err).Kind != TooLarge {
		t.Errorf("more than there is: %v", err)
	}
	list, release, err = d.Decode(t.Context(), []Encoded{{"large", servetest.PNG(t, 1, 11, 10)}})
	if err != nil || FaultOf(list[0].Err).Kind != TooLarge {
		t.Errorf("a large one: %v, %v", err, list)
	}
	release()
}

func TestBodyCounts(t *testing.T) {
	s := NewService(servetest.Engine(t, serve.Config{}), Options{Limits: Limits{Body: 10, Bodies: 15}})
	a := s.Body(strings.NewReader("0123456789"))
	if got, err := io.ReadAll(a); err != nil || len(got) != 10 {
		t.Fatalf("%q, %v", got, err)
	}
	b := s.Body(strings.NewReader("0123456789"))
	if _, err := io.ReadAll(b); FaultOf(err).Kind != Overloaded {
		t.Errorf("beside another: %v", err)
	}
	if _, err := s.Hold(10); FaultOf(err).Kind != Overloaded {
		t.Errorf("held beside another: %v", err)
	}
	a.Release()
	b.Release()
	release, err := s.Hold(15)
	if err != nil {
		t.Fatal(err)
	}
	release()
	if used := s.bodies.used.Load(); used != 0 {
		t.Errorf("%d bytes are still counted", used)
	}
	long := s.Body(bytes.NewReader(make([]byte, 11)))
	if _, err := io.ReadAll(long); FaultOf(err).Kind != TooLarge {
		t.Errorf("a long one: %v", err)
	}
	long.Release()
	if used := s.bodies.used.Load(); used != 0 {
		t.Errorf("%d bytes are still counted", used)
	}
}

// The largest values come first, and of equal ones the first.
func TestClasses(t *testing.T) {
	got := classes([]float32{1.5, 3, -0.25, 3}, []string{"a", "b", "c", "d"}, 3)
	want := [][]byte{[]byte("3.000000:1:b"), []byte("3.000000:3:d"), []byte("1.500000:0:a")}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%s, want %s", got, want)
	}
}

// An adapter that is replaced between two rows' look-ups must not split a request: rows are of one version, also while
// versions change all the time.
func TestRowsAreOfOneVersion(t *testing.T) {
	dir := servetest.Folder(t)
	e := servetest.Engine(t, serve.Config{Adapters: dir})
	s := NewService(e, Options{})
	files := [][]byte{
		servetest.Bytes(t, servetest.Adapter(t, 21, adapterfile.Multiclass, "a", "b")),
		servetest.Bytes(t, servetest.Adapter(t, 22, adapterfile.Multiclass, "a", "b")),
	}
	stop := make(chan struct{})
	changed := make(chan error, 1)
	go func() {
		defer close(changed)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := e.Registry().LoadBytes(t.Context(), "view", files[i%2]); err != nil {
				changed <- err
				return
			}
		}
	}()
	x := slices.Concat(servetest.Tensor(1), servetest.Tensor(2), servetest.Tensor(3))
	answered := 0
	for range 50 {
		r, err := s.Infer(t.Context(), &InferRequest{Model: "view", Inputs: []Tensor{{Name: InputPixels, Datatype: FP32, Shape: []int64{3, 3, 8, 8}, Floats: x}}})
		if errors.Is(err, serve.ErrUnknownAdapter) {
			continue // replaced three times in a row
		}
		if err != nil {
			t.Fatal(err)
		}
		answered++
		for _, row := range r.Rows {
			if row.Digest != r.Digest {
				t.Fatalf("rows of %s and %s", row.Digest, r.Digest)
			}
		}
	}
	if answered == 0 {
		t.Error("nothing was answered")
	}
	close(stop)
	if err := <-changed; err != nil {
		t.Error(err)
	}
}
