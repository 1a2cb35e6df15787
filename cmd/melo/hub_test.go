package main

import (
	"crypto/sha1"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBaseFromHub: a base is downloaded when it is named first, and is there from then on.
func TestBaseFromHub(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	cache := t.TempDir()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/models/own/er/") {
			fmt.Fprintf(w, `{"sha":%q,"siblings":[{"rfilename":"config.json"},{"rfilename":"model.safetensors"}]}`, commit)
			return
		}
		data, err := os.ReadFile(filepath.Join(goldenDir("hf_vit"), filepath.Base(r.URL.Path)))
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Etag", fmt.Sprintf(`"%x"`, sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(data), data))))
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(data)))
	}))
	defer server.Close()
	t.Setenv(envEndpoint, server.URL)
	t.Setenv(envCache, cache)
	var doc benchDocument
	bench := benchArgs("--only", "forward", "--base", "hf:own/er")
	r := melo(t, bench...).want(t, exitDone)
	r.decode(t, &doc)
	if doc.Base.Width != 32 || !strings.Contains(r.err, "model.safetensors") {
		t.Errorf("width %d; %s", doc.Base.Width, r.err)
	}
	if _, err := os.Stat(filepath.Join(cache, "models--own--er", "snapshots", commit, "model.safetensors")); err != nil {
		t.Error(err)
	}
	server.Close()
	melo(t, "inspect", "hf:own/er").want(t, exitDone)
	t.Setenv(envOffline, "1")
	melo(t, bench...).want(t, exitDone)
	for name, want := range map[string]struct {
		status int
		say    string
	}{"hf:own/other": {exitFailed, envOffline}, "hf:nobody": {exitUsage, "hf:owner/name"}} {
		if r := melo(t, "inspect", name).want(t, want.status); !strings.Contains(r.err, want.say) {
			t.Errorf("%s: %s", name, r.err)
		}
	}
}
