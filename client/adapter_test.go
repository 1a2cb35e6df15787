package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"melo.example/melo/client"
)

// TestAdapterThatIsRefused: who asks for an adapter without a current version hears why there is none.
func TestAdapterThatIsRefused(t *testing.T) {
	for body, want := range map[string]string{
		`{"adapters":[{"name":"a","state":"UNAVAILABLE","reason":"belongs to another base"}]}`: "adapter a is refused: belongs to another base",
		`{"adapters":[{"name":"a","digest":"sha256:00"}]}`:                                     "adapter a has no current version",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		c, err := client.New(client.Options{Server: server.URL, HTTP: server.Client()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Adapter(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
		server.Close()
	}
}
