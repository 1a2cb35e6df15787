package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// outside are what needs no more than a socket, or a file in the folder.
var outside = []row{
	{"HTTP/1: 300 connections that send a byte of their header a second", slowHeaders},
	{"HTTP/1: a header of 1 MiB", raw("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("a", 1<<20) + "\r\n\r\n")},
	{"HTTP/1: 200,000 header lines", raw("GET /livez HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("a: b\r\n", 200_000) + "\r\n")},
	{"HTTP/1: a length and chunks at once", raw("POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n")},
	{"HTTP/1: two different lengths", raw("POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde")},
	{"HTTP/1: chunks of one byte with extensions of 3 KB, 20 MB of them", tinyChunks},
	{"HTTP/1: trailers of 10 MB after a body", trailers},
	{"HTTP/1: half closed after a request", halfClosed},
	{"HTTP/2: 50,000 streams opened and reset", frames(rapidReset)},
	{"HTTP/2: CONTINUATION without end, 50 MB", frames(continuation)},
	{"HTTP/2: 500,000 SETTINGS, none of the answers read", frames(flood(4, 0, nil))},
	{"HTTP/2: 500,000 PINGs, none of the answers read", frames(flood(6, 0, make([]byte, 8)))},
	{"HTTP/2: 500,000 empty DATA frames", frames(emptyData)},
	{"HTTP/2: 100 connections of 64 streams without a message", halfOpen},
	{"HTTP/2: 500 connections of 64 streams that watch health, no token", watchers},
	{"gRPC: as gRPC-web", grpcWeb},
	{"form: 40,000 parts", manyParts},
	{"form: a part with 200,000 header lines", partHeaders},
	{"DICOM: 1.5 GB of zeros, deflated", pictureOf(deflatedDICOM)},
	{"DICOM: 5,000 sequences in each other", pictureOf(nestedDICOM)},
	{"TIFF: 60,000 x 60,000 in strips that are not there", pictureOf(hugeTIFF)},
	{"TIFF: a page that follows itself", pictureOf(loopTIFF)},
	{"WebP: 16,383 x 16,383", pictureOf(hugeWebP)},
	{"JPEG 2000: 4,294,967,295 x 4,294,967,295", pictureOf(hugeJ2K)},
	{"GIF: 65,535 x 65,535", pictureOf(hugeGIF)},
	{"PNG: a colour profile of 1 GB", pictureOf(profilePNG)},
	{"GIF: 600,000 frames", pictureOf(manyFrames)},
	{"TIFF: 200,000 pages", pictureOf(manyPages)},
	{"PNM: 40 MB of digits", pictureOf(manyDigits)},
	{"JPEG: 60 MB of comments", pictureOf(comments)},
	{"names: ../../etc/passwd, NUL, half a character, from right to left", oddNames},
	{"folder: links to themselves, to /dev/zero, to a folder; odd names", oddFiles},
	{"folder: 300 adapters put and taken away while one is loaded", churn},
	{"token file: everybody may write it", openTokens},
	{"SIGHUP with a broken list of tokens", brokenTokens},
}

// dial opens a connection to an address.
func dial(address string) (net.Conn, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	return net.DialTimeout("tcp", u.Host, 10*time.Second)
}

// firstLine is what a connection answers, or how it ends.
func firstLine(c net.Conn) string {
	_ = c.SetReadDeadline(time.Now().Add(40 * time.Second))
	line, err := bufio.NewReader(c).ReadString('\n')
	switch {
	case line != "":
		return strings.TrimSpace(line)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in 40 s"
	}
	return "closed"
}

// raw sends a text and tells the first line of the answer.
func raw(text string) func(context.Context, *server) (string, error) {
	return func(_ context.Context, s *server) (string, error) {
		c, err := dial(s.http)
		if err != nil {
			return "", err
		}
		defer c.Close()
		go func() { _, _ = io.WriteString(c, text) }() // the server may stop reading
		return firstLine(c), nil
	}
}

func slowHeaders(ctx context.Context, s *server) (string, error) {
	return each(300, func(int) (string, error) {
		c, err := dial(s.http)
		if err != nil {
			return "", err
		}
		defer c.Close()
		began := time.Now()
		for _, b := range []byte("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("a", 100)) {
			if _, err := c.Write([]byte{b}); err != nil {
				break
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			if time.Since(began) > 20*time.Second {
				break
			}
		}
		if answer := firstLine(c); time.Since(began) < 25*time.Second {
			return "sent away within 25 s: " + answer, nil
		}
		return "kept", nil
	})
}

func tinyChunks(_ context.Context, s *server) (string, error) {
	chunk := "1;" + strings.Repeat("x", 3000) + "\r\na\r\n"
	return raw("POST /v2/models/busi/infer HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+s.token+"\r\nTransfer-Encoding: chunked\r\n\r\n"+strings.Repeat(chunk, 7000)+"0\r\n\r\n")(context.Background(), s)
}

func trailers(_ context.Context, s *server) (string, error) {
	return raw("POST /v2/repository/index HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+s.token+"\r\nTrailer: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"+strings.Repeat("a: b\r\n", 1_700_000)+"\r\n")(context.Background(), s)
}

func halfClosed(_ context.Context, s *server) (string, error) {
	return each(64, func(int) (string, error) {
		c, err := dial(s.http)
		if err != nil {
			return "", err
		}
		defer c.Close()
		body, media := form(picture(100), "busi")
		fmt.Fprintf(c, "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", s.token, media, len(body))
		_, _ = c.Write(body)
		_ = c.(*net.TCPConn).CloseWrite()
		return firstLine(c), nil
	})
}

// frameOf is a frame of HTTP/2.
func frameOf(kind, flags byte, stream uint32, data []byte) []byte {
	b := []byte{byte(len(data) >> 16), byte(len(data) >> 8), byte(len(data)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), data...)
}

// block is a block of header fields, none of which is indexed.
func block(fields ...string) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		b = append(b, 0)
		for _, s := range fields[i : i+2] {
			b = append(append(b, byte(len(s))), s...)
		}
	}
	return b
}

// request is the header of a call without a token.
func request() []byte {
	return block(":method", "POST", ":scheme", "http", ":path", inferMethod, ":authority", "localhost", "content-type", "application/grpc", "te", "trailers")
}

// frames opens a connection of HTTP/2, lets send write until it has enough, and tells whether the server ended it.
func frames(send func(w io.Writer) error) func(context.Context, *server) (string, error) {
	return func(_ context.Context, s *server) (string, error) {
		c, err := dial(s.grpc)
		if err != nil {
			return "", err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(40 * time.Second))
		w := bufio.NewWriterSize(c, 1<<16)
		_, _ = w.WriteString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		_, _ = w.Write(frameOf(4, 0, 0, nil))
		err = errors.Join(send(w), w.Flush())
		switch {
		case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
			return "the connection was closed", nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return "the server stopped reading", nil
		case err != nil:
			return err.Error(), nil
		}
		return "everything was read", nil
	}
}

func rapidReset(w io.Writer) error {
	for i := range uint32(50_000) {
		if _, err := w.Write(append(frameOf(1, 4, 2*i+1, request()), frameOf(3, 0, 2*i+1, []byte{0, 0, 0, 8})...)); err != nil {
			return err
		}
	}
	return nil
}

func continuation(w io.Writer) error {
	if _, err := w.Write(frameOf(1, 0, 1, request())); err != nil {
		return err
	}
	part := block(strings.Repeat("a", 100), strings.Repeat("b", 100))
	part = bytes.Repeat(part, 16_000/len(part))
	for range 50_000_000 / len(part) {
		if _, err := w.Write(frameOf(9, 0, 1, part)); err != nil {
			return err
		}
	}
	return nil
}

func flood(kind, flags byte, data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		for range 500_000 {
			if _, err := w.Write(frameOf(kind, flags, 0, data)); err != nil {
				return err
			}
		}
		return nil
	}
}

func emptyData(w io.Writer) error {
	if _, err := w.Write(frameOf(1, 4, 1, request())); err != nil {
		return err
	}
	for range 500_000 {
		if _, err := w.Write(frameOf(0, 0, 1, nil)); err != nil {
			return err
		}
	}
	return nil
}

func halfOpen(_ context.Context, s *server) (string, error) {
	return each(100, func(int) (string, error) {
		return frames(func(w io.Writer) error {
			for i := range uint32(64) {
				if _, err := w.Write(frameOf(1, 4, 2*i+1, request())); err != nil {
					return err
				}
			}
			return nil
		})(context.Background(), s)
	})
}

// watchers opens streams that everybody may open, and asks whether the server is ready meanwhile.
func watchers(ctx context.Context, s *server) (string, error) {
	head := block(":method", "POST", ":scheme", "http", ":path", "/grpc.health.v1.Health/Watch", ":authority", "localhost", "content-type", "application/grpc", "te", "trailers")
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range 500 {
		c, err := dial(s.grpc)
		if err != nil {
			return "", err
		}
		conns = append(conns, c)
		b := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frameOf(4, 0, 0, nil)...)
		for i := range uint32(64) {
			b = append(append(b, frameOf(1, 4, 2*i+1, head)...), frameOf(0, 0, 2*i+1, frame(0, nil))...)
		}
		if _, err := c.Write(b); err != nil {
			return "", err
		}
	}
	time.Sleep(3 * time.Second)
	return said(s.send(ctx, "GET", "/readyz", nil))
}

func grpcWeb(ctx context.Context, s *server) (string, error) {
	var answers []string
	for _, media := range []string{"application/grpc-web", "application/grpc-web-text", "application/grpc+json", ""} {
		r, err := http.NewRequestWithContext(ctx, "POST", s.grpc+inferMethod, bytes.NewReader(frame(0, nil)))
		if err != nil {
			return "", err
		}
		r.Header.Set("Content-Type", media)
		response, err := h2().Do(r)
		if err != nil {
			return "", err
		}
		response.Body.Close()
		answers = append(answers, fmt.Sprint(response.StatusCode))
	}
	return strings.Join(answers, ", "), nil
}

func manyParts(ctx context.Context, s *server) (string, error) {
	body := strings.Repeat("--x\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\na\r\n", 40_000) + "--x--\r\n"
	return said(s.send(ctx, "POST", "/v1/predict", []byte(body), "Content-Type", "multipart/form-data; boundary=x"))
}

func partHeaders(ctx context.Context, s *server) (string, error) {
	body := "--x\r\nContent-Disposition: form-data; name=\"image\"\r\n" + strings.Repeat("a: b\r\n", 200_000) + "\r\na\r\n--x--\r\n"
	return said(s.send(ctx, "POST", "/v1/predict", []byte(body), "Content-Type", "multipart/form-data; boundary=x"))
}

// pictureOf sends an image by the form.
func pictureOf(image func() []byte) func(context.Context, *server) (string, error) {
	return func(ctx context.Context, s *server) (string, error) {
		body, media := form(image(), "busi")
		return said(s.send(ctx, "POST", "/v1/predict", body, "Content-Type", media))
	}
}

// dicomOf is a DICOM object with a transfer syntax and a data set.
func dicomOf(syntax string, set []byte) []byte {
	if len(syntax)%2 == 1 {
		syntax += "\x00"
	}
	element := append([]byte{2, 0, 0x10, 0, 'U', 'I', byte(len(syntax)), 0}, syntax...)
	b := append(make([]byte, 128), "DICM"...)
	b = append(b, 2, 0, 0, 0, 'U', 'L', 4, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(element)))
	return append(append(b, element...), set...)
}

func deflatedDICOM() []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	zero := make([]byte, 1<<20)
	for range 1500 {
		_, _ = w.Write(zero) // into memory
	}
	w.Close()
	return dicomOf("1.2.840.10008.1.2.1.99", b.Bytes())
}

func nestedDICOM() []byte {
	var b []byte
	for range 5000 {
		b = append(b, 8, 0, 0x40, 0x11, 'S', 'Q', 0, 0, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0, 0xe0, 0xff, 0xff, 0xff, 0xff)
	}
	return dicomOf("1.2.840.10008.1.2.1", b)
}

// tiffOf is a TIFF of one page with these entries, followed by the page at next.
func tiffOf(next uint32, entries ...[3]uint32) []byte {
	b := []byte("II*\x00\x08\x00\x00\x00")
	b = binary.LittleEndian.AppendUint16(b, uint16(len(entries)))
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(b, uint16(e[0])), 4)
		b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, e[1]), e[2])
	}
	return append(binary.LittleEndian.AppendUint32(b, next), make([]byte, 64)...)
}

func hugeTIFF() []byte {
	return tiffOf(0, [3]uint32{256, 1, 60_000}, [3]uint32{257, 1, 60_000}, [3]uint32{258, 1, 8}, [3]uint32{259, 1, 8}, [3]uint32{262, 1, 1},
		[3]uint32{273, 1, 8}, [3]uint32{277, 1, 1}, [3]uint32{278, 1, 60_000}, [3]uint32{279, 1, 32})
}

func loopTIFF() []byte {
	return tiffOf(8, [3]uint32{256, 1, 8}, [3]uint32{257, 1, 4}, [3]uint32{258, 1, 8}, [3]uint32{259, 1, 1}, [3]uint32{262, 1, 1},
		[3]uint32{273, 1, 130}, [3]uint32{277, 1, 1}, [3]uint32{278, 1, 4}, [3]uint32{279, 1, 32})
}

func hugeWebP() []byte {
	head := []byte{0x2f, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0} // VP8L: 14 bits of width and height
	b := append([]byte("RIFF"), 0, 0, 0, 0)
	b = append(append(b, "WEBPVP8L"...), byte(len(head)), 0, 0, 0)
	b = append(b, head...)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8))
	return b
}

func hugeJ2K() []byte {
	b := []byte{0xff, 0x4f, 0xff, 0x51, 0, 41, 0, 0}
	for _, n := range []uint32{0xffffffff, 0xffffffff, 0, 0, 1, 1, 0, 0} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	b = append(b, 0, 1, 7, 1, 1)
	return append(b, 0xff, 0x52, 0, 12, 0, 0, 0, 1, 0, 5, 4, 4, 0, 1)
}

func hugeGIF() []byte {
	return append([]byte("GIF89a\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02"), 2, 0x4c, 1, 0, 0x3b)
}

func profilePNG() []byte {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	zero := make([]byte, 1<<20)
	for range 1000 {
		_, _ = w.Write(zero) // into memory
	}
	w.Close()
	whole := picture(20)
	chunk := append([]byte("x\x00\x00"), z.Bytes()...)
	b := binary.BigEndian.AppendUint32(bytes.Clone(whole[:33]), uint32(len(chunk)))
	from := len(b)
	b = append(append(b, "iCCP"...), chunk...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[from:]))
	return append(b, whole[33:]...)
}

func manyFrames() []byte {
	b := []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff")
	return append(append(b, bytes.Repeat([]byte(",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00"), 600_000)...), 0x3b)
}

func manyPages() []byte {
	one := tiffOf(0, [3]uint32{256, 1, 8}, [3]uint32{257, 1, 4}, [3]uint32{258, 1, 8}, [3]uint32{259, 1, 1}, [3]uint32{262, 1, 1},
		[3]uint32{273, 1, 8}, [3]uint32{277, 1, 1}, [3]uint32{278, 1, 4}, [3]uint32{279, 1, 32})
	page := one[8 : len(one)-64]
	b := bytes.Clone(one[:8])
	for range 200_000 {
		b = append(b, page...)
		binary.LittleEndian.PutUint32(b[len(b)-4:], uint32(len(b)))
	}
	return append(b, make([]byte, 64)...)
}

func manyDigits() []byte {
	return append([]byte("P2 6000 3000 255\n"), bytes.Repeat([]byte("7 "), 20_000_000)...)
}

func comments() []byte {
	part := append([]byte{0xff, 0xfe, 0xff, 0xff}, make([]byte, 65533)...)
	return append([]byte{0xff, 0xd8}, bytes.Repeat(part, 900)...)
}

func oddNames(ctx context.Context, s *server) (string, error) {
	counts := map[string]int{}
	for _, name := range []string{"..%2F..%2Fetc%2Fpasswd", "busi%00", "%ff", "bu%E2%80%AEsi", strings.Repeat("a", 10_000), "busi%40..%2Fx", "BUSI", "busi%20"} {
		for _, x := range [][2]string{{"GET", "/v2/models/" + name}, {"POST", "/v2/models/" + name + "/infer"}, {"POST", "/v2/repository/models/" + name + "/load"},
			{"PUT", "/v1/adapters/" + name + "/pin"}, {"PUT", "/v1/adapters/busi/aliases/" + name}} {
			status, _, err := s.send(ctx, x[0], x[1], []byte(`{"version":"1"}`))
			if err != nil {
				return "", err
			}
			counts[fmt.Sprint(status)]++
		}
	}
	return fmt.Sprintf("answers by status: %v", counts), nil
}

// listed counts the adapters of the list, by state.
func (s *server) listed(ctx context.Context) (string, error) {
	status, text, err := s.send(ctx, "POST", "/v2/repository/index", nil)
	if err != nil || status != http.StatusOK {
		return "", fmt.Errorf("the list: %d, %v", status, err)
	}
	return fmt.Sprintf("%d ready, %d refused", bytes.Count(text, []byte(`"READY"`)), bytes.Count(text, []byte(`"UNAVAILABLE"`))), nil
}

func oddFiles(ctx context.Context, s *server) (answer string, err error) {
	var made []string
	defer func() {
		for _, path := range made {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}()
	link := func(name, to string) {
		path := filepath.Join(s.folder, name)
		made, err = append(made, path), errors.Join(err, os.Symlink(to, path))
	}
	link("itself.safetensors", "itself.safetensors")
	link("zero.safetensors", "/dev/zero")
	link("passwd.safetensors", "/etc/passwd")
	link("above.safetensors", "..")
	link("gone.safetensors", "/nowhere/at/all")
	for _, name := range []string{"bu\xffsi", "new\nline", "bu\u202esi", "@", "@v2", "a@b@c", ".hidden", " ", "..", strings.Repeat("n", 240)} {
		path := filepath.Join(s.folder, name+".safetensors")
		made, err = append(made, path), errors.Join(err, os.WriteFile(path, []byte("x"), 0o600))
	}
	folder := filepath.Join(s.folder, "folder.safetensors")
	made, err = append(made, folder), errors.Join(err, os.Mkdir(folder, 0o700))
	if err != nil {
		return "", err
	}
	time.Sleep(1500 * time.Millisecond) // the folder is looked at
	return s.listed(ctx)
}

func churn(ctx context.Context, s *server) (string, error) {
	text, err := os.ReadFile(s.adapter)
	if err != nil {
		return "", err
	}
	stop, done := make(chan struct{}), make(chan map[int]int, 1)
	go func() {
		counts := map[int]int{}
		for {
			select {
			case <-stop:
				done <- counts
				return
			default:
			}
			status, _, _ := s.send(ctx, "POST", "/v2/repository/models/other/load", nil)
			counts[status]++
		}
	}()
	for round := range 3 {
		for i := range 100 {
			path := filepath.Join(s.folder, fmt.Sprintf("churn%d.safetensors", i))
			if round%2 == 0 {
				err = errors.Join(err, os.WriteFile(path, text[:len(text)-i%2], 0o600)) // every other is damaged
			} else {
				err = errors.Join(err, os.Remove(path))
			}
		}
		time.Sleep(700 * time.Millisecond)
	}
	close(stop)
	counts := <-done
	for i := range 100 {
		err = errors.Join(err, os.Remove(filepath.Join(s.folder, fmt.Sprintf("churn%d.safetensors", i))))
	}
	time.Sleep(1200 * time.Millisecond)
	list, listErr := s.listed(ctx)
	return fmt.Sprintf("loads by status: %v; afterwards %s", counts, list), errors.Join(err, listErr)
}

// openTokens starts another server with a token file that everybody may write.
func openTokens(ctx context.Context, s *server) (string, error) {
	path := filepath.Join(s.dir, "open-tokens")
	text, err := os.ReadFile(filepath.Join(s.dir, "tokens"))
	if err == nil {
		err = errors.Join(os.WriteFile(path, text, 0o600), os.Chmod(path, 0o666))
	}
	if err != nil {
		return "", err
	}
	return s.refusedStart(ctx, "--tokens", path)
}

func brokenTokens(ctx context.Context, s *server) (string, error) {
	path := filepath.Join(s.dir, "tokens")
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, []byte("nonsense\n"), 0o600); err != nil {
		return "", err
	}
	err = s.cmd.Process.Signal(syscall.SIGHUP)
	time.Sleep(1500 * time.Millisecond)
	answer, sendErr := said(s.send(ctx, "GET", "/v1/adapters", nil))
	return "the old token is answered " + answer, errors.Join(err, sendErr, os.WriteFile(path, text, 0o600))
}
