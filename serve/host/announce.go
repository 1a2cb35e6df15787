package host

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/text"
	"melo.example/melo/serve"
	"melo.example/melo/serve/access"
)

// Document describes what a server serves. It is the --json document of "melo serve", printed when the server
// is ready.
type Document struct {
	Base      string           `json:"base"` // of several the first
	Digest    string           `json:"digest"`
	Bases     []ServedBase     `json:"bases,omitempty"` // if there are several
	Precision string           `json:"precision"`
	Adapters  []ServedAdapter  `json:"adapters"`
	Refused   []RefusedAdapter `json:"refused"`
	HTTP      string           `json:"http"` // URL; empty if not served
	GRPC      string           `json:"grpc"` // address
	Metrics   string           `json:"metrics"`
	Debug     string           `json:"debug"`
	Anonymous string           `json:"anonymous"` // role of clients without credentials
	Notice    string           `json:"notice"`
}

// ServedAdapter is an available adapter.
type ServedAdapter struct {
	Name   string   `json:"name"`
	Digest string   `json:"digest"`
	Task   string   `json:"task"`
	Labels []string `json:"labels"`
	Base   string   `json:"base,omitempty"` // name of its base, if there are several
}

// RefusedAdapter is a refused adapter.
type RefusedAdapter struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
}

// Describe describes what is served.
func (r *Server) Describe() *Document {
	doc := &Document{Base: r.settings.Engine.Base, Digest: r.Engine().BaseDigest(), Precision: r.Engine().Model().Precision.String(),
		Adapters: []ServedAdapter{}, Refused: []RefusedAdapter{}, GRPC: r.Address("grpc"), Metrics: r.Address("metrics"),
		Debug: r.Address("debug"), Anonymous: r.Guard().Anonymous.String(), Notice: buildinfo.Notice}
	if at := r.Address("http"); at != "" {
		doc.HTTP = "http://" + at
		if r.settings.TLS != nil {
			doc.HTTP = "https://" + at
		}
	}
	if r.Engine().Several() {
		doc.Bases = basesOf(r.Engine().Bases())
	}
	for _, a := range r.Engine().Registry().List() {
		switch {
		case a.State == serve.Unavailable || a.Digest == "":
			doc.Refused = append(doc.Refused, RefusedAdapter{filepath.Base(a.Path), text.OneLine(errors.New(a.Reason))})
		case a.Current && a.Card != nil:
			served := ServedAdapter{Name: a.Name, Digest: a.Digest, Task: string(a.Card.Task), Labels: []string{}, Base: a.Identity.Base}
			for _, l := range a.Card.Labels {
				served.Labels = append(served.Labels, l.Name)
			}
			doc.Adapters = append(doc.Adapters, served)
		}
	}
	return doc
}

// listed limits the number of adapters that are announced individually.
const listed = 12

// Announce prints what is served, where, and how to use it, line by line.
func (r *Server) Announce(doc *Document, printf func(format string, args ...any)) {
	m := r.Engine().Model()
	line := func(name, format string, args ...any) {
		printf("  %-9s %s", name, text.OneLine(fmt.Errorf(format, args...)))
	}
	printf("melo %s serves", buildinfo.Version)
	if doc.Bases == nil {
		line("base", "%s (%d blocks of width %d, %d pixels), %.19s", doc.Base, m.Depth, m.Width, m.Image, doc.Digest)
		line("precision", "%s, %s kernels", doc.Precision, kernel.Name())
	}
	for _, b := range doc.Bases {
		line("base", "%s", b.line())
	}
	line("adapters", "%d in %s, looked at every %v", len(doc.Adapters), r.settings.Engine.Adapters, r.settings.Rescan)
	for i, a := range doc.Adapters {
		if i == listed {
			line("", "... and %d more", len(doc.Adapters)-listed)
			break
		}
		on := ""
		if a.Base != "" {
			on = ", on " + a.Base
		}
		line("", "%s: %s, %d labels, %.19s%s", a.Name, a.Task, len(a.Labels), a.Digest, on)
	}
	for i, a := range doc.Refused {
		if i == listed {
			line("refused", "... and %d more", len(doc.Refused)-listed)
			break
		}
		line("refused", "%s: %s", a.File, a.Reason)
	}
	for _, x := range []struct{ name, at string }{{"http", doc.HTTP}, {"grpc", doc.GRPC}, {"metrics", doc.Metrics}, {"debug", doc.Debug}} {
		if x.at != "" {
			line(x.name, "%s", x.at)
		}
	}
	line("clients", "%s", r.clients())
	if doc.HTTP != "" {
		line("ask", "%s", r.example(doc))
	}
	line("notice", "%s", buildinfo.Notice)
}

// clients describes who may use the server.
func (r *Server) clients() string {
	o, ways := &r.settings, []string{}
	if r.Guard().Anonymous > access.Public {
		ways = append(ways, "whoever shows nothing is "+r.Guard().Anonymous.String())
	}
	if o.Tokens != "" {
		ways = append(ways, fmt.Sprintf("%d tokens of %s", len(r.Guard().Tokens.Get()), o.Tokens))
	}
	if o.OIDC != nil {
		ways = append(ways, "tokens of "+o.OIDC.Issuer)
	}
	if r.Guard().Certificate > access.Public {
		ways = append(ways, "certificates of "+o.TLS.ClientCA+" are "+r.Guard().Certificate.String())
	}
	if len(ways) == 0 {
		return "nobody may ask: no token, no provider, no certificate, and --anonymous-role none"
	}
	return strings.Join(ways, "; ")
}

// example returns a command that queries the server.
func (r *Server) example(doc *Document) string {
	adapter := "all"
	if len(doc.Adapters) > 0 {
		adapter = doc.Adapters[0].Name
	}
	token := ""
	if r.Guard().Anonymous < access.Viewer {
		token = `-H "Authorization: Bearer $MELO_TOKEN" `
	}
	url := doc.HTTP
	if scheme, at, ok := strings.Cut(url, "://"); ok {
		if h, port, err := net.SplitHostPort(at); err == nil && (h == "::" || h == "0.0.0.0") {
			url = scheme + "://" + net.JoinHostPort("localhost", port)
		}
	}
	return fmt.Sprintf("curl %s-F image=@scan.png -F adapter=%s %s/v1/predict", token, adapter, url)
}

// ServedBase is one of several bases.
type ServedBase struct {
	Name      string `json:"name"`
	Path      string `json:"path"` // as given by --base
	Digest    string `json:"digest"`
	Precision string `json:"precision"`
	Pinned    bool   `json:"pinned"`
	Bytes     int64  `json:"bytes"`    // estimated memory in bytes
	Adapters  int    `json:"adapters"` // adapters that belong to it
}

func basesOf(list []serve.BaseStatus) []ServedBase {
	var out []ServedBase
	for _, b := range list {
		out = append(out, ServedBase{Name: b.Name, Path: b.Path, Digest: b.Digest, Precision: b.Precision, Pinned: b.Pinned, Bytes: b.Bytes, Adapters: b.Adapters})
	}
	return out
}

// line describes the base in one line.
func (b *ServedBase) line() string {
	stays := ""
	if b.Pinned {
		stays = ", stays in memory"
	}
	return fmt.Sprintf("%s, %s, about %s, %d adapters, %.19s%s", b.Path, b.Precision, text.Bytes(b.Bytes), b.Adapters, b.Digest, stays)
}
