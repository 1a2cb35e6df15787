package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"melo.example/melo/client"
	"melo.example/melo/predictions"
	"melo.example/melo/serve/access"
	"melo.example/melo/serve/audit"
	"melo.example/melo/serve/host"
)

// served is a "melo serve" in a process of its own.
type served struct {
	t   *testing.T
	doc host.Document
	cmd *exec.Cmd
	log logBuffer
}

// logBuffer is the log of a server that goes on writing it.
type logBuffer struct {
	mu   sync.Mutex
	text []byte
}

// Write appends.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// startServer starts the program and waits until it answers.
func startServer(t *testing.T, adapters string, args ...string) *served {
	t.Helper()
	return startServerOf(t, append([]string{"--base", goldenDir("hf_vit"), "--adapters", adapters}, args...)...)
}

// startServerOf is startServer of other bases.
func startServerOf(t *testing.T, args ...string) *served {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGTERM here")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	s := &served{t: t}
	s.cmd = exec.Command(path, append([]string{"--json", "serve", "--workers", "1",
		"--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0", "--rescan", "100ms", "--drain-delay", "200ms"}, args...)...)
	s.cmd.Stderr = &s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	})
	d := json.NewDecoder(out)
	d.DisallowUnknownFields()
	if err := d.Decode(&s.doc); err != nil {
		s.cmd.Wait()
		t.Fatalf("no document: %v\n%s", err, s.log.String())
	}
	return s
}

// terminate sends SIGTERM and expects a clean end.
func (s *served) terminate() {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("after SIGTERM: %v\n%s", err, s.log.String())
	}
}

// adapterFolder has one trained adapter, toy, and a damaged file.
func adapterFolder(t *testing.T) (folder, adapter string, images []string) {
	t.Helper()
	data := trainingSet(t, 2, 12)
	adapter = trained(t, data)
	text, err := os.ReadFile(adapter)
	if err != nil {
		t.Fatal(err)
	}
	folder = t.TempDir()
	for name, content := range map[string][]byte{"toy": text, "damaged": text[:len(text)/2]} {
		if err := os.WriteFile(filepath.Join(folder, name+".safetensors"), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	images, err = filepath.Glob(filepath.Join(data, "class_*", "0*.png"))
	if err != nil || len(images) < 8 {
		t.Fatal(err, len(images))
	}
	return folder, adapter, images
}

func TestServeAndPredictOnServer(t *testing.T) {
	folder, adapter, images := adapterFolder(t)
	line := melo(t, "--json", "token", "new", "--name", "ris", "--role", "viewer", "--expires", "2999-01-01").want(t, exitDone)
	var token access.Issued
	line.decode(t, &token)
	tokens := write(t, "tokens", []byte(token.Line+"\n"))
	log := filepath.Join(t.TempDir(), "audit.jsonl")
	s := startServer(t, folder, "--tokens", tokens, "--audit-log", log)
	if len(s.doc.Adapters) != 1 || s.doc.Adapters[0].Name != "toy" || len(s.doc.Refused) != 1 || s.doc.Refused[0].File != "damaged.safetensors" ||
		s.doc.Anonymous != "public" || s.doc.HTTP == "" || s.doc.GRPC == "" {
		t.Errorf("got %+v", s.doc)
	}
	var here, there predictions.Document
	melo(t, append([]string{"--json", "predict", "--adapter", adapter, "--precision", s.doc.Precision}, images...)...).want(t, exitDone).decode(t, &here)
	melo(t, append([]string{"predict", "--server", s.doc.HTTP, "--adapter", "toy"}, images...)...).want(t, exitBadInput) // without a token
	t.Setenv(tokenVariable, token.Token)
	melo(t, append([]string{"--json", "predict", "--server", s.doc.HTTP, "--adapter", "toy"}, images...)...).want(t, exitDone).decode(t, &there)
	if !reflect.DeepEqual(here.Results, there.Results) || !reflect.DeepEqual(here.Labels, there.Labels) || here.Adapter.Digest != there.Adapter.Digest || here.Task != there.Task {
		t.Errorf("here %+v\nthere %+v", here, there)
	}
	digits := strings.TrimPrefix(there.Adapter.Digest, "sha256:")[:12]
	r := melo(t, "predict", "--csv", "--server", s.doc.HTTP+"/", "--adapter", "toy@"+digits, images[0]).want(t, exitDone)
	if !strings.HasPrefix(r.out, "image,label,probability,class_a,class_b,unlike,fit_score,fit_percentile\n"+images[0]) {
		t.Error(r.out)
	}
	checkServedMaps(t, s, token.Token, adapter, images[:2])
	// What is wrong is said in one line, and does not stop what is right.
	bad := write(t, "bad.png", []byte("no picture"))
	r = melo(t, "predict", "--server", s.doc.HTTP, "--adapter", "toy", bad, images[0], filepath.Join(t.TempDir(), "missing.png")).want(t, exitBadInput)
	if !strings.Contains(r.out, images[0]) || !strings.Contains(r.err, "bad.png") || !strings.Contains(r.err, "missing.png") || !strings.Contains(r.err, "2 of 3") {
		t.Errorf("stdout %s, stderr %s", r.out, r.err)
	}
	melo(t, "predict", "--server", s.doc.HTTP, "--adapter", "nobody", images[0]).want(t, exitBadInput)
	melo(t, "predict", "--server", s.doc.HTTP, "--adapter", "toy@00000000", images[0]).want(t, exitFailed)
	melo(t, "predict", "--server", s.doc.HTTP, "--adapter", "toy", "--token-file", write(t, "t", []byte("wrong")), images[0]).want(t, exitBadInput)
	s.terminate()
	var verified audit.Document
	melo(t, "--json", "audit", "verify", log).want(t, exitDone).decode(t, &verified)
	if verified.Entries < uint64(len(images)) || !strings.Contains(s.log.String(), verified.Head) {
		t.Errorf("%+v; the server's log should end with its head:\n%s", verified, s.log.String())
	}
	melo(t, "audit", "verify", log, "--head", verified.Head).want(t, exitDone)
	text, _ := os.ReadFile(log)
	if n := bytes.Count(text, []byte(`"action":"explain"`)); n != 8 || !bytes.Contains(text, []byte("method: occlusion")) {
		t.Errorf("the log has %d maps, expected 8, with their methods:\n%s", n, text)
	}
	for _, image := range images {
		if bytes.Contains(text, []byte(filepath.Base(image))) || strings.Contains(s.log.String(), filepath.Base(image)) {
			t.Fatalf("the name of %s is in a log", image)
		}
	}
	// Tampering is named.
	text = bytes.Replace(text, []byte(`"client":"ris"`), []byte(`"client":"abc"`), 1)
	r = melo(t, "audit", "verify", write(t, "changed.jsonl", text)).want(t, exitBadInput)
	if !strings.Contains(r.err, "changed.jsonl: line ") || !strings.Contains(r.err, "it was changed") {
		t.Error(r.err)
	}
	r = melo(t, "audit", "verify", write(t, "cut.jsonl", text[:bytes.IndexByte(text, '\n')+1]), "--head", verified.Head).want(t, exitBadInput)
	if !strings.Contains(r.err, "cut off") {
		t.Error(r.err)
	}
	melo(t, "audit", "verify", log, "--head", "x").want(t, exitUsage)
	melo(t, "predict", "--server", s.doc.HTTP, "--adapter", "toy", images[0]).want(t, exitFailed) // it is gone
}

func TestPredictOnWhatIsNoServer(t *testing.T) {
	t.Parallel()
	image := pictures(t, 1)[0]
	for name, answer := range map[string]http.HandlerFunc{
		"a page":   func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusTeapot) },
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.invalid/", http.StatusFound)
		},
		"other JSON":  func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") },
		"hangs up":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"much of it":  func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, client.MaxAnswer+1)) },
		"a wrong API": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"adapters": 7}`) },
	} {
		server := httptest.NewServer(answer)
		r := melo(t, "predict", "--server", server.URL, "--adapter", "toy", image)
		server.Close()
		if r.status == exitDone || strings.Count(r.err, "\n") != 1 || r.out != "" {
			t.Errorf("%s: status %d, %q, %q", name, r.status, r.out, r.err)
		}
	}
	for _, args := range [][]string{{"--server", "localhost:1", "--adapter", "x"}, {"--server", "http://x"}, {"--server", "http://x", "--adapter", "a", "--base", "b"},
		{"--base", "b", "--token-file", "t"}, {"--server", "http://u:p@x", "--adapter", "a"}} {
		melo(t, append(append([]string{"predict"}, args...), image)...).want(t, exitUsage)
	}
}

// SIGTERM under load: every request that was let in is answered.
func TestServerEndsUnderLoad(t *testing.T) {
	t.Parallel()
	folder, _, images := adapterFolder(t)
	log := filepath.Join(t.TempDir(), "audit.jsonl")
	s := startServer(t, folder, "--audit-log", log, "--log-level", "warn")
	image, err := os.ReadFile(images[0])
	if err != nil {
		t.Fatal(err)
	}
	var answered atomic.Int64
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			c, err := client.New(client.Options{Server: s.doc.HTTP,
				HTTP: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}})
			if err != nil {
				t.Error(err)
				return
			}
			for {
				_, err := c.Predict(context.Background(), client.Question{Adapter: "toy"}, image)
				if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				answered.Add(1)
			}
		})
	}
	for answered.Load() < 20 {
		time.Sleep(10 * time.Millisecond)
	}
	s.terminate()
	group.Wait()
	text, _ := os.ReadFile(log)
	if n := int64(bytes.Count(text, []byte(`"action":"predict"`))); n != answered.Load() {
		t.Errorf("%d answered, %d in the audit log", answered.Load(), n)
	}
}

// A server that is killed while it publishes leaves the old file or the new one, an audit log that can be continued, and
// nothing that keeps the next start from working.
func TestServerIsKilledWhilePublishing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a server several times")
	}
	folder, adapter, images := adapterFolder(t)
	first, err := os.ReadFile(adapter)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(trained(t, trainingSet(t, 2, 12), "--seed", "9"))
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "audit.jsonl")
	image, _ := os.ReadFile(images[0])
	answered := 0
	for round := range 4 {
		s := startServer(t, folder, "--audit-log", log, "--precision", "f32", "--log-level", "error")
		c, err := client.New(client.Options{Server: s.doc.HTTP, HTTP: &http.Client{Timeout: 30 * time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Predict(t.Context(), client.Question{Adapter: "toy"}, image); err != nil {
			t.Fatal(err)
		}
		answered++
		var group sync.WaitGroup
		group.Go(func() {
			for i := 0; ; i++ {
				body, _ := json.Marshal(map[string]any{"parameters": map[string]string{"file:1/x": base64.StdEncoding.EncodeToString([][]byte{first, second}[i%2])}})
				response, err := http.Post(s.doc.HTTP+"/v2/repository/models/toy/load", "application/json", bytes.NewReader(body))
				if err != nil {
					return
				}
				response.Body.Close()
				if response.StatusCode != http.StatusOK {
					t.Errorf("publishing: status %d", response.StatusCode)
					return
				}
			}
		})
		time.Sleep(time.Duration(50+rand.IntN(150)) * time.Millisecond)
		s.cmd.Process.Kill()
		s.cmd.Wait()
		group.Wait()
		now, err := os.ReadFile(filepath.Join(folder, "toy.safetensors"))
		if err != nil || !bytes.Equal(now, first) && !bytes.Equal(now, second) {
			t.Fatalf("round %d: the adapter is neither the old nor the new one: %v", round, err)
		}
	}
	s := startServer(t, folder, "--audit-log", log)
	if len(s.doc.Adapters) != 1 || len(s.doc.Refused) != 1 {
		t.Errorf("got %+v", s.doc)
	}
	s.terminate()
	var verified audit.Document
	melo(t, "--json", "audit", "verify", log).want(t, exitDone).decode(t, &verified)
	text, _ := os.ReadFile(log)
	if n := bytes.Count(text, []byte(`"action":"predict"`)); n != answered {
		t.Errorf("%d answered, %d in the audit log", answered, n)
	}
}
