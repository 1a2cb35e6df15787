package host

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"melo.example/melo/serve/access"
)

// TestChunksEndTheConnection: what follows a request in chunks is not read. It may have had a length, too, by which a proxy took what
// follows for its body.
func TestChunksEndTheConnection(t *testing.T) {
	s := newSite(t)
	send := func(header, body string) string {
		c, err := net.Dial("tcp", s.Address("http"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		text := "POST /v2/repository/index HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + s.tokens[access.Viewer] + "\r\n" + header + "\r\n\r\n" + body
		if _, err := io.WriteString(c, text+"GET /smuggled HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(c) // what came before the connection ended
		return string(answer)
	}
	for name, header := range map[string]string{"chunks": "Transfer-Encoding: chunked", "and a length": "Transfer-Encoding: chunked\r\nContent-Length: 44",
		"a length first": "Content-Length: 44\r\nTransfer-Encoding: chunked"} {
		answer := send(header, "2\r\n{}\r\n0\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 200") || strings.Count(answer, "HTTP/1.1 ") != 1 || !strings.Contains(answer, "\r\nConnection: close\r\n") {
			t.Errorf("%s: %s", name, answer)
		}
	}
	if answer := send("Content-Length: 2", "{}"); strings.Count(answer, "HTTP/1.1 ") != 2 {
		t.Errorf("a length alone keeps the connection: %s", answer)
	}
}
