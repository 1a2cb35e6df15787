package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// OIDCConfig says whose tokens are taken, and what they mean.
type OIDCConfig struct {
	Issuer    string          // URL, whose /.well-known/openid-configuration says where the keys are
	Audience  string          // that a token must be meant for
	NameClaim string          // what a client is called; empty: "sub"
	RoleClaim string          // a string or a list of strings, "a.b" for nested ones; empty: "roles"
	Roles     map[string]Role // by value of that claim; the highest counts. Empty: viewer, operator, admin mean themselves
	Client    *http.Client    // nil: one with a timeout
	Now       func() time.Time
}

// OIDC checks the tokens of an OpenID Connect provider. The provider is asked when the first token comes, and again
// when there was no answer: a server can start before it.
type OIDC struct {
	config OIDCConfig

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	failed   time.Time
	err      error
}

// oidcTimeout bounds one exchange with the provider, and retryAfter is the pause after one that failed.
const (
	oidcTimeout = 10 * time.Second
	retryAfter  = 5 * time.Second
)

// NewOIDC returns a checker of tokens; it asks nobody yet.
func NewOIDC(c OIDCConfig) (*OIDC, error) {
	if !strings.HasPrefix(c.Issuer, "https://") && !strings.HasPrefix(c.Issuer, "http://") {
		return nil, fmt.Errorf("access: OIDC issuer %.100q, expected an https address", c.Issuer)
	}
	if c.Audience == "" {
		return nil, errors.New("access: OIDC needs an audience: a token for somebody else must not open this server")
	}
	if c.NameClaim == "" {
		c.NameClaim = "sub"
	}
	if c.RoleClaim == "" {
		c.RoleClaim = "roles"
	}
	if len(c.Roles) == 0 {
		c.Roles = map[string]Role{"viewer": Viewer, "operator": Operator, "admin": Admin}
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: oidcTimeout}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &OIDC{config: c}, nil
}

// ready returns the verifier, asking the provider about itself if that has not been done.
func (o *OIDC) ready() (*oidc.IDTokenVerifier, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.verifier != nil {
		return o.verifier, nil
	}
	if o.err != nil && time.Since(o.failed) < retryAfter {
		return nil, o.err
	}
	// The keys are fetched later with this context, so it is not a request's.
	provider, err := oidc.NewProvider(oidc.ClientContext(context.Background(), o.config.Client), o.config.Issuer)
	if err != nil {
		o.err, o.failed = fmt.Errorf("%w: %v", ErrUnavailable, err), time.Now()
		return nil, o.err
	}
	o.verifier = provider.Verifier(&oidc.Config{ClientID: o.config.Audience, Now: o.config.Now})
	return o.verifier, nil
}

// verify returns the principal behind a token.
func (o *OIDC) verify(ctx context.Context, raw string) (Principal, error) {
	verifier, err := o.ready()
	if err != nil {
		return Principal{}, err
	}
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		// What is wrong with a token is of help to its owner, and holds none of it.
		if strings.Contains(err.Error(), "fetching keys") {
			return Principal{}, fmt.Errorf("%w: its keys could not be fetched", ErrUnavailable)
		}
		return Principal{}, fmt.Errorf("%w: %.200s", ErrUnauthenticated, strings.TrimPrefix(err.Error(), "oidc: "))
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return Principal{}, fmt.Errorf("%w: the token's claims cannot be read", ErrUnauthenticated)
	}
	name, _ := claim(claims, o.config.NameClaim).(string)
	name = strings.ReplaceAll(name, " ", "_")
	if CheckName(name) != nil {
		return Principal{}, fmt.Errorf("%w: the token's claim %q is no name", ErrUnauthenticated, o.config.NameClaim)
	}
	return Principal{Name: name, Role: o.role(claims), Via: "oidc"}, nil
}

// role is the highest that the claim gives; without one, Public: known, but allowed nothing.
func (o *OIDC) role(claims map[string]any) Role {
	best := Public
	add := func(v any) {
		if s, ok := v.(string); ok {
			best = max(best, o.config.Roles[s])
		}
	}
	switch v := claim(claims, o.config.RoleClaim).(type) {
	case []any:
		for _, x := range v {
			add(x)
		}
	case string:
		for _, x := range strings.Fields(v) { // "scope" is a list of words
			add(x)
		}
	}
	return best
}

// claim follows a path of dots, unless the whole is a name itself (a namespaced claim is an address).
func claim(claims map[string]any, path string) any {
	if v, ok := claims[path]; ok {
		return v
	}
	first, rest, nested := strings.Cut(path, ".")
	if inner, ok := claims[first].(map[string]any); ok && nested {
		return claim(inner, rest)
	}
	return nil
}
