package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"melo.example/melo/serve/access"
)

// server is a "melo serve" under test.
type server struct {
	options
	dir, folder string
	token       string
	issuer      *issuer
	cmd         *exec.Cmd
	ended       chan error
	http, grpc  string // addresses
	want        string // of the ordinary question
	client      *http.Client
	log         *os.File
}

func start(ctx context.Context, o options) (*server, error) {
	dir, err := os.MkdirTemp("", "melo-abuse")
	if err != nil {
		return nil, err
	}
	s := &server{options: o, dir: dir, folder: filepath.Join(dir, "adapters"), issuer: newIssuer(),
		client: &http.Client{Timeout: most, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	text, err := os.ReadFile(o.adapter)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.folder, 0o700); err != nil {
		return nil, err
	}
	token, hash := access.NewToken()
	s.token = token
	if s.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	return s, errors.Join(os.WriteFile(filepath.Join(s.folder, "busi.safetensors"), text, 0o600),
		os.WriteFile(filepath.Join(s.folder, "other.safetensors"), text, 0o600),
		os.WriteFile(filepath.Join(dir, "tokens"), []byte("abuse admin "+hash+"\n"), 0o600), s.restart(ctx))
}

// restart starts the program, and asks the ordinary question for the first time.
func (s *server) restart(ctx context.Context) error {
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), s.melo, "--json", "serve", "--base", s.base, "--adapters", s.folder, "--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0",
		"--tokens", filepath.Join(s.dir, "tokens"), "--oidc-issuer", s.issuer.URL, "--oidc-audience", "melo", "--audit-log", filepath.Join(s.dir, "audit.jsonl"),
		"--log-level", "warn", "--rescan", "500ms")
	s.cmd.Stderr = s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	var doc struct{ HTTP, GRPC string }
	if err := json.NewDecoder(out).Decode(&doc); err != nil {
		return fmt.Errorf("the server did not start, see %s: %w", s.log.Name(), err)
	}
	s.http, s.grpc = doc.HTTP, "http://"+doc.GRPC
	s.ended = make(chan error, 1)
	go func() { s.ended <- s.cmd.Wait() }()
	got, err := s.ask(ctx)
	if s.want == "" {
		s.want = got
	}
	return err
}

// refusedStart starts another server of the base with an option that it should refuse, and tells what it says.
func (s *server) refusedStart(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, s.melo, append([]string{"serve", "--base", s.base, "--adapters", s.folder, "--listen", "127.0.0.1:0", "--grpc-listen", "off"}, args...)...).CombinedOutput()
	if err == nil || ctx.Err() != nil {
		return "", fmt.Errorf("it started: %.200s", out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1], nil
}

// close ends it.
func (s *server) close() {
	s.cmd.Process.Kill()
	s.issuer.Close()
	os.RemoveAll(s.folder)
}

// alive is an error once it has ended.
func (s *server) alive() error {
	select {
	case err := <-s.ended:
		s.ended <- err
		return fmt.Errorf("the server has ended: %v", err)
	default:
		return nil
	}
}

// status is a number of bytes in /proc/PID/status.
func (s *server) peak() int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}

func (s *server) resetPeak() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.cmd.Process.Pid), []byte("5"), 0)
}

// picture is what the ordinary question is about.
func picture(side int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for i := range side * side {
		img.Set(i%side, i/side, color.RGBA{uint8(i), uint8(i / 7), uint8(i / side), 255})
	}
	var b bytes.Buffer
	_ = png.Encode(&b, img) // into memory
	return b.Bytes()
}

// form is a body of /v1/predict.
func form(pic []byte, adapters ...string) (body []byte, media string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, a := range adapters {
		_ = w.WriteField("adapter", a)
	}
	part, _ := w.CreateFormFile("image", "x")
	_, _ = part.Write(pic)
	w.Close()
	return b.Bytes(), w.FormDataContentType()
}

// ask asks the ordinary question and returns the logits.
func (s *server) ask(ctx context.Context) (string, error) {
	body, media := form(picture(100), "busi")
	status, text, err := s.send(ctx, "POST", "/v1/predict", body, "Content-Type", media)
	if err != nil || status != http.StatusOK {
		return "", fmt.Errorf("status %d, %.100s, %v", status, text, err)
	}
	var doc struct {
		Results []struct{ Logits json.RawMessage }
	}
	if err := json.Unmarshal(text, &doc); err != nil || len(doc.Results) != 1 {
		return "", fmt.Errorf("answer %.100s, %v", text, err)
	}
	return string(doc.Results[0].Logits), nil
}

// ordinary is an error unless the ordinary question has its answer.
func (s *server) ordinary(ctx context.Context) error {
	if err := s.alive(); err != nil {
		return err
	}
	got, err := s.ask(ctx)
	if err == nil && got != s.want {
		err = fmt.Errorf("WRONG: %s, was %s", got, s.want)
	}
	return err
}

// send sends a request with the token.
func (s *server) send(ctx context.Context, method, path string, body []byte, header ...string) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.http+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := s.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, text, err
}

// said is a status and the error that stands in a document.
func said(status int, text []byte, err error) (string, error) {
	if err != nil {
		return "", err
	}
	var doc struct{ Error string }
	_ = json.Unmarshal(text, &doc) // or there is no error in it
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, doc.Error)), nil
}

// terminate sends SIGTERM and tells how the program ended, and starts it again.
func (s *server) terminate(ctx context.Context) (string, error) {
	began := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return "", err
	}
	select {
	case err := <-s.ended:
		how := "exit 0"
		if err != nil {
			how = err.Error()
		}
		return fmt.Sprintf("%s after %.1f s", how, time.Since(began).Seconds()), s.restart(ctx)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func matches(name, only string) bool { return only == "" || strings.Contains(name, only) }
