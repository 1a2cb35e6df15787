package access

import (
	"context"
	"fmt"
)

// Role is what a client may do. It includes the permissions of lower roles.
type Role int

// The roles. Public is the role of clients without credentials: they may only ask whether the server is alive.
const (
	Public   Role = iota
	Viewer        // predicts, and sees adapters and their cards
	Operator      // loads, unloads, pins and publishes adapters
	Admin         // everything else: detailed metrics, settings of names
)

var roleNames = [...]string{"public", "viewer", "operator", "admin"}

// String returns the name of the role.
func (r Role) String() string {
	if r < 0 || int(r) >= len(roleNames) {
		return fmt.Sprintf("role %d", int(r))
	}
	return roleNames[r]
}

// ParseRole parses a role that can be given to a client: viewer, operator or admin.
func ParseRole(s string) (Role, error) {
	for r := Viewer; r <= Admin; r++ {
		if roleNames[r] == s {
			return r, nil
		}
	}
	return Public, fmt.Errorf("role %.40q, expected viewer, operator or admin", s)
}

// Principal is an identified client.
type Principal struct {
	Name   string // for the audit log and limits; unique within Via
	Role   Role
	Via    string // how it was authenticated: token, oidc, certificate, address
	Limits Limits // of this client; zero fields mean the server's defaults
	// Adapters are the adapters that it may use; nil: all.
	Adapters *Names
}

// limitTo lets a viewer know of these adapters alone. Who may change adapters sees them all.
func (p *Principal) limitTo(names *Names) {
	if p.Role <= Viewer {
		p.Adapters = names
	}
}

type principalKey struct{}

// With returns a context with the principal of a request.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// From returns the principal of a request, or Public without a name if there is none.
func From(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}
