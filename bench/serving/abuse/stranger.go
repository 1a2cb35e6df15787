package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// strangers' and operators' ways that came later.
var later = []row{
	{"HTTP/1: 24 requests of odd framing: lengths, encodings, folded and bare lines", oddFraming},
	{"HTTP/1: `Expect: 100-continue` and no body, 200 connections", expectNothing},
	{"HTTP/1: a body of 20 MB for a route that takes none", bodyForNothing},
	{"HTTP: ten codings of a body", codings},
	{"HTTP: gzip of 60,000 empty members; of 50 MB that end early", gzipOdd},
	{"HTTP: methods, and paths that are encoded twice or have slashes in them", oddPaths},
	{"HTTP/2: a header table of 4 KB that is named 200,000 times", frames(tableBomb)},
	{"HTTP/2: windows that overflow, or grow by nothing", frames(windows)},
	{"gRPC: compressions that there are not, and flags without any", oddCompression},
	{"coverage: 16 odd values, in form and protocol", oddCoverage},
	{"parameters of 30 wrong types", oddParameters},
	{"one adapter loaded and unloaded 300 times, while four clients ask it and another", reloading},
	{"canaries and aliases set and taken away 200 times, while it is asked", renaming},
	{"audit log: removed, then a folder in its place, while it serves", auditGone},
	{"folder of adapters: replaced by a link, by a file, and put back", folderReplaced},
	{"state file: damaged, 2 MB of brackets, a folder", oddState},
	{"certificate: expired, not valid yet, damaged", oddCertificates},
	{"TLS: 200 handshakes that stop, 100 headers of a byte a second", slowTLS},
}

// oddFraming sends requests that proxies and servers are known to disagree about. What stands behind each must not be answered as a
// request of its own.
func oddFraming(_ context.Context, s *server) (string, error) {
	const behind = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
	post := func(header, body string) string {
		return "POST /v2/repository/index HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + s.token + "\r\n" + header + "\r\n\r\n" + body
	}
	statuses := map[string]int{}
	for _, text := range []string{
		post("Content-Length: +2", "{}"+behind), post("Content-Length: 2 2", "{}"+behind), post("Content-Length: 0x2", "{}"+behind), post("Content-Length: -1", behind),
		post("Content-Length: 2, 3", "{}"+behind), post("Content-Length: 99999999999999999999", "{}"+behind), post("Content-Length : 2", "{}"+behind),
		post("Content-Length: 2\r\nContent-Length: 3", "{}"+behind), post("Transfer-Encoding: xchunked", "0\r\n\r\n"+behind), post("Transfer-Encoding: identity, chunked", "0\r\n\r\n"+behind),
		post("Transfer-Encoding: chunked, identity", "0\r\n\r\n"+behind), post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"+behind),
		post("Transfer-Encoding: chunked\r\nContent-Length: 44", "0\r\n\r\n"+behind), post("Transfer-Encoding:\x0bchunked", "0\r\n\r\n"+behind), post("Transfer-Encoding: chunked", "2 \r\n{}\r\n0\r\n\r\n"+behind),
		post("Transfer-Encoding: chunked", "ffffffffffffffff\r\n{}\r\n0\r\n\r\n"+behind), post("Transfer-Encoding: chunked", "0x2\r\n{}\r\n0\r\n\r\n"+behind), post("Transfer-Encoding: chunked", "2\n{}\n0\n\n"+behind),
		post("X: a\r\n b: c\r\nContent-Length: 2", "{}"+behind), post("X\x00: a\r\nContent-Length: 2", "{}"+behind), post("X: a\rContent-Length: 44\r\nContent-Length: 2", "{}"+behind),
		"GET http://elsewhere/v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /livez HTTP/1.1\r\n\r\n", "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: elsewhere\r\n\r\n",
	} {
		c, err := dial(s.http)
		if err != nil {
			return "", err
		}
		_ = c.SetDeadline(time.Now().Add(3 * time.Second))
		_, _ = io.WriteString(c, text) // the server may have closed already
		answer, _ := io.ReadAll(c)     // until it closes, or the time is up
		c.Close()
		first, _, _ := strings.Cut(string(answer), "\r\n")
		if n := strings.Count(string(answer), "HTTP/1.1 "); n > 1 {
			first += fmt.Sprintf(" and %d more", n-1)
		}
		statuses[strings.TrimPrefix(first, "HTTP/1.1 ")]++
	}
	return counted(statuses), nil
}

func counted(statuses map[string]int) string {
	text, _ := json.Marshal(statuses) // in order
	return strings.Trim(strings.ReplaceAll(string(text), `"`, ""), "{}")
}

func expectNothing(_ context.Context, s *server) (string, error) {
	return each(200, func(int) (string, error) {
		c, err := dial(s.http)
		if err != nil {
			return "", err
		}
		defer c.Close()
		fmt.Fprintf(c, "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 60000000\r\n\r\n", s.token)
		_ = c.SetReadDeadline(time.Now().Add(45 * time.Second))
		text, _ := io.ReadAll(c)
		lines := strings.Split(string(text), "\r\n")
		last := "no answer"
		for _, line := range lines {
			if strings.HasPrefix(line, "HTTP/1.1 ") {
				last = line
			}
		}
		return last, nil
	})
}

func bodyForNothing(ctx context.Context, s *server) (string, error) {
	return said(s.send(ctx, "GET", "/v1/adapters", make([]byte, 20<<20)))
}

func codings(ctx context.Context, s *server) (string, error) {
	statuses := map[string]int{}
	body := zipped([]byte(`{}`))
	for _, coding := range []string{"gzip", "GZIP", " gzip ", "x-gzip", "identity", "gzip, gzip", "gzip,identity", "br", "deflate", "zstd"} {
		status, _, err := s.send(ctx, "POST", "/v2/repository/index", body, "Content-Encoding", coding)
		if err != nil {
			return "", err
		}
		statuses[fmt.Sprint(status)]++
	}
	return counted(statuses), nil
}

func gzipOdd(ctx context.Context, s *server) (string, error) {
	first, err := said(s.send(ctx, "POST", "/v2/models/busi/infer", bytes.Repeat(zipped(nil), 60_000), "Content-Encoding", "gzip"))
	if err != nil {
		return "", err
	}
	noise := make([]byte, 50<<20)
	_, _ = rand.Read(noise)
	z := zipped(noise)
	second, err := said(s.send(ctx, "POST", "/v2/models/busi/infer", z[:len(z)-9], "Content-Encoding", "gzip"))
	return first + "; " + second, err
}

func oddPaths(_ context.Context, s *server) (string, error) {
	statuses := map[string]int{}
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PRI", "get", "POST"} {
		for _, path := range []string{"/v2/models/%2562usi", "/v2/models/busi%2Finfer", "/v2/models/busi%252Finfer", "/v2//models/busi", "/v2/models/../models/busi", "/v2/models/%2e%2e/%2e%2e/etc/passwd",
			"/v2/models/%00", "/v2/models/%ff%fe", "/v2/models/" + strings.Repeat("%C3%A4", 5000), "/v2/models/a%0d%0aX:y", "/%5c..%5c", "*", "//livez", "/livez/", "/v2/models/busi/versions/%2F/infer"} {
			answer, err := raw(method+" "+path+" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+s.token+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")(context.Background(), s)
			if err != nil {
				return "", err
			}
			statuses[strings.TrimPrefix(answer, "HTTP/1.1 ")[:3]]++
		}
	}
	return counted(statuses), nil
}

// tableBomb fills the table of header fields with one of 4 KB and names it again and again.
func tableBomb(w io.Writer) error {
	long := strings.Repeat("a", 126)
	entry := append([]byte{0x40, 1, 'x', 126}, long...) // with indexing, by literal name
	head := append(request(), entry...)
	head = append(head, bytes.Repeat([]byte{0xbe}, 12_000)...) // the newest entry of the table
	for i := range uint32(20) {
		if _, err := w.Write(frameOf(1, 4, 2*i+1, head)); err != nil {
			return err
		}
	}
	return nil
}

func windows(w io.Writer) error {
	for i := range uint32(1000) {
		if _, err := w.Write(frameOf(1, 4, 2*i+1, request())); err != nil {
			return err
		}
		for _, by := range [][]byte{{0x7f, 0xff, 0xff, 0xff}, {0, 0, 0, 0}, {0x7f, 0xff, 0xff, 0xff}} {
			if _, err := w.Write(frameOf(8, 0, 2*i+1, by)); err != nil {
				return err
			}
		}
	}
	return nil
}

func oddCompression(ctx context.Context, s *server) (string, error) {
	statuses := map[string]int{}
	for _, coding := range []string{"", "identity", "gzip", "snappy", "zstd", "deflate", "gzip,gzip", strings.Repeat("x", 10_000)} {
		for _, flag := range []byte{0, 1, 2, 255} {
			answer, err := s.call(ctx, h2(), "/inference.GRPCInferenceService/ServerMetadata", true, bytes.NewReader(frame(flag, []byte{0xff, 0xff})), "Grpc-Encoding", coding)
			if err != nil {
				answer = "error"
			}
			statuses[strings.Join(strings.Fields(answer + " ")[:min(2, len(strings.Fields(answer)))], " ")]++
		}
	}
	return counted(statuses), nil
}

func oddCoverage(ctx context.Context, s *server) (string, error) {
	statuses := map[string]int{}
	image := base64.StdEncoding.EncodeToString(picture(50))
	for _, v := range []string{"0.9", "0", "1", "-0", "1e-320", "0.99999999999999999999", "1e999", "-1", `"0.9"`, "true", "null", "[0.9]", "{}", "NaN", "0.5e", strings.Repeat("9", 100_000)} {
		status, _, err := s.send(ctx, "POST", "/v2/models/busi/infer", fmt.Appendf(nil, `{"parameters":{"coverage":%s},"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":[%q]}]}`, v, image))
		if err != nil {
			return "", err
		}
		statuses[fmt.Sprintf("%d", status)]++
		body, media := form(picture(50), "busi")
		field := "Content-Disposition: form-data; name=\"coverage\"\r\n\r\n" + v + "\r\n"
		_, boundary, _ := strings.Cut(media, "boundary=")
		body = append([]byte("--"+boundary+"\r\n"+field), body...)
		if status, _, err = s.send(ctx, "POST", "/v1/predict", body, "Content-Type", media); err != nil {
			return "", err
		}
		statuses[fmt.Sprintf("%d", status)]++
	}
	return counted(statuses), nil
}

func oddParameters(ctx context.Context, s *server) (string, error) {
	statuses := map[string]int{}
	image := base64.StdEncoding.EncodeToString(picture(50))
	for _, name := range []string{"timeout", "binary_data_output", "coverage", "explain", "id"} {
		for _, v := range []string{`"x"`, "[]", `{"a":{"b":[]}}`, "1.5", "-9223372036854775809", "null"} {
			status, _, err := s.send(ctx, "POST", "/v2/models/busi/infer", fmt.Appendf(nil, `{"parameters":{%q:%s},"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":[%q]}]}`, name, v, image))
			if err != nil {
				return "", err
			}
			statuses[fmt.Sprint(status)]++
		}
	}
	return counted(statuses), nil
}

// whileAsked does things while clients ask adapters, and tells the answers by status; those that are given must be right.
func (s *server) whileAsked(ctx context.Context, adapters []string, do func() error) (string, error) {
	var group sync.WaitGroup
	var mu sync.Mutex
	statuses, wrong := map[string]int{}, error(nil)
	stop := make(chan struct{})
	for i := range 2 * len(adapters) {
		name := adapters[i%len(adapters)]
		group.Go(func() {
			body, media := form(picture(100), name)
			for {
				select {
				case <-stop:
					return
				default:
				}
				status, text, err := s.send(ctx, "POST", "/v1/predict", body, "Content-Type", media)
				mu.Lock()
				statuses[fmt.Sprint(status)]++
				if err == nil && status == http.StatusOK && !strings.Contains(string(text), `"logits":`+s.want) {
					wrong = fmt.Errorf("WRONG: %.200s", text)
				}
				mu.Unlock()
			}
		})
	}
	err := do()
	close(stop)
	group.Wait()
	return "answers by status: " + counted(statuses), errors.Join(err, wrong)
}

func reloading(ctx context.Context, s *server) (string, error) {
	return s.whileAsked(ctx, []string{"busi", "other"}, func() error {
		for range 300 {
			for _, what := range []string{"unload", "load"} {
				if status, text, err := s.send(ctx, "POST", "/v2/repository/models/other/"+what, nil); err != nil || status != http.StatusOK {
					return fmt.Errorf("%s: %d %.100s, %v", what, status, text, err)
				}
			}
		}
		return nil
	})
}

func renaming(ctx context.Context, s *server) (string, error) {
	return s.whileAsked(ctx, []string{"busi", "busi@x"}, func() error {
		for i := range 200 {
			for _, r := range [][3]string{{"PUT", "aliases/x", `{"version":"1"}`}, {"PUT", "canary", `{"version":"x","weight":0.5}`}, {"DELETE", "canary", ""}, {"DELETE", "aliases/x", ""}} {
				status, text, err := s.send(ctx, r[0], "/v1/adapters/busi/"+r[1], []byte(r[2]))
				if err != nil || status >= 500 {
					return fmt.Errorf("%d, %v: %d %.100s, %v", i, r, status, text, err)
				}
			}
		}
		return nil
	})
}

func auditGone(ctx context.Context, s *server) (string, error) {
	path := filepath.Join(s.dir, "audit.jsonl")
	ask := func() string {
		body, media := form(picture(50), "busi")
		status, text, err := s.send(ctx, "POST", "/v1/predict", body, "Content-Type", media)
		if err != nil || status >= 400 {
			return fmt.Sprintf("%d %.60s", status, text)
		}
		return fmt.Sprint(status)
	}
	if err := os.Rename(path, path+".away"); err != nil {
		return "", err
	}
	time.Sleep(1500 * time.Millisecond)
	removed := ask()
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		return "", err
	}
	time.Sleep(1500 * time.Millisecond)
	folder := ask()
	err := os.Remove(path)
	time.Sleep(1500 * time.Millisecond)
	return fmt.Sprintf("removed: %s; a folder: %s; removed again: %s", removed, folder, ask()), err
}

func folderReplaced(ctx context.Context, s *server) (string, error) {
	away := s.folder + ".away"
	ready := func() string {
		time.Sleep(1200 * time.Millisecond)
		status, _, _ := s.send(ctx, "GET", "/readyz", nil)
		body, media := form(picture(50), "busi")
		answer, _, _ := s.send(ctx, "POST", "/v1/predict", body, "Content-Type", media)
		return fmt.Sprintf("ready %d, answer %d", status, answer)
	}
	if err := os.Rename(s.folder, away); err != nil {
		return "", err
	}
	gone := ready()
	err := os.Symlink(away, s.folder)
	link := ready()
	err = errors.Join(err, os.Remove(s.folder), os.WriteFile(s.folder, []byte("no folder"), 0o600))
	file := ready()
	err = errors.Join(err, os.Remove(s.folder), os.Rename(away, s.folder))
	return fmt.Sprintf("gone: %s; a link: %s; a file: %s; back: %s", gone, link, file, ready()), err
}

func oddState(ctx context.Context, s *server) (string, error) {
	path := filepath.Join(s.dir, "state.json")
	var said []string
	for _, text := range []string{"{", strings.Repeat("[", 2<<20), "\x00\x01"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
		line, err := s.refusedStart(ctx, "--state-file", path)
		if err != nil {
			return "", err
		}
		said = append(said, line)
	}
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		return "", err
	}
	line, err := s.refusedStart(ctx, "--state-file", path)
	return strings.ReplaceAll(strings.Join(append(said, line), "; "), s.dir+"/", ""), err
}

// certificate writes a certificate of 127.0.0.1 and its key.
func (s *server) certificate(name string, from, to time.Time) (cert, key string, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	cert, key = filepath.Join(s.dir, name+".pem"), filepath.Join(s.dir, name+".key")
	return cert, key, errors.Join(err, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
}

func oddCertificates(ctx context.Context, s *server) (string, error) {
	now := time.Now()
	var said []string
	for name, life := range map[string][2]time.Duration{"expired": {-2 * time.Hour, -time.Hour}, "early": {time.Hour, 2 * time.Hour}} {
		cert, key, err := s.certificate(name, now.Add(life[0]), now.Add(life[1]))
		if err != nil {
			return "", err
		}
		line, err := s.refusedStart(ctx, "--tls-cert", cert, "--tls-key", key)
		if err != nil {
			return "", err
		}
		said = append(said, line)
	}
	return strings.ReplaceAll(strings.Join(said, "; "), s.dir+"/", ""), nil
}

// slowTLS starts a further server, which takes TLS.
func slowTLS(ctx context.Context, s *server) (string, error) {
	cert, key, err := s.certificate("tls", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, s.melo, "--json", "serve", "--base", s.base, "--adapters", s.folder, "--listen", "127.0.0.1:0", "--grpc-listen", "off", "--tls-cert", cert, "--tls-key", key, "--log-level", "warn")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var doc struct{ HTTP string }
	if err := json.NewDecoder(out).Decode(&doc); err != nil {
		return "", err
	}
	address := strings.Replace(doc.HTTP, "https://", "http://", 1) // of dial
	config := &tls.Config{InsecureSkipVerify: true}
	answer, err := each(300, func(i int) (string, error) {
		c, err := dial(address)
		if err != nil {
			return "", err
		}
		defer c.Close()
		began := time.Now()
		if i < 200 {
			_, _ = c.Write([]byte{22, 3, 1, 2, 0, 1}) // the beginning of a greeting
		} else {
			encrypted := tls.Client(c, config)
			if err := encrypted.HandshakeContext(ctx); err != nil {
				return "no handshake", nil
			}
			for _, b := range []byte("GET /livez HTTP/1.1\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaa") {
				if _, err := encrypted.Write([]byte{b}); err != nil || time.Since(began) > 25*time.Second {
					break
				}
				time.Sleep(time.Second)
			}
		}
		_ = c.SetReadDeadline(began.Add(40 * time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			return "kept", nil
		}
		return "sent away within 40 s", nil
	})
	if err != nil {
		return "", err
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: config}}
	response, err := client.Get(doc.HTTP + "/livez")
	if err != nil {
		return answer, err
	}
	response.Body.Close()
	return fmt.Sprintf("%s; then %d", answer, response.StatusCode), nil
}
