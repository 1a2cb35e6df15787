package access

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
)

// TestAdaptersOfIdentities: viewers may know of the adapters that their claim, their certificate or nothing at all gives them;
// where there are lists, who is on none sees none, and who may change adapters sees all.
func TestAdaptersOfIdentities(t *testing.T) {
	names := func(list map[string]string) map[string]*Names {
		n, err := ParseNamesOf(list)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	may := func(p Principal) (list string) {
		for _, name := range []string{"busi", "chest", "skin tone"} {
			if p.Adapters.May(name) {
				list += name + ";"
			}
		}
		return list
	}
	i := newIssuer(t)
	for _, c := range []struct {
		name   string
		of     map[string]string
		claims map[string]any
		want   string
		err    error
	}{
		{"a list", nil, map[string]any{"a": []any{"busi", "ch*"}}, "busi;chest;", nil},
		{"a text of words", nil, map[string]any{"a": "busi skin%20tone"}, "busi;skin tone;", nil},
		{"names with commas between", nil, map[string]any{"a": "busi,chest"}, "busi;chest;", nil},
		{"everything", nil, map[string]any{"a": "*"}, "busi;chest;skin tone;", nil},
		{"no claim", nil, nil, "", nil},
		{"null", nil, map[string]any{"a": nil}, "", nil},
		{"a number", nil, map[string]any{"a": 7}, "", nil},
		{"an empty list", nil, map[string]any{"a": []any{}}, "", nil},
		{"a list of other things", nil, map[string]any{"a": []any{7, nil, []any{"busi"}}}, "", nil},
		{"a path", nil, map[string]any{"a": "../busi"}, "", ErrUnauthenticated},
		{"an empty name", nil, map[string]any{"a": []any{""}}, "", ErrUnauthenticated},
		{"groups", map[string]string{"radiology": "chest", "breast": "busi"}, map[string]any{"a": []any{"breast", "staff"}}, "busi;", nil},
		{"a group that is called as an adapter", map[string]string{"radiology": "chest"}, map[string]any{"a": []any{"busi", "*"}}, "", nil},
		{"an operator", nil, map[string]any{"a": "busi", "roles": "operator"}, "busi;chest;skin tone;", nil},
	} {
		o, err := NewOIDC(OIDCConfig{Issuer: i.URL, Audience: "melo", AdaptersClaim: "a", Adapters: names(c.of)})
		if err != nil {
			t.Fatal(err)
		}
		claims := map[string]any{"roles": "viewer"}
		for k, v := range c.claims {
			claims[k] = v
		}
		g := &Guard{OIDC: o, Limiter: NewLimiter()}
		p, err := g.Authenticate(t.Context(), Credentials{Authorization: "Bearer " + i.sign(t, i.key, claims)})
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || err == nil && may(p) != c.want {
			t.Errorf("%s: %q, %v; want %q, %v", c.name, may(p), err, c.want, c.err)
		}
	}
	certificate := func(name string) Credentials {
		return Credentials{Certificate: &x509.Certificate{SerialNumber: big.NewInt(255), Subject: pkix.Name{CommonName: name}}, Address: "192.0.2.1:1"}
	}
	for _, c := range []struct {
		name string
		of   map[string]string
		role Role
		show Credentials
		want string
	}{
		{"no lists", nil, Viewer, certificate("pacs"), "busi;chest;skin tone;"},
		{"on a list", map[string]string{"pacs": "chest", "*": "busi"}, Viewer, certificate("pacs"), "chest;"},
		{"everybody else", map[string]string{"pacs": "chest", "*": "busi"}, Viewer, certificate("ris"), "busi;"},
		{"on none", map[string]string{"pacs": "chest"}, Viewer, certificate("ris"), ""},
		{"without a name", map[string]string{"serial:ff": "chest"}, Viewer, certificate("\n"), "chest;"},
		{"an operator", map[string]string{"pacs": "chest"}, Operator, certificate("pacs"), "busi;chest;skin tone;"},
	} {
		g := &Guard{Certificate: c.role, CertificateAdapters: names(c.of), Limiter: NewLimiter()}
		if p, err := g.Authenticate(t.Context(), c.show); err != nil || may(p) != c.want {
			t.Errorf("certificate, %s: %q, %v; want %q", c.name, may(p), err, c.want)
		}
	}
	g := &Guard{Anonymous: Viewer, AnonymousAdapters: names(map[string]string{"x": "busi"})["x"], Limiter: NewLimiter()}
	if p, err := g.Authenticate(t.Context(), Credentials{Address: "192.0.2.1:1"}); err != nil || may(p) != "busi;" {
		t.Errorf("nothing shown: %q, %v", may(p), err)
	}
}
