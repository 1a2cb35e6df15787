package host

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"melo.example/melo/serve"
	"melo.example/melo/serve/access"
	"melo.example/melo/serve/audit"
	"melo.example/melo/serve/oip"
	"melo.example/melo/serve/servetest"
	"melo.example/melo/serve/telemetry"
)

// site is a running Host and what a test needs of it.
type site struct {
	*Host
	t        *testing.T
	folder   string // of adapters
	auditAt  string
	tokensAt string
	tokens   map[access.Role]string
	client   *http.Client
	scheme   string
	log      *lockedBuffer
	stop     context.CancelFunc
	ended    chan error
}

// lockedBuffer collects a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newSite starts a host with three adapters and a token for each role.
func newSite(t *testing.T, change ...func(*Config)) *site {
	t.Helper()
	s := &site{t: t, folder: servetest.Folder(t), auditAt: filepath.Join(t.TempDir(), "audit.jsonl"), tokens: map[access.Role]string{},
		scheme: "http", log: &lockedBuffer{}, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{}}, ended: make(chan error, 1)}
	lines := ""
	for r := access.Viewer; r <= access.Admin; r++ {
		token, hash := access.NewToken()
		s.tokens[r] = token
		lines += fmt.Sprintf("the-%v %v %s\n", r, r, hash)
	}
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	s.tokensAt = path
	tokens, err := access.WatchTokens(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(s.auditAt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	logger, err := telemetry.NewLogger(s.log, "json", slog.LevelDebug, oip.RequestID)
	if err != nil {
		t.Fatal(err)
	}
	tracer, err := telemetry.NewTracer(t.Context(), telemetry.TraceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	metrics := telemetry.NewMetrics()
	engine := servetest.Engine(t, serve.Config{Adapters: s.folder,
		Observer: telemetry.Observers{metrics, tracer, Auditor{log, oip.RequestID}, telemetry.LogObserver{Log: logger}}})
	c := Config{Engine: engine, Options: oip.Options{Version: "test", Base: "tiny", Digest: servetest.BaseDigest},
		HTTP: "127.0.0.1:0", GRPC: "127.0.0.1:0", Authenticated: true, Guard: &access.Guard{Tokens: tokens, Limiter: access.NewLimiter()},
		Audit: log, Recorder: metrics, Tracer: tracer, Log: logger, DrainTimeout: time.Minute}
	for _, f := range change {
		f(&c)
	}
	if s.Host, err = New(c); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		s.stop()
		<-s.ended
		s.client.CloseIdleConnections()
	})
	return s
}

// end stops the host and returns what Serve did.
func (s *site) end() error {
	s.stop()
	err := <-s.ended
	s.ended <- nil
	return err
}

// do sends a request with the token of a role.
func (s *site) do(role access.Role, method, path string, body io.Reader, header ...string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.scheme+"://"+s.Address("http")+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if role > access.Public {
		r.Header.Set("Authorization", "Bearer "+s.tokens[role])
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	response, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response, string(text)
}

// form is a question to an adapter about a picture.
func form(t testing.TB, adapter, file string) (body []byte, media string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	w.WriteField("adapter", adapter)
	part, err := w.CreateFormFile("image", file)
	if err != nil {
		t.Fatal(err)
	}
	part.Write(servetest.PNG(t, 1, 20, 20))
	w.Close()
	return b.Bytes(), w.FormDataContentType()
}

// predict asks an adapter.
func (s *site) predict(role access.Role, adapter string) (*http.Response, string) {
	s.t.Helper()
	body, media := form(s.t, adapter, "doe_john_1950.png")
	return s.do(role, "POST", "/v1/predict", bytes.NewReader(body), "Content-Type", media)
}

// entries are the lines of the audit log.
func (s *site) entries() []audit.Entry {
	s.t.Helper()
	text, err := os.ReadFile(s.auditAt)
	if err != nil {
		s.t.Fatal(err)
	}
	if rep, err := audit.Verify(bytes.NewReader(text), nil); err != nil || rep.Torn > 0 {
		s.t.Errorf("%+v, %v", rep, err)
	}
	var list []audit.Entry
	for line := range strings.Lines(string(text)) {
		var e struct{ audit.Entry }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			s.t.Fatal(err)
		}
		list = append(list, e.Entry)
	}
	return list
}

func TestHeaders(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/", "/livez", "/v1/adapters", "/nowhere", "/metrics"} {
		response, _ := s.do(access.Public, "GET", path, nil)
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Access-Control-Allow-Origin": "", "Strict-Transport-Security": "", "Server": ""} {
			if got := response.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if !strings.Contains(response.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: policy %q", path, response.Header.Get("Content-Security-Policy"))
		}
	}
	response, text := s.do(access.Public, "GET", "/v1/adapters", nil)
	if response.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(response.Header.Get("WWW-Authenticate"), "Bearer") || !strings.Contains(text, "error") {
		t.Errorf("status %d, %v, %s", response.StatusCode, response.Header, text)
	}
}

// Pages of other sites can reach a loopback address through the browser of whoever visits them.
func TestBrowsersOfOthers(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Guard.Anonymous = access.Admin; c.Hosts = []string{"melo.example"} })
	body, media := form(t, "lesion", "x.png")
	for name, c := range map[string]struct {
		header []string
		want   int
	}{
		"a program":               {nil, http.StatusOK},
		"our own page":            {[]string{"Origin", "http://" + s.Address("http"), "Sec-Fetch-Site", "same-origin"}, http.StatusOK},
		"another site":            {[]string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"another site, no fetch":  {[]string{"Origin", "https://evil.example"}, http.StatusForbidden},
		"a name that points here": {[]string{"Host", "evil.example"}, http.StatusForbidden},
		"and with a port":         {[]string{"Host", "evil.example:8080"}, http.StatusForbidden},
		"an address elsewhere":    {[]string{"Host", "10.0.0.1:8080"}, http.StatusForbidden},
		"localhost":               {[]string{"Host", "localhost:8080"}, http.StatusOK},
		"six":                     {[]string{"Host", "[::1]:8080"}, http.StatusOK},
		"a proxy":                 {[]string{"Host", "Melo.example"}, http.StatusOK},
	} {
		response, text := s.do(access.Public, "POST", "/v1/predict", bytes.NewReader(body), append(c.header, "Content-Type", media)...)
		if response.StatusCode != c.want {
			t.Errorf("%s: status %d, want %d: %s", name, response.StatusCode, c.want, text)
		}
	}
}

func TestLimitsOfClients(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Guard.Defaults = access.Limits{Rate: 0.01, Burst: 2, Body: 5000} })
	for i := range 3 {
		response, text := s.do(access.Viewer, "GET", "/v1/adapters", nil)
		if want := map[bool]int{true: http.StatusOK, false: http.StatusTooManyRequests}[i < 2]; response.StatusCode != want {
			t.Errorf("request %d: status %d: %s", i, response.StatusCode, text)
		}
		if i == 2 && response.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if response, _ := s.do(access.Public, "GET", "/livez", nil); response.StatusCode != http.StatusOK {
		t.Error("health is limited, too")
	}
	large := strings.Repeat("x", 6000)
	for name, body := range map[string]io.Reader{"with its length": strings.NewReader(large), "without": io.MultiReader(strings.NewReader(large))} {
		response, text := s.do(access.Operator, "POST", "/v2/models/lesion/infer", body)
		if response.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(text, "5000") {
			t.Errorf("%s: status %d: %s", name, response.StatusCode, text)
		}
	}
}

func TestAuditOfRequests(t *testing.T) {
	s := newSite(t)
	if response, text := s.predict(access.Viewer, "lesion"); response.StatusCode != http.StatusOK {
		t.Fatal(text)
	}
	s.predict(access.Viewer, "mueller_hans") // no such adapter
	s.do(access.Public, "GET", "/v1/adapters", nil)
	s.do(access.Operator, "POST", "/v2/repository/models/mueller_hans/load", nil)
	s.do(access.Viewer, "POST", "/v2/repository/models/lesion/unload", nil)
	if response, text := s.do(access.Operator, "POST", "/v2/repository/models/lesion/unload", nil); response.StatusCode != http.StatusOK {
		t.Fatal(text)
	}
	s.predict(access.Viewer, "lesion")
	digest := ""
	for _, a := range s.config.Engine.Registry().List() {
		if a.Name == "lesion" {
			digest = a.Digest
		}
	}
	var got []string
	for _, e := range s.entries() {
		if strings.HasPrefix(e.Action, "adapter ") {
			continue
		}
		if e.Action == "predict" && e.Outcome == "ok" && (e.Digest != digest || e.Request == "") {
			t.Errorf("got %+v", e)
		}
		if e.Action == "RepositoryModelUnload" && e.Outcome == "ok" && (e.Digest != digest || e.Detail != "before: current "+digest+"; after: current "+digest+", unloaded") ||
			e.Outcome == "unauthenticated" && !strings.HasPrefix(e.Address, "127.0.0.1:") {
			t.Errorf("got %+v", e)
		}
		got = append(got, strings.Join([]string{e.Action, e.Client, e.Adapter, e.Outcome}, " "))
	}
	want := []string{"predict the-viewer lesion ok", "RepositoryModelUnload the-viewer  forbidden", "Adapters 127.0.0.1  unauthenticated", "RepositoryModelUnload the-operator lesion ok"}
	for _, w := range want {
		found := false
		for _, g := range got {
			found = found || g == w
		}
		if !found {
			t.Errorf("no %q in %q", w, got)
		}
	}
	text, _ := os.ReadFile(s.auditAt)
	_, metrics := s.do(access.Viewer, "GET", "/metrics", nil)
	for what, text := range map[string]string{"audit log": string(text), "log": s.log.String(), "metrics": metrics} {
		if strings.Contains(text, "doe") || strings.Contains(text, "mueller") {
			t.Errorf("the %s has what clients call their files or adapters:\n%s", what, text)
		}
	}
	if !strings.Contains(metrics, `melo_calls_total{code="200",protocol="http",route="Predict"} 1`) ||
		!strings.Contains(metrics, `nv_inference_request_success{model="lesion"`) {
		t.Error(metrics)
	}
}

// What cannot be written down is not answered.
func TestAuditLogThatCannotBeWritten(t *testing.T) {
	s := newSite(t)
	if err := os.Rename(s.auditAt, s.auditAt+".1"); err != nil {
		t.Fatal(err)
	}
	other, err := audit.Open(s.auditAt) // another server's
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	eventually(t, func() bool {
		response, _ := s.do(access.Public, "GET", "/readyz", nil)
		return response.StatusCode == http.StatusServiceUnavailable
	})
	if response, text := s.predict(access.Viewer, "lesion"); response.StatusCode != http.StatusServiceUnavailable || strings.Contains(text, s.auditAt) {
		t.Errorf("status %d: %s", response.StatusCode, text)
	}
	other.Close()
	if err := os.Remove(s.auditAt); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		response, _ := s.predict(access.Viewer, "lesion")
		return response.StatusCode == http.StatusOK
	})
}

// eventually waits for what happens within seconds.
func eventually(t *testing.T, happened func() bool) {
	t.Helper()
	for range 1000 {
		if happened() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("it does not happen")
}

func TestExtraAddresses(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Metrics, c.Debug = "127.0.0.1:0", "127.0.0.1:0" })
	for _, url := range []string{s.Address("metrics") + "/metrics", s.Address("metrics") + "/livez", s.Address("metrics") + "/readyz", s.Address("debug") + "/debug/pprof/goroutine?debug=1"} {
		response, err := s.client.Get("http://" + url)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", url, response.StatusCode)
		}
	}
	if response, _ := s.do(access.Admin, "GET", "/debug/pprof/", nil); response.StatusCode != http.StatusNotFound {
		t.Errorf("profiles on the main address: status %d", response.StatusCode)
	}
}

func TestExposure(t *testing.T) {
	for _, c := range []struct {
		address            string
		tls, authenticated bool
		ok                 bool
	}{
		{"127.0.0.1:80", false, false, true}, {"[::1]:80", false, false, true}, {"localhost:80", false, false, true}, {"", false, false, true},
		{":80", false, false, false}, {"0.0.0.0:80", true, false, false}, {"10.0.0.1:80", false, true, false}, {"example.org:80", false, false, false},
		{":80", true, true, true}, {"127.0.0.1", false, false, false},
	} {
		if err := checkExposure("the", c.address, c.tls, c.authenticated); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a host without addresses")
	}
	if _, _, err := (TLS{RequireClient: true}).open(nil); err == nil {
		t.Error("client certificates of nobody are required")
	}
}

// TestTakenAddress: an address that another holds is an error that names it.
func TestTakenAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var config Config
	newSite(t, func(c *Config) { config = *c })
	config.Recorder = telemetry.NewMetrics()
	config.HTTP, config.GRPC = "127.0.0.1:0", taken.Addr().String()
	if h, err := New(config); err == nil || h != nil || !strings.Contains(err.Error(), config.GRPC) {
		t.Errorf("host %v, error %v", h, err)
	}
}
