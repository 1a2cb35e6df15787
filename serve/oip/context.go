package oip

import (
	"context"
	"crypto/rand"
	"encoding/hex"
)

// Role is the role that a route or a method requires.
type Role string

// The roles. Each includes those before it.
const (
	Public   Role = ""         // anybody: health, documents
	Viewer   Role = "viewer"   // predicts, and lists adapters
	Operator Role = "operator" // publishes, withdraws, pins
	Admin    Role = "admin"    // everything
)

type requestIDKey struct{}

// WithRequestID returns a context with the ID of a request.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the ID of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// maxRequestID limits the length of an ID from a client.
const maxRequestID = 64

// SaneRequestID returns id if it is safe in logs and headers, else a new one.
func SaneRequestID(id string) string {
	if id == "" || len(id) > maxRequestID {
		return newRequestID()
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return newRequestID()
		}
	}
	return id
}

func newRequestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

type clientKey struct{}

// WithClient returns a context with a key that identifies the client of a request, by which memory is shared
// out.
func WithClient(ctx context.Context, client string) context.Context {
	return context.WithValue(ctx, clientKey{}, client)
}

// Client returns the key of the client of a request, or "".
func Client(ctx context.Context) string {
	client, _ := ctx.Value(clientKey{}).(string)
	return client
}

type adaptersKey struct{}

// WithAdapters returns a context whose client may use only some adapters.
func WithAdapters(ctx context.Context, may func(name string) bool) context.Context {
	return context.WithValue(ctx, adaptersKey{}, may)
}

// MaySee reports whether the client of a request may use an adapter, by its name without version. Other
// adapters do not exist for it.
func MaySee(ctx context.Context, name string) bool {
	may, _ := ctx.Value(adaptersKey{}).(func(string) bool)
	return may == nil || may(name)
}
