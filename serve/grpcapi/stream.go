package grpcapi

import (
	"context"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"melo.example/melo/serve/oip"
)

// stream is a call with several messages. Each is admitted, counted, timed and answered like a call of its own.
type stream struct {
	call    *call
	ctx     context.Context // of the call
	limit   int64           // maximum message size of its client in bytes
	current *message        // message being answered; nil: none
}

// message is a message of a stream.
type message struct {
	entered Entered
	body    *oip.Body
	adapter string
	err     error // why it was not answered, while the stream continues
}

type messageKey struct{}

// messageOf returns the stream message that ctx belongs to, or nil.
func messageOf(ctx context.Context) *message {
	m, _ := ctx.Value(messageKey{}).(*message)
	return m
}

// RecvMsg reads the next message.
func (s *stream) RecvMsg(v any) error {
	s.answered(nil)
	data, body, err := s.call.message(s.limit, false)
	if err != nil {
		return err
	}
	c := s.call
	entered, err := c.server.Enter(s.ctx, Call{Method: c.r.URL.Path, Known: true, Role: roleOf(c.r.URL.Path), Request: c.r, Message: true})
	m := &message{entered: entered, body: body}
	if err != nil {
		if kind := oip.FaultOf(err).Kind; kind == oip.Unauthorized || kind == oip.Forbidden {
			body.Release()
			return err // a client that is no longer allowed ends the stream
		}
		m.err, m.entered = err, Entered{Context: s.ctx, Done: func(error, string) {}}
	}
	s.current = m
	if err := decode(data, v.(proto.Message)); err != nil {
		return err
	}
	body.Keep(2 * body.Size())
	if n, ok := v.(named); ok {
		m.adapter = n.GetModelName()
	}
	return nil
}

// answered completes the previous message.
func (s *stream) answered(err error) {
	if m := s.current; m != nil {
		s.current = nil
		m.body.Release()
		if m.err != nil {
			err = s.call.server.status(s.ctx, m.err)
		}
		m.entered.Done(err, m.adapter)
	}
}

// SendMsg writes an answer.
func (s *stream) SendMsg(v any) error { return s.call.send(v) }

// Context returns the context of the message being answered.
func (s *stream) Context() context.Context {
	if s.current != nil {
		return context.WithValue(s.current.entered.Context, messageKey{}, s.current)
	}
	return s.ctx
}

// SetHeader implements grpc.ServerStream; no service here uses it.
func (s *stream) SetHeader(metadata.MD) error { return nil }

// SendHeader implements grpc.ServerStream; no service here uses it.
func (s *stream) SendHeader(metadata.MD) error { return nil }

// SetTrailer implements grpc.ServerStream; no service here uses it.
func (s *stream) SetTrailer(metadata.MD) {}
