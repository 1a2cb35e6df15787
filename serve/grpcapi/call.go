package grpcapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"melo.example/melo/serve/oip"
)

// call is a running call.
type call struct {
	server  *Server
	method  method
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController
	headed  bool // the header of the response has been written
}

// ServeHTTP handles a call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case r.ProtoMajor != 2:
		http.Error(w, "gRPC takes HTTP/2", http.StatusHTTPVersionNotSupported)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "gRPC takes POST", http.StatusMethodNotAllowed)
		return
	case media != "application/grpc" && media != "application/grpc+proto":
		http.Error(w, "expected application/grpc", http.StatusUnsupportedMediaType)
		return
	}
	id := oip.SaneRequestID(r.Header.Get(requestIDKey))
	w.Header().Set(requestIDKey, id)
	w.Header().Set("Content-Type", "application/grpc")
	c := &call{server: s, w: w, r: r, control: http.NewResponseController(w)}
	ctx, cancel, err := withTimeout(oip.WithRequestID(r.Context(), id), r.Header.Get("Grpc-Timeout"))
	defer cancel()
	if err == nil {
		err = c.serve(ctx)
	}
	c.finish(err)
}

// withTimeout applies the client's deadline to a context.
func withTimeout(ctx context.Context, header string) (context.Context, context.CancelFunc, error) {
	if header == "" {
		return ctx, func() {}, nil
	}
	units := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}
	number, unit := header[:len(header)-1], units[header[len(header)-1]]
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || unit == 0 || len(number) > 8 {
		return ctx, func() {}, oip.Faultf(oip.Invalid, "grpc-timeout %.20q, expected a number of at most 8 digits and a unit", header)
	}
	const longest = 1000 * time.Hour
	d := longest
	if time.Duration(n) < longest/unit {
		d = time.Duration(n) * unit
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	return ctx, cancel, nil
}

// serve admits the call, reads it and answers it.
func (c *call) serve(ctx context.Context) (err error) {
	name := c.r.URL.Path
	m, known := c.server.methods[name]
	c.method = m
	entered, err := c.server.Enter(ctx, Call{Method: name, Known: known, Role: roleOf(name), Request: c.r, Opening: m.stream != nil})
	if err != nil {
		return err
	}
	adapter := ""
	defer func() {
		if bug := recover(); bug != nil {
			c.server.Log.ErrorContext(ctx, "bug", "request", oip.RequestID(ctx), "panic", bug, "stack", string(debug.Stack()))
			err = oip.NewFault(oip.Internal, "internal error, see the server's log")
		}
		err = c.server.status(ctx, err)
		entered.Done(err, adapter)
	}()
	switch {
	case !known:
		return oip.Faultf(oip.Unsupported, "there is no method %.100q", name)
	case m.stream != nil:
		s := &stream{call: c, ctx: entered.Context, limit: entered.Limit}
		defer func() { s.answered(err) }()
		return m.stream(s)
	}
	data, body, err := c.message(entered.Limit, true)
	if err != nil {
		return err
	}
	defer body.Release()
	answerCtx, cancel := context.WithTimeout(entered.Context, c.server.Request)
	defer cancel()
	answer, err := m.unary(answerCtx, func(v any) error {
		err := decode(data, v.(proto.Message))
		data = nil
		if n, ok := v.(named); ok && err == nil {
			if adapter = n.GetModelName(); entered.Named != nil {
				entered.Named(adapter)
			}
		}
		body.Keep(2 * body.Size())
		return err
	})
	if err != nil {
		return err
	}
	return c.send(answer)
}

// named is a request that names an adapter.
type named interface{ GetModelName() string }

// frame is the length of the prefix of a message: compression flag and length.
const frame = 5

// message reads one message, and checks that decoding it is cheap. With only, there must be exactly one
// message. It returns io.EOF if the client sends no more. The caller must release body.
func (c *call) message(limit int64, only bool) (data []byte, body *oip.Body, err error) {
	var head [frame]byte
	control := c.control.SetReadDeadline
	service, patience, left := c.server.Service, c.server.Body, frame
	if !only {
		idle := service.Idle(control)
		_, err = io.ReadFull(c.r.Body, head[:1])
		idle()
		left--
	}
	if err == nil {
		begun := service.Await(control, patience)
		_, err = io.ReadFull(c.r.Body, head[len(head)-left:])
		begun()
	}
	if err != nil {
		return nil, nil, c.headFault(err, only)
	}
	size := int64(binary.BigEndian.Uint32(head[1:]))
	a := oip.Arrival{Limit: limit, Time: c.server.Body, Deadline: control}
	switch head[0] {
	case 0:
	case 1:
		if a.Encoding = c.r.Header.Get("Grpc-Encoding"); a.Encoding == "" || a.Encoding == "identity" {
			return nil, nil, oip.NewFault(oip.Invalid, "the message is compressed, and grpc-encoding does not say how")
		}
	default:
		return nil, nil, oip.Faultf(oip.Invalid, "a message begins with %d, expected 0 or 1", head[0])
	}
	raw := &io.LimitedReader{R: c.r.Body, N: size}
	if body, err = c.server.Service.Receive(raw, a); err != nil {
		return nil, nil, err
	}
	claim := size
	if a.Encoding != "" {
		claim = -1
	}
	if data, err = body.ReadAll(claim); err == nil && raw.N > 0 {
		err = oip.NewFault(oip.Invalid, "the message ended early")
		if a.Encoding != "" {
			err = oip.NewFault(oip.Invalid, "something follows what is compressed")
		}
	}
	if err == nil {
		err = checkParts(data, c.method.input)
	}
	if err == nil && only {
		err = c.nothingMore()
	}
	if err != nil {
		body.Release()
		return nil, nil, err
	}
	body.Arrived()
	return data, body, nil
}

// nothingMore returns an error if the client sends more than one message.
func (c *call) nothingMore() error {
	n, err := c.r.Body.Read(make([]byte, 1))
	switch {
	case n > 0:
		return oip.NewFault(oip.Invalid, "a second message, expected one")
	case err != nil && err != io.EOF:
		return c.headFault(err, true)
	}
	return nil
}

// headFault returns the error for a missing message.
func (c *call) headFault(err error, expected bool) error {
	switch {
	case errors.Is(err, io.EOF) && !expected:
		return io.EOF
	case errors.Is(err, io.EOF):
		return oip.NewFault(oip.Invalid, "the call has no message")
	case c.r.Context().Err() != nil:
		return c.r.Context().Err()
	case errors.Is(err, os.ErrDeadlineExceeded) && c.server.Service.Stopping():
		f := oip.NewFault(oip.Unavailable, "the server is shutting down")
		f.RetryAfter = time.Second
		return f
	case errors.Is(err, os.ErrDeadlineExceeded):
		return oip.NewFault(oip.Slow, "the message did not arrive in time")
	}
	return oip.NewFault(oip.Invalid, "the message cannot be read")
}

// decode unmarshals a message.
func decode(data []byte, m proto.Message) error {
	if err := proto.Unmarshal(data, m); err != nil {
		return oip.Faultf(oip.Invalid, "the message is no %s", m.ProtoReflect().Descriptor().Name())
	}
	return nil
}

// head writes the header of the response.
func (c *call) head() {
	if !c.headed {
		c.headed = true
		c.w.Header().Set("Grpc-Accept-Encoding", "gzip,deflate,identity")
		c.w.WriteHeader(http.StatusOK)
	}
}

// send writes one message, with a time limit for the client to receive it.
func (c *call) send(v any) error {
	data := make([]byte, frame, frame+proto.Size(v.(proto.Message)))
	data, err := proto.MarshalOptions{}.MarshalAppend(data, v.(proto.Message))
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint32(data[1:], uint32(len(data)-frame))
	_ = c.control.SetWriteDeadline(time.Now().Add(c.server.Write))
	defer func() { _ = c.control.SetWriteDeadline(time.Time{}) }()
	c.head()
	if _, err := io.Copy(c.w, bytes.NewReader(data)); err != nil {
		return err
	}
	return c.control.Flush()
}

// finish writes the status of the call.
func (c *call) finish(err error) {
	s := status.Convert(c.server.status(c.r.Context(), err))
	_ = c.control.SetWriteDeadline(time.Now().Add(c.server.Write))
	c.head()
	h := c.w.Header()
	h.Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(int(s.Code())))
	if s.Message() != "" {
		h.Set(http.TrailerPrefix+"Grpc-Message", escaped(s.Message()))
	}
	if p := s.Proto(); p != nil && len(p.Details) > 0 {
		if details, err := proto.Marshal(p); err == nil {
			h.Set(http.TrailerPrefix+"Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(details))
		}
	}
}

// escaped percent-encodes a message as gRPC requires: bytes other than printable ASCII become %XX.
func escaped(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// status converts an error for the client. An error that is already a status stays unchanged.
func (s *Server) status(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	var fault *oip.Fault
	if st, ok := status.FromError(err); ok && !errors.As(err, &fault) && st.Code() != codes.Unknown {
		return err
	}
	fault = oip.FaultOf(err)
	if fault.Kind == oip.Internal && fault.Cause != nil {
		s.Log.ErrorContext(ctx, "internal error", "request", oip.RequestID(ctx), "error", errors.Unwrap(fault))
	}
	return Status(fault)
}
