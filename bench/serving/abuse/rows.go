package main

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// rows are what is tried, in this order.
var rows = []row{
	{"gRPC: 60 MiB of empty inputs, 61 KB by gzip, no token", grpcBomb(false, true)},
	{"gRPC: the same, with a token", grpcBomb(true, true)},
	{"gRPC: 60 MiB of empty inputs, not compressed", grpcBomb(true, false)},
	{"gRPC: 12 clients without a token, 60 MB each", strangers},
	{"gRPC: 12 messages of 8 MB that stop one byte short", stopShort},
	{"HTTP: 64 bodies that stop one byte short", slowBodies},
	{"HTTP: 70 MiB of zeros by gzip", gzipBody},
	{"JSON: 8 MiB of {\"inputs\":[{},{},...]}", jsonOf("inputs")},
	{"JSON: 8 MiB of {\"parameters\":{\"0\":1,...}}", jsonOf("parameters")},
	{"3 progressive JPEGs of thousands of empty scans", scans},
	{"PNG of 49,000,000 x 1, 47 KB", hugePNG(49_000_000, 1, 8)},
	{"PNG of 9999 x 9999 RGB16", hugePNG(9999, 9999, 16)},
	{"4 clients at once with PNGs of 9000 x 5000", manyPNG},
	{"form: an adapter named 4,096 times", repeated},
	{"form: cut in the middle", cutForm},
	{"tensor of 3e38", hugeNumbers},
	{"OIDC: 150 tokens with made-up keys", madeUpKeys},
	{"cp over an adapter in the folder, 200 times, while it is asked", writtenOver},
	{"a named pipe with an adapter's name", pipe},
	{"an adapter file of 99 MB of spaces", hostileFile(spaces)},
	{"an adapter file of 300,000 entries", hostileFile(entries)},
	{"SIGHUP", hangup},
	{"SIGTERM with an idle stream and 8 bodies that stop short", terminateBusy},
}

// h2 is a client of the gRPC address, of a connection of its own.
func h2() *http.Client {
	t := &http.Transport{Protocols: &http.Protocols{}}
	t.Protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: t}
}

const inferMethod = "/inference.GRPCInferenceService/ModelInfer"

// call sends a gRPC message as it is, and returns the status.
func (s *server) call(ctx context.Context, c *http.Client, method string, token bool, body io.Reader, header ...string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, "POST", s.grpc+method, body)
	if err != nil {
		return "", err
	}
	r.ContentLength = -1
	r.Header.Set("Content-Type", "application/grpc")
	if token {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return "", err
	}
	return fmt.Sprintf("status %s %s", response.Trailer.Get("Grpc-Status"), response.Trailer.Get("Grpc-Message")), nil
}

func frame(compressed byte, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{compressed}, uint32(len(data))), data...)
}

func zipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data) // into memory
	w.Close()
	return b.Bytes()
}

func grpcBomb(token, compressed bool) func(context.Context, *server) (string, error) {
	return func(ctx context.Context, s *server) (string, error) {
		data := bytes.Repeat([]byte{0x2a, 0}, 30<<20)
		if !compressed {
			return s.call(ctx, h2(), inferMethod, token, bytes.NewReader(frame(0, data)))
		}
		return s.call(ctx, h2(), inferMethod, token, bytes.NewReader(frame(1, zipped(data))), "Grpc-Encoding", "gzip")
	}
}

// each runs f n times at once and returns what was said, each answer with its count.
func each(n int, f func(i int) (string, error)) (string, error) {
	var group sync.WaitGroup
	answers := make([]string, n)
	for i := range n {
		group.Go(func() {
			answer, err := f(i)
			if err != nil {
				answer = err.Error()
			}
			answers[i] = answer
		})
	}
	group.Wait()
	counts, order := map[string]int{}, []string{}
	for _, a := range answers {
		if counts[a]++; counts[a] == 1 {
			order = append(order, a)
		}
	}
	var parts []string
	for _, a := range order {
		parts = append(parts, fmt.Sprintf("%d x %s", counts[a], a))
	}
	return strings.Join(parts, "; "), nil
}

func strangers(ctx context.Context, s *server) (string, error) {
	return each(12, func(int) (string, error) {
		return s.call(ctx, h2(), inferMethod, false, io.LimitReader(zeros{}, 60e6))
	})
}

// zeros is a body without end.
type zeros struct{}

// Read gives zeros.
func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// short is a body that stops before its end, until ctx ends.
func short(ctx context.Context, data []byte) io.Reader {
	r, w := io.Pipe()
	go func() {
		_, _ = w.Write(data) // or the server does not take it
		<-ctx.Done()
		w.Close()
	}()
	return r
}

func stopShort(ctx context.Context, s *server) (string, error) {
	message := frame(0, make([]byte, 8_000_000))
	ended, end := context.WithCancel(ctx)
	defer end()
	return each(12, func(int) (string, error) {
		return s.call(ctx, h2(), inferMethod, true, short(ended, message[:len(message)-1]))
	})
}

// slow opens connections with requests that stop one byte short.
func (s *server) slow(n int) (conns []net.Conn, err error) {
	for range n {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.http, "http://"))
		if err != nil {
			return conns, err
		}
		conns = append(conns, c)
		body := strings.Repeat(" ", 999_999)
		if _, err := fmt.Fprintf(c, "POST /v2/models/busi/infer HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Length: 1000000\r\n\r\n%s", s.token, body); err != nil {
			return conns, err
		}
	}
	return conns, nil
}

func slowBodies(_ context.Context, s *server) (string, error) {
	conns, err := s.slow(64)
	if err != nil {
		return "", err
	}
	return each(len(conns), func(i int) (string, error) {
		defer conns[i].Close()
		line := make([]byte, 12)
		_, err := io.ReadFull(conns[i], line)
		return string(line), err
	})
}

func gzipBody(ctx context.Context, s *server) (string, error) {
	return said(s.send(ctx, "POST", "/v2/models/busi/infer", zipped(make([]byte, 70<<20)), "Content-Encoding", "gzip"))
}

func jsonOf(what string) func(context.Context, *server) (string, error) {
	return func(ctx context.Context, s *server) (string, error) {
		var b strings.Builder
		b.WriteString(`{"inputs":[`)
		if what == "parameters" {
			b.Reset()
			b.WriteString(`{"parameters":{`)
		}
		for i := 0; b.Len() < 8<<20; i++ {
			if what == "parameters" {
				fmt.Fprintf(&b, `"%d":1,`, i)
			} else {
				b.WriteString("{},")
			}
		}
		b.WriteString(map[string]string{"inputs": "{}]}", "parameters": `"":1}}`}[what])
		return said(s.send(ctx, "POST", "/v2/models/busi/infer", []byte(b.String())))
	}
}

// scans sends three pictures of one client, and asks the ordinary question meanwhile.
func scans(ctx context.Context, s *server) (string, error) {
	body, media := form(progressive(4000, 3000, 20_000), "busi")
	done := make(chan string, 1)
	go func() {
		answer, _ := each(3, func(int) (string, error) {
			return said(s.send(ctx, "POST", "/v1/predict", body, "Content-Type", media))
		})
		done <- answer
	}()
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	err := s.ordinary(ctx)
	took := time.Since(began)
	return fmt.Sprintf("%s; another image meanwhile in %.1f s", <-done, took.Seconds()), err
}

// progressive is a JPEG whose scans have nothing in them but their heads.
func progressive(w, h, n int) []byte {
	b := []byte{0xff, 0xd8, 0xff, 0xdb, 0, 67, 0}
	b = append(b, bytes.Repeat([]byte{1}, 64)...)
	b = append(b, 0xff, 0xc2, 0, 11, 8, byte(h>>8), byte(h), byte(w>>8), byte(w), 1, 1, 0x11, 0)
	for _, class := range []byte{0x00, 0x10} { // one code: the end of the band, of 32,767 blocks
		b = append(b, 0xff, 0xc4, 0, 20, class, 1)
		b = append(b, make([]byte, 15)...)
		b = append(b, map[byte]byte{0x00: 0, 0x10: 0xe0}[class])
	}
	b = append(b, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0) // the first scan, of DC: every block is 0
	b = append(b, make([]byte, (w/8)*(h/8)/8+1)...)
	for i := range n {
		b = append(b, 0xff, 0xda, 0, 8, 1, 1, 0, byte(1+i%63), byte(1+i%63), 0)
		b = append(b, make([]byte, 40)...) // some bands
	}
	return append(b, 0xff, 0xd9)
}

// pngOf is a PNG of zeros.
func pngOf(w, h, bits int) []byte {
	chunk := func(b []byte, kind string, data []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
		from := len(b)
		b = append(append(b, kind...), data...)
		return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[from:]))
	}
	var z bytes.Buffer
	writer := zlib.NewWriter(&z)
	kind, samples := byte(0), 1
	if bits == 16 {
		kind, samples = 2, 3
	}
	line := make([]byte, 1+w*samples*bits/8)
	for range h {
		_, _ = writer.Write(line) // into memory
	}
	writer.Close()
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(w)), uint32(h))
	b := chunk([]byte("\x89PNG\r\n\x1a\n"), "IHDR", append(head, byte(bits), kind, 0, 0, 0))
	return chunk(chunk(b, "IDAT", z.Bytes()), "IEND", nil)
}

func hugePNG(w, h, bits int) func(context.Context, *server) (string, error) {
	return func(ctx context.Context, s *server) (string, error) {
		body, media := form(pngOf(w, h, bits), "busi")
		return said(s.send(ctx, "POST", "/v1/predict", body, "Content-Type", media))
	}
}

func manyPNG(ctx context.Context, s *server) (string, error) {
	body, media := form(pngOf(9000, 5000, 8), "busi")
	return each(4, func(int) (string, error) {
		return said(s.send(ctx, "POST", "/v1/predict", body, "Content-Type", media))
	})
}

func repeated(ctx context.Context, s *server) (string, error) {
	names := make([]string, 4096)
	for i := range names {
		names[i] = "busi"
	}
	body, media := form(picture(100), names...)
	status, text, err := s.send(ctx, "POST", "/v1/predict", body, "Content-Type", media)
	return fmt.Sprintf("%d, %d answers", status, bytes.Count(text, []byte(`"decision"`))), err
}

func cutForm(ctx context.Context, s *server) (string, error) {
	body, media := form(picture(100), "busi")
	return said(s.send(ctx, "POST", "/v1/predict", body[:len(body)/2], "Content-Type", media))
}

func hugeNumbers(ctx context.Context, s *server) (string, error) {
	status, text, err := s.send(ctx, "GET", "/v2/models/busi", nil)
	var side int
	if i := bytes.Index(text, []byte(`[-1,3,`)); i >= 0 {
		_, _ = fmt.Sscanf(string(text[i:]), "[-1,3,%d", &side) // 0 is told below
	}
	if err != nil || side == 0 {
		return "", fmt.Errorf("metadata: %d %.100s, %v", status, text, err)
	}
	raw := make([]byte, 0, 12*side*side)
	for range 3 * side * side {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(3e38))
	}
	head := fmt.Sprintf(`{"inputs":[{"name":"pixel_values","datatype":"FP32","shape":[1,3,%d,%d],"parameters":{"binary_data_size":%d}}]}`, side, side, len(raw))
	return said(s.send(ctx, "POST", "/v2/models/busi/infer", append([]byte(head), raw...), "Inference-Header-Content-Length", fmt.Sprint(len(head))))
}

func writtenOver(ctx context.Context, s *server) (string, error) {
	path := filepath.Join(s.folder, "other.safetensors")
	text, err := os.ReadFile(s.adapter)
	if err != nil {
		return "", err
	}
	body, media := form(picture(50), "other")
	var group sync.WaitGroup
	counts, mu := map[int]int{}, sync.Mutex{}
	stop := make(chan struct{})
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				status, _, _ := s.send(ctx, "POST", "/v1/predict", body, "Content-Type", media)
				mu.Lock()
				counts[status]++
				mu.Unlock()
			}
		})
	}
	for range 200 {
		if f, openErr := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0); openErr == nil {
			_, _ = f.Write(text[:len(text)/2])
			time.Sleep(5 * time.Millisecond)
			_, _ = f.Write(text[len(text)/2:])
			err = errors.Join(err, f.Close())
		}
		time.Sleep(10 * time.Millisecond)
	}
	close(stop)
	group.Wait()
	return fmt.Sprintf("answers by status: %v", counts), err
}

func pipe(ctx context.Context, s *server) (string, error) {
	path := filepath.Join(s.folder, "pipe.safetensors")
	if err := makePipe(path); err != nil {
		return "", err
	}
	defer os.Remove(path)
	time.Sleep(1500 * time.Millisecond) // the folder is looked at
	body, media := form(picture(50), "pipe")
	return said(s.send(ctx, "POST", "/v1/predict", body, "Content-Type", media))
}

func spaces() []byte {
	header := "{" + strings.Repeat(" ", 99_000_000)
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
}

func entries() []byte {
	var b strings.Builder
	b.WriteString(`{"__metadata__":{"melo":"{}"}`)
	for i := range 300_000 {
		fmt.Fprintf(&b, `,"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, i)
	}
	b.WriteString("}")
	return append(binary.LittleEndian.AppendUint64(nil, uint64(b.Len())), b.String()...)
}

// hostileFile puts a file into the folder, and loads another adapter beside it.
func hostileFile(make func() []byte) func(context.Context, *server) (string, error) {
	return func(ctx context.Context, s *server) (string, error) {
		path := filepath.Join(s.folder, "hostile.safetensors")
		if err := os.WriteFile(path, make(), 0o600); err != nil {
			return "", err
		}
		defer os.Remove(path)
		time.Sleep(600 * time.Millisecond) // it is being looked at
		began := time.Now()
		answer, err := said(s.send(ctx, "POST", "/v2/repository/models/other/load", nil))
		return fmt.Sprintf("another loads in %.2f s: %s", time.Since(began).Seconds(), answer), err
	}
}

func hangup(_ context.Context, s *server) (string, error) {
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return "", err
	}
	time.Sleep(time.Second)
	return "goes on", s.alive()
}

func terminateBusy(ctx context.Context, s *server) (string, error) {
	conns, err := s.slow(8)
	for _, c := range conns {
		defer c.Close()
	}
	if err != nil {
		return "", err
	}
	ended, end := context.WithCancel(ctx)
	defer end()
	go func() {
		_, _ = s.call(ctx, h2(), "/inference.GRPCInferenceService/ModelStreamInfer", true, short(ended, nil)) // the server ends it
	}()
	time.Sleep(time.Second)
	return s.terminate(ctx)
}
