package host

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"melo.example/melo/serve/access"
	"melo.example/melo/serve/grpcapi"
	"melo.example/melo/serve/httpapi"
	"melo.example/melo/serve/oip"
	"melo.example/melo/serve/servetest"
)

// The adapters of a narrow client: it may know of findings and view, and not of lesion; missing has the length of lesion.
const (
	hiddenName  = "lesion"
	missingName = "noadpt"
)

// narrowClient is a viewer that may know of findings and view alone.
type narrowClient struct {
	name string // in the audit log
	*site
	role access.Role // whose token site.do sends: Public sends none
	dial []grpc.DialOption
}

// narrowNames are the adapters that it may know of, as a list of them is written.
const narrowNames = "find*,view"

// narrowClients are the ways in which a client can come to be one.
var narrowClients = map[string]func(t *testing.T) narrowClient{
	"token": func(t *testing.T) narrowClient {
		s := newSite(t)
		text, err := os.ReadFile(s.tokensAt)
		if err != nil {
			t.Fatal(err)
		}
		token, hash := access.NewToken()
		s.tokens[access.Viewer] = token
		text = fmt.Appendf(text, "narrow viewer %s adapters=%s\n", hash, narrowNames)
		if err := os.WriteFile(s.tokensAt, text, 0o600); err != nil {
			t.Fatal(err)
		}
		s.config.Guard.Tokens.Reload()
		return narrowClient{name: "narrow", site: s, role: access.Viewer}
	},
	"OpenID Connect, names in the claim": func(t *testing.T) narrowClient {
		return narrowByProvider(t, access.OIDCConfig{AdaptersClaim: "melo.adapters"}, map[string]any{"melo": map[string]any{"adapters": []string{"find*", "view"}}})
	},
	"OpenID Connect, groups in the claim": func(t *testing.T) narrowClient {
		names, err := access.ParseNamesOf(map[string]string{"radiology": "find*", "pathology": "view", "dermatology": hiddenName})
		if err != nil {
			t.Fatal(err)
		}
		return narrowByProvider(t, access.OIDCConfig{AdaptersClaim: "groups", Adapters: names}, map[string]any{"groups": "pathology staff radiology"})
	},
	"certificate": func(t *testing.T) narrowClient {
		names, err := access.ParseNamesOf(map[string]string{"narrow": narrowNames, "*": "*"})
		if err != nil {
			t.Fatal(err)
		}
		a := newAuthority(t)
		s := newTLSSite(t, a, func(c *Config) {
			c.HTTPS.ClientCA, c.Guard.Certificate, c.Guard.CertificateAdapters = a.file, access.Viewer, names
		})
		pair, err := tls.LoadX509KeyPair(a.sign("narrow", 20))
		if err != nil {
			t.Fatal(err)
		}
		shown := &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{pair}}
		s.client.Transport = &http.Transport{TLSClientConfig: shown}
		return narrowClient{name: "narrow", site: s, dial: []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(shown))}}
	},
	"nothing": func(t *testing.T) narrowClient {
		names, err := access.ParseNames(narrowNames)
		if err != nil {
			t.Fatal(err)
		}
		return narrowClient{name: "127.0.0.1", site: newSite(t, func(c *Config) { c.Guard.Anonymous, c.Guard.AnonymousAdapters = access.Viewer, names })}
	},
}

// narrowByProvider is one with a token of a provider.
func narrowByProvider(t *testing.T, c access.OIDCConfig, claims map[string]any) narrowClient {
	t.Helper()
	i := servetest.NewIssuer(t)
	c.Issuer, c.Audience = i.URL, "melo"
	o, err := access.NewOIDC(c)
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, func(c *Config) { c.Guard.OIDC = o })
	claims["sub"], claims["roles"] = "narrow", []string{"viewer"}
	s.tokens[access.Viewer] = i.Token(t, claims)
	return narrowClient{name: "narrow", site: s, role: access.Viewer}
}

// bodyFor is the body of a request for an adapter.
func bodyFor(t *testing.T, route httpapi.Route, name string) (body []byte, media string) {
	switch {
	case strings.HasSuffix(route.Path, "/infer"):
		image := base64.StdEncoding.EncodeToString(servetest.PNG(t, 1, 20, 20))
		return fmt.Appendf(nil, `{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":[%q]}]}`, image), "application/json"
	case route.Name == "Predict", route.Name == "Explain":
		return form(t, name, "x.png")
	}
	return nil, "application/json"
}

// TestHiddenAdaptersOverHTTP asks every route as a client that may not know of lesion: about it, and about a name that there is
// not. The answers are the same, and nothing that is listed names it.
func TestHiddenAdaptersOverHTTP(t *testing.T) {
	for name, narrow := range narrowClients {
		t.Run(name, func(t *testing.T) { hiddenOverHTTP(t, narrow(t)) })
	}
}

func hiddenOverHTTP(t *testing.T, s narrowClient) {
	if response, text := s.predict(access.Operator, hiddenName); response.StatusCode != http.StatusOK { // it is there
		t.Fatal(text)
	}
	routes := append(httpapi.Routes(), httpapi.Route{Name: "Metrics", Method: "GET", Path: "/metrics", Role: oip.Viewer})
	for _, route := range routes {
		ask := func(name, version string) (int, string) {
			path := strings.NewReplacer("{model}", name, "{adapter}", name, "{version}", version, "{alias}", "x", "{part}", "about.js").Replace(route.Path)
			body, media := bodyFor(t, route, name)
			response, text := s.do(s.role, route.Method, path, bytes.NewReader(body), "Content-Type", media)
			return response.StatusCode, text
		}
		for _, version := range []string{"1", "current"} {
			status, text := ask(hiddenName, version)
			wanted, other := ask(missingName, version)
			named := strings.Contains(other, missingName) // the answer repeats the name that was asked for
			if got := strings.ReplaceAll(text, hiddenName, missingName); status != wanted || named && got != other {
				t.Errorf("%s %s: %d %s\nof a name that there is not: %d %s", route.Method, route.Path, status, text, wanted, other)
			}
			if !named && strings.Contains(text, hiddenName) {
				t.Errorf("%s %s tells of it: %s", route.Method, route.Path, text)
			}
			if !strings.Contains(route.Path, "{") {
				continue
			}
			if status, text := ask("view", version); roleOf(route.Role) <= access.Viewer && version == "1" && status != http.StatusOK {
				t.Errorf("%s %s of an adapter that it may see: %d %s", route.Method, route.Path, status, text)
			}
		}
	}
	for _, name := range []string{hiddenName + "@1", "all"} {
		body, media := form(t, name, "x.png")
		response, text := s.do(s.role, "POST", "/v1/predict", bytes.NewReader(body), "Content-Type", media)
		if name == "all" && (response.StatusCode != http.StatusOK || strings.Contains(text, hiddenName) || !strings.Contains(text, "findings")) ||
			name != "all" && response.StatusCode != http.StatusNotFound {
			t.Errorf("form of %s: %d %s", name, response.StatusCode, text)
		}
	}
	if _, text := s.do(s.role, "GET", "/metrics", nil); !strings.Contains(text, `melo_adapter_answers_total{adapter="findings"`) || strings.Contains(text, "melo_adapters ") {
		t.Errorf("metrics of a narrow client: %s", text)
	}
	if _, text := s.do(access.Operator, "GET", "/metrics", nil); !strings.Contains(text, `adapter="lesion"`) {
		t.Error("nor does an operator see it")
	}
	for _, e := range s.entries() {
		if e.Client == s.name && e.Adapter == hiddenName {
			t.Errorf("the audit log says that it was asked: %+v", e)
		}
	}
}

// fill sets every text field of a message that names an adapter.
func fill(m *dynamicpb.Message, name string, image []byte) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch f.Name() {
		case "name", "model_name", "service":
			if f.Kind() == protoreflect.StringKind {
				m.Set(f, protoreflect.ValueOfString(name))
			}
		case "inputs":
			list := m.Mutable(f).List()
			in := list.AppendMutable().Message()
			of := in.Descriptor().Fields()
			in.Set(of.ByName("name"), protoreflect.ValueOfString("image"))
			in.Set(of.ByName("datatype"), protoreflect.ValueOfString("BYTES"))
			in.Mutable(of.ByName("shape")).List().Append(protoreflect.ValueOfInt64(1))
			contents := in.Mutable(of.ByName("contents")).Message()
			contents.Mutable(contents.Descriptor().Fields().ByName("bytes_contents")).List().Append(protoreflect.ValueOfBytes(image))
		}
	}
}

// TestHiddenAdaptersOverGRPC is the same for every method.
func TestHiddenAdaptersOverGRPC(t *testing.T) {
	for name, narrow := range narrowClients {
		t.Run(name, func(t *testing.T) { hiddenOverGRPC(t, narrow(t)) })
	}
}

func hiddenOverGRPC(t *testing.T, s narrowClient) {
	conn := s.site.dial(s.dial...)
	image := servetest.PNG(t, 1, 20, 20)
	ask := func(method, name string) string {
		service, bare, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
		if err != nil {
			t.Fatal(err)
		}
		m := found.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(bare))
		in, out := dynamicpb.NewMessage(m.Input()), dynamicpb.NewMessage(m.Output())
		fill(in, name, image)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if s.role > access.Public {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.tokens[s.role])
		}
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
		if err == nil {
			err = stream.SendMsg(proto.Message(in))
		}
		if err == nil || err == io.EOF {
			err = nil
			if !strings.HasSuffix(method, "/Watch") {
				err = stream.CloseSend()
			}
			if received := stream.RecvMsg(proto.Message(out)); received != nil {
				err = received
			}
		}
		if err != nil {
			return status.Convert(err).Code().String() + ": " + status.Convert(err).Message()
		}
		return prototext.MarshalOptions{}.Format(out)
	}
	for method := range grpcapi.Roles() {
		hidden, missing, seen := ask(method, hiddenName), ask(method, missingName), ask(method, "view")
		hidden, missing = strings.ReplaceAll(hidden, "  ", " "), strings.ReplaceAll(missing, "  ", " ") // the format is not stable
		named := strings.Contains(missing, missingName)
		if named && strings.ReplaceAll(hidden, hiddenName, missingName) != missing || !named && strings.Contains(hidden, hiddenName) {
			t.Errorf("%s: %s\nof a name that there is not: %s", method, hidden, missing)
		}
		if strings.Contains(seen, hiddenName) {
			t.Errorf("%s tells of it: %s", method, seen)
		}
	}
	if list := ask("/grpc.health.v1.Health/List", ""); !strings.Contains(list, "findings") {
		t.Errorf("health of the others: %s", list)
	}
}
