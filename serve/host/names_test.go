package host

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
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

// narrow gives the site's viewer a list of adapters.
func (s *site) narrow() {
	s.t.Helper()
	text, err := os.ReadFile(s.tokensAt)
	if err != nil {
		s.t.Fatal(err)
	}
	token, hash := access.NewToken()
	s.tokens[access.Viewer] = token
	text = fmt.Appendf(text, "narrow viewer %s adapters=find*,view\n", hash)
	if err := os.WriteFile(s.tokensAt, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.config.Guard.Tokens.Reload()
}

// bodyFor is the body of a request for an adapter.
func bodyFor(t *testing.T, route httpapi.Route, name string) (body []byte, media string) {
	switch {
	case strings.HasSuffix(route.Path, "/infer"):
		image := base64.StdEncoding.EncodeToString(servetest.PNG(t, 1, 20, 20))
		return fmt.Appendf(nil, `{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":[%q]}]}`, image), "application/json"
	case route.Name == "Predict":
		return form(t, name, "x.png")
	}
	return nil, "application/json"
}

// TestHiddenAdaptersOverHTTP asks every route as a client that may not know of lesion: about it, and about a name that there is
// not. The answers are the same, and nothing that is listed names it.
func TestHiddenAdaptersOverHTTP(t *testing.T) {
	s := newSite(t)
	if response, text := s.predict(access.Viewer, hiddenName); response.StatusCode != http.StatusOK { // it is there
		t.Fatal(text)
	}
	s.narrow()
	routes := append(httpapi.Routes(), httpapi.Route{Name: "Metrics", Method: "GET", Path: "/metrics", Role: oip.Viewer})
	for _, route := range routes {
		ask := func(name, version string) (int, string) {
			path := strings.NewReplacer("{model}", name, "{adapter}", name, "{version}", version, "{alias}", "x").Replace(route.Path)
			body, media := bodyFor(t, route, name)
			response, text := s.do(access.Viewer, route.Method, path, bytes.NewReader(body), "Content-Type", media)
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
		response, text := s.do(access.Viewer, "POST", "/v1/predict", bytes.NewReader(body), "Content-Type", media)
		if name == "all" && (response.StatusCode != http.StatusOK || strings.Contains(text, hiddenName) || !strings.Contains(text, "findings")) ||
			name != "all" && response.StatusCode != http.StatusNotFound {
			t.Errorf("form of %s: %d %s", name, response.StatusCode, text)
		}
	}
	if _, text := s.do(access.Viewer, "GET", "/metrics", nil); !strings.Contains(text, `melo_adapter_answers_total{adapter="findings"`) || strings.Contains(text, "melo_adapters ") {
		t.Errorf("metrics of a narrow client: %s", text)
	}
	if _, text := s.do(access.Operator, "GET", "/metrics", nil); !strings.Contains(text, `adapter="lesion"`) {
		t.Error("nor does an operator see it")
	}
	for _, e := range s.entries() {
		if e.Client == "narrow" && e.Adapter == hiddenName {
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
	s := newSite(t)
	s.narrow()
	conn := s.dial()
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
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.tokens[access.Viewer])
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
