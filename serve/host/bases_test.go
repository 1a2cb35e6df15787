package host

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/internal/golden"
	"melo.example/melo/serve"
	"melo.example/melo/serve/servetest"
	"melo.example/melo/serve/wire"
	"melo.example/melo/vit"
)

// running is a server of some bases, under way.
type running struct {
	*Server
	t   *testing.T
	url string
	log *lockedBuffer
}

func serveBases(t *testing.T, dir string, change func(*Settings), paths ...string) *running {
	t.Helper()
	r := &running{t: t, log: &lockedBuffer{}}
	s := Settings{Engine: serve.Config{Base: paths[0], Bases: paths[1:], Adapters: dir, Workers: 2}, HTTP: "127.0.0.1:0",
		AuditLog: filepath.Join(t.TempDir(), "audit.jsonl"), Log: slog.New(slog.NewTextHandler(r.log, nil))}
	if change != nil {
		change(&s)
	}
	var err error
	if r.Server, err = OpenServer(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(ctx) }()
	r.url = "http://" + r.Address("http")
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		r.Close()
	})
	return r
}

// get returns a body, and decodes it into v if that is not nil.
func (r *running) get(path string, v any) string {
	r.t.Helper()
	return r.read(http.Get(r.url + path))(v)
}

func (r *running) read(response *http.Response, err error) func(v any) string {
	return func(v any) string {
		r.t.Helper()
		if err != nil {
			r.t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			r.t.Fatal(err)
		}
		if v != nil {
			if err := json.Unmarshal(body, v); err != nil {
				r.t.Fatalf("%s: %v", body, err)
			}
		}
		return string(body)
	}
}

// form asks all adapters about a picture.
func (r *running) form() (p wire.Prediction, text string) {
	r.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	f, err := w.CreateFormFile("image", "scan.png")
	if err == nil {
		_, err = f.Write(servetest.PNG(r.t, 1, 40, 30))
	}
	if err == nil {
		err = w.WriteField("adapter", "all")
	}
	if err = firstOf(err, w.Close()); err != nil {
		r.t.Fatal(err)
	}
	text = r.read(http.Post(r.url+"/v1/predict", w.FormDataContentType(), &b))(&p)
	return p, text
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// infer asks an adapter about a tensor of a side.
func (r *running) infer(name string, side int) string {
	values := strings.TrimSuffix(strings.Repeat("0.5,", 3*side*side), ",")
	body := fmt.Sprintf(`{"inputs":[{"name":"pixel_values","datatype":"FP32","shape":[1,3,%d,%d],"data":[%s]}]}`, side, side, values)
	return r.read(http.Post(r.url+"/v2/models/"+name+"/infer", "application/json", strings.NewReader(body)))(nil)
}

// TestSeveralBases: documents, metrics, probes, the audit log and the log name the base of each adapter; inputs have the side
// of the adapter's own base; bases come and go. A server of one base has no word of that.
func TestSeveralBases(t *testing.T) {
	small, large := filepath.Join(golden.Root(t), "hf_vit"), filepath.Join(golden.Root(t), "dinov2")
	dir := t.TempDir()
	servetest.AdapterOn(t, dir, "lesion", small, 1)
	servetest.AdapterOn(t, dir, "view", large, 2)
	one := serveBases(t, dir, nil, small)
	alone, _ := one.form()
	for _, path := range []string{"/v1/adapters", "/readyz", "/metrics", "/v2/models/lesion"} {
		if text := one.get(path, nil); strings.Contains(text, `"bases"`) || strings.Contains(text, `"base":"hf_vit","`) && path == "/v1/adapters" || strings.Contains(text, "melo_base_loads") {
			t.Errorf("one base, %s: %s", path, text)
		}
	}
	if _, text := one.form(); strings.Contains(text, `"base"`) || !strings.Contains(text, `"precision":"f32","notice"`) {
		t.Errorf("one base: %s", text)
	}
	var audits string
	r := serveBases(t, dir, func(s *Settings) { audits = s.AuditLog }, small, large)
	p, text := r.form()
	if len(p.Results) != 2 || p.Results[0].Adapter.Base != "hf_vit" || p.Results[1].Adapter.Base != "dinov2" || p.Results[1].Precision != "f32" || p.Precision != "" {
		t.Fatal(text)
	}
	if len(alone.Results) != 1 || !slices.Equal(alone.Results[0].Logits, p.Results[0].Logits) {
		t.Errorf("%+v, alone %+v", p.Results, alone.Results)
	}
	var list wire.AdapterList
	r.get("/v1/adapters", &list)
	if len(list.Bases) != 2 || list.Bases[1].Name != "dinov2" || list.Bases[1].Side != 28 || list.Bases[1].Adapters != 1 || list.Bases[1].Resident == 0 ||
		list.Adapters[1].Base != "dinov2" {
		t.Errorf("%+v", list)
	}
	if b := list.BaseOf(&list.Adapters[1]); b.Name != "dinov2" || b.Side != 28 {
		t.Errorf("%+v", b)
	}
	for text, want := range map[string]string{
		r.get("/readyz", nil):         `{"name":"dinov2","state":"READY","resident":true}`,
		r.get("/v2/models/view", nil): `"shape":[-1,3,28,28]`,
		r.get("/metrics", nil):        `melo_adapter_base_info{adapter="view",base="dinov2"`,
		r.infer("view", 28):           `"base":"dinov2"`,
		r.infer("lesion", 16):         `"base":"hf_vit"`,
		r.infer("view", 16):           `[n,3,28,28]`,
		r.infer("lesion", 28):         `[n,3,16,16]`,
		r.log.String():                `msg="base loaded" base=dinov2`,
		readText(t, audits):           `"detail":"base: dinov2"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s, expected %s", text, want)
		}
	}
	if err := r.SetBases(t.Context(), []string{large}, nil, nil); err != nil {
		t.Fatal(err)
	}
	list = wire.AdapterList{}
	r.get("/v1/adapters", &list)
	if c := list.Adapters[0]; len(list.Bases) != 1 || c.State != string(serve.Unavailable) || c.Base != "" || !strings.Contains(c.Reason, `another base ("hf_vit")`) {
		t.Errorf("%+v", list)
	}
	if p, text := r.form(); len(p.Results) != 1 || p.Results[0].Adapter.Name != "view" {
		t.Error(text)
	}
	if err := one.SetBases(t.Context(), []string{small, large}, nil, nil); err == nil {
		t.Error("a server of one base took another")
	}
}

// TestBasesThatDoNotFit: the answer names the base and the budget; a pinned base that cannot be loaded ends the start.
func TestBasesThatDoNotFit(t *testing.T) {
	small, large := filepath.Join(golden.Root(t), "hf_vit"), filepath.Join(golden.Root(t), "dinov2")
	dir := t.TempDir()
	servetest.AdapterOn(t, dir, "view", large, 2)
	r := serveBases(t, dir, func(s *Settings) { s.Engine.BaseBudget = 1000 }, small, large)
	if _, text := r.form(); !strings.Contains(text, "base dinov2 takes about") || !strings.Contains(text, "1000") {
		t.Error(text)
	}
	if text := r.get("/v1/adapters", nil); !strings.Contains(text, "budget") {
		t.Error(text)
	}
	_, err := OpenServer(t.Context(), Settings{Engine: serve.Config{Base: small, Bases: []string{large}, Adapters: dir, BaseBudget: 1000, Pinned: []string{"dinov2"}, Precision: vit.F32}, HTTP: "127.0.0.1:0"})
	if err == nil || !strings.Contains(err.Error(), "dinov2") {
		t.Errorf("error %v", err)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
