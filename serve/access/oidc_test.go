package access

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// issuer is a small identity provider.
type issuer struct {
	*httptest.Server
	key   *rsa.PrivateKey
	down  atomic.Bool
	asked atomic.Int64 // for its keys
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i.down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/keys") {
			i.asked.Add(1)
			e := big.NewInt(int64(key.E)).Bytes()
			json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig",
				"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(e)}}})
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys",
			"authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token", "id_token_signing_alg_values_supported": []string{"RS256"}})
	}))
	t.Cleanup(i.Close)
	return i
}

// sign returns a token with these claims besides the usual ones.
func (i *issuer) sign(t *testing.T, key *rsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	return i.signAs(t, "one", key, claims)
}

func (i *issuer) signAs(t *testing.T, kid string, key *rsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": i.URL, "aud": "melo", "sub": "dr house", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
	for k, v := range claims {
		all[k] = v
	}
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(map[string]string{"alg": "RS256", "kid": kid}) + "." + part(all)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestOIDC(t *testing.T) {
	i := newIssuer(t)
	o, err := NewOIDC(OIDCConfig{Issuer: i.URL, Audience: "melo", RoleClaim: "realm_access.roles"})
	if err != nil {
		t.Fatal(err)
	}
	g := &Guard{OIDC: o, Limiter: NewLimiter()}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	roles := func(r ...any) map[string]any { return map[string]any{"realm_access": map[string]any{"roles": r}} }
	for name, c := range map[string]struct {
		key    *rsa.PrivateKey
		claims map[string]any
		role   Role
		err    error
	}{
		"operator":      {i.key, roles("viewer", "operator", 7), Operator, nil},
		"no role":       {i.key, nil, Public, nil},
		"foreign role":  {i.key, roles("root"), Public, nil},
		"expired":       {i.key, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, 0, ErrUnauthenticated},
		"for others":    {i.key, map[string]any{"aud": "pacs"}, 0, ErrUnauthenticated},
		"of others":     {i.key, map[string]any{"iss": "https://elsewhere.example"}, 0, ErrUnauthenticated},
		"forged":        {stranger, roles("admin"), 0, ErrUnauthenticated},
		"nameless":      {i.key, map[string]any{"sub": ""}, 0, ErrUnauthenticated},
		"name of lines": {i.key, map[string]any{"sub": "a\nb"}, 0, ErrUnauthenticated},
	} {
		p, err := g.Authenticate(t.Context(), Credentials{Authorization: "Bearer " + i.sign(t, c.key, c.claims)})
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: got %v, want %v", name, err, c.err)
		}
		if err == nil && p != (Principal{Name: "dr_house", Role: c.role, Via: "oidc"}) {
			t.Errorf("%s: got %+v", name, p)
		}
	}
	// No signature at all is the classic forgery.
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"x"}`)) + "."
	if _, err := g.Authenticate(t.Context(), Credentials{Authorization: "Bearer " + none}); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("alg none: got %v", err)
	}
}

func TestOIDCProviderDown(t *testing.T) {
	i := newIssuer(t)
	i.down.Store(true)
	o, err := NewOIDC(OIDCConfig{Issuer: i.URL, Audience: "melo", Roles: map[string]Role{"rad": Viewer}})
	if err != nil {
		t.Fatal(err)
	}
	g := &Guard{OIDC: o, Limiter: NewLimiter()}
	show := Credentials{Authorization: "Bearer " + i.sign(t, i.key, map[string]any{"roles": "x rad"})}
	if _, err := g.Authenticate(t.Context(), show); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want that the provider is down", err)
	}
	i.down.Store(false)
	if _, err := g.Authenticate(t.Context(), show); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want a pause before it is asked again", err)
	}
	o.mu.Lock()
	o.failed = o.failed.Add(-retryAfter)
	o.config.Client.Transport.(*once).last = nil
	o.mu.Unlock()
	if p, err := g.Authenticate(t.Context(), show); err != nil || p.Role != Viewer {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestOIDCConfig(t *testing.T) {
	for _, c := range []OIDCConfig{{Issuer: "ftp://x", Audience: "melo"}, {Issuer: "https://x"}} {
		if _, err := NewOIDC(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

// Tokens with keys that there are not, or signatures that are not the key's, do not make the provider be asked, and do
// not keep others out, also while it does not answer.
func TestOIDCKeysAreAskedForSeldom(t *testing.T) {
	i := newIssuer(t)
	o, err := NewOIDC(OIDCConfig{Issuer: i.URL, Audience: "melo"})
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 150 {
		kid := map[bool]string{true: "one", false: fmt.Sprint(n)}[n%2 == 0]
		if _, err := o.verify(t.Context(), i.signAs(t, kid, stranger, nil)); !errors.Is(err, ErrUnauthenticated) {
			t.Fatal(err)
		}
	}
	i.down.Store(true)
	for range 3 {
		if _, err := o.verify(t.Context(), i.sign(t, i.key, nil)); err != nil {
			t.Error(err)
		}
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("the keys were asked for %d times", n)
	}
}
