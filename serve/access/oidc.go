package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// OIDCConfig says which tokens are accepted, and what they mean.
type OIDCConfig struct {
	Issuer    string          // URL, whose /.well-known/openid-configuration says where the keys are
	Audience  string          // that a token must be meant for
	NameClaim string          // what a client is called; empty: "sub"
	RoleClaim string          // a string or a list of strings, "a.b" for nested ones; empty: "roles"
	Roles     map[string]Role // by value of that claim; the highest counts. Empty: viewer, operator, admin mean themselves
	// AdaptersClaim has the adapters that a viewer may know of: a string, or a list of strings, in the words of ParseNames. A
	// viewer whose token does not have it knows of none. Empty: viewers know of all.
	AdaptersClaim string
	Adapters      map[string]*Names // by value of that claim; others mean nothing. Empty: the values are the names themselves
	Client        *http.Client      // nil: one with a timeout
	Now           func() time.Time
}

// OIDC verifies the tokens of an OpenID Connect provider. The provider is contacted for the first token, and
// again if it did not answer, so that a server can start before its provider.
type OIDC struct {
	config OIDCConfig

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	failed   time.Time
	err      error
}

// oidcTimeout limits one exchange with the provider, and retryAfter is the pause after a failure.
const (
	oidcTimeout = 10 * time.Second
	retryAfter  = 5 * time.Second
)

// NewOIDC returns a verifier of tokens. It does not contact the provider yet.
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
	bounded := *c.Client
	to := bounded.Transport
	if to == nil {
		to = http.DefaultTransport
	}
	bounded.Transport = &once{to: to, every: keysEvery, now: time.Now}
	c.Client = &bounded
	return &OIDC{config: c}, nil
}

// ready returns the verifier. It requests the provider's configuration if that has not been done.
func (o *OIDC) ready() (*oidc.IDTokenVerifier, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.verifier != nil {
		return o.verifier, nil
	}
	if o.err != nil && time.Since(o.failed) < retryAfter {
		return nil, o.err
	}
	// The keys are fetched later with this context, so it must not be that of a request.
	provider, err := oidc.NewProvider(oidc.ClientContext(context.Background(), o.config.Client), o.config.Issuer)
	if err != nil {
		o.err, o.failed = fmt.Errorf("%w: %w", ErrUnavailable, err), time.Now()
		return nil, o.err
	}
	o.verifier = provider.Verifier(&oidc.Config{ClientID: o.config.Audience, Now: o.config.Now})
	return o.verifier, nil
}

// keysEvery is the minimum interval between requests for the provider's keys. Anybody can send a token that
// names a new key, so tokens must not be able to trigger requests.
const keysEvery = time.Minute

// once is a transport that requests each address at most once per interval, and otherwise repeats the last
// response. This limits requests to the provider, and earlier keys remain valid while it does not answer.
type once struct {
	to    http.RoundTripper
	every time.Duration
	now   func() time.Time

	mu   sync.Mutex
	last map[string]*answered // by address
}

// answered is the last response from an address.
type answered struct {
	asked  time.Time
	status int
	header http.Header
	body   []byte // of the last successful response
	err    error
}

// maxProviderBody limits a response of the provider in bytes.
const maxProviderBody = 1 << 20

// RoundTrip returns the stored response, or sends the request.
func (o *once) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	url := r.URL.String()
	a, now := o.last[url], o.now()
	if a == nil || now.Sub(a.asked) >= o.every || a.body == nil && now.Sub(a.asked) >= retryAfter {
		if a == nil {
			if o.last == nil {
				o.last = map[string]*answered{}
			}
			a = &answered{}
			o.last[url] = a
		}
		a.asked = now
		a.ask(o.to, r)
	}
	if a.body == nil && a.err != nil {
		return nil, a.err
	}
	return &http.Response{StatusCode: a.status, Status: http.StatusText(a.status), Header: a.header.Clone(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: r}, nil
}

// ask sends a request. A failure does not replace an earlier success.
func (a *answered) ask(to http.RoundTripper, r *http.Request) {
	response, err := to.RoundTrip(r)
	if err != nil {
		a.err = err
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxProviderBody))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("the provider answers %s", response.Status)
	}
	if err != nil {
		a.err = err
		return
	}
	a.status, a.header, a.body, a.err = response.StatusCode, response.Header.Clone(), body, nil
}

// verify returns the principal behind a token.
func (o *OIDC) verify(ctx context.Context, raw string) (Principal, error) {
	verifier, err := o.ready()
	if err != nil {
		return Principal{}, err
	}
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		// The reason why a token is invalid helps its owner, and does not contain the token.
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
	p := Principal{Name: name, Role: o.role(claims), Via: "oidc"}
	if o.config.AdaptersClaim == "" {
		return p, nil
	}
	names, err := o.adapters(claims)
	if err != nil {
		return Principal{}, fmt.Errorf("%w: the token's claim %q: %w", ErrUnauthenticated, o.config.AdaptersClaim, err)
	}
	p.limitTo(names)
	return p, nil
}

// adapters are those that the claim names.
func (o *OIDC) adapters(claims map[string]any) (*Names, error) {
	all := &Names{}
	for _, value := range words(claim(claims, o.config.AdaptersClaim)) {
		names, ok := o.config.Adapters[value]
		if !ok && len(o.config.Adapters) == 0 {
			var err error
			if names, err = ParseNames(value); err != nil {
				return nil, err
			}
		}
		if names != nil {
			all.patterns = append(all.patterns, names.patterns...)
		}
	}
	return all, nil
}

// role returns the highest role that the claim gives. Without one it is Public: authenticated, but without
// permissions.
func (o *OIDC) role(claims map[string]any) Role {
	best := Public
	for _, value := range words(claim(claims, o.config.RoleClaim)) {
		best = max(best, o.config.Roles[value])
	}
	return best
}

// words are the strings of a list, or the words of a string, as "scope" is.
func words(claim any) (list []string) {
	switch v := claim.(type) {
	case []any:
		for _, x := range v {
			if s, ok := x.(string); ok {
				list = append(list, s)
			}
		}
	case string:
		list = strings.Fields(v)
	}
	return list
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
