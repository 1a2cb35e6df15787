package hub

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// fakeHub serves one model as the hub of Hugging Face does: large files from another host, to which nobody's token
// must go.
type fakeHub struct {
	t        *testing.T
	files    map[string][]byte
	requests atomic.Int32 // for content
	noRanges bool
	cut      int    // bytes after which the connection breaks, the first time
	spoil    string // a file whose content is not what its checksum says
	status   int    // of every answer, if not 0
	api, cdn *httptest.Server
}

func newHub(t *testing.T, files map[string][]byte) (*fakeHub, *Client) {
	h := &fakeHub{t: t, files: files}
	h.cdn = httptest.NewServer(http.HandlerFunc(h.content))
	h.api = httptest.NewServer(http.HandlerFunc(h.answer))
	t.Cleanup(h.cdn.Close)
	t.Cleanup(h.api.Close)
	c := &Client{Endpoint: h.api.URL, Cache: t.TempDir(), Token: "secret", http: h.api.Client(), pause: time.Millisecond}
	c.Note = func(text string) { t.Log(text) }
	return h, c
}

func large(data []byte) bool { return len(data) > 1000 }

func (h *fakeHub) answer(w http.ResponseWriter, r *http.Request) {
	if h.status != 0 {
		w.WriteHeader(h.status)
		return
	}
	if r.Header.Get("Authorization") != "Bearer secret" {
		h.t.Error("no token")
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/api/models/own/er/revision/"); ok {
		if rest != "main" && rest != "v1" && rest != commit {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"sha":%q,"siblings":[`, commit)
		sep := ""
		for name := range h.files {
			fmt.Fprintf(w, `%s{"rfilename":%q}`, sep, name)
			sep = ","
		}
		fmt.Fprint(w, "]}")
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/own/er/resolve/"+commit+"/")
	data, there := h.files[name]
	if !ok || !there {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if !large(data) {
		sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(data), data))
		w.Header().Set("Etag", fmt.Sprintf(`"%x"`, sum))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		return
	}
	w.Header().Set("X-Linked-Etag", fmt.Sprintf(`"%x"`, sha256.Sum256(data)))
	w.Header().Set("X-Linked-Size", fmt.Sprint(len(data)))
	http.Redirect(w, r, h.cdn.URL+"/"+name, http.StatusFound)
}

func (h *fakeHub) content(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		h.t.Error("the other host was asked for a checksum")
	}
	if r.Header.Get("Authorization") != "" {
		h.t.Error("the token went to another host")
	}
	first := h.requests.Add(1) == 1
	name := r.URL.Path[1:]
	data := bytes.Clone(h.files[name])
	if name == h.spoil {
		data[len(data)/2]++
	}
	if h.noRanges {
		r.Header.Del("Range")
	}
	if h.cut > 0 && first {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data[:h.cut])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func someFiles() map[string][]byte {
	return map[string][]byte{
		"config.json":              []byte(`{"model_type":"vit"}`),
		"preprocessor_config.json": []byte(`{}`),
		"model.safetensors":        bytes.Repeat([]byte("weights!"), 5000),
		"pytorch_model.bin":        []byte("not wanted"),
		"README.md":                []byte("not wanted"),
	}
}

// What a repository has is fetched, in whatever layout, and nothing besides.
func TestFetchLayouts(t *testing.T) {
	for name, c := range map[string]struct{ files, wanted []string }{
		"bin":       {[]string{"config.json", "pytorch_model.bin", "training_args.bin"}, []string{"config.json", "pytorch_model.bin"}},
		"shards":    {[]string{"config.json", "pytorch_model.bin.index.json", "a-1.bin", "a-2.bin", "a-3.bin"}, []string{"config.json", "pytorch_model.bin.index.json", "a-1.bin", "a-2.bin"}},
		"open_clip": {[]string{"open_clip_config.json", "open_clip_pytorch_model.bin", "vocab.txt"}, []string{"open_clip_config.json", "open_clip_pytorch_model.bin"}},
		"processor": {[]string{"config.json", "processor_config.json", "model.safetensors", "tf_model.h5"}, []string{"config.json", "processor_config.json", "model.safetensors"}},
		"one file":  {[]string{"RETFound_cfp_weights.pth", "README.md"}, []string{"RETFound_cfp_weights.pth"}},
	} {
		files := map[string][]byte{}
		for _, f := range c.files {
			files[f] = []byte(f)
		}
		if _, ok := files["pytorch_model.bin.index.json"]; ok {
			files["pytorch_model.bin.index.json"] = []byte(`{"weight_map":{"x":"a-1.bin","y":"a-2.bin"}}`)
		}
		h, client := newHub(t, files)
		dir, err := client.Fetch(context.Background(), mustParse(t, "hf:own/er"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		h.check(dir, c.wanted...)
		entries, _ := os.ReadDir(dir)
		if len(entries) != len(c.wanted) {
			t.Errorf("%s: %d files, expected %q", name, len(entries), c.wanted)
		}
		if again, err := client.Cached(mustParse(t, "hf:own/er")); err != nil || again != dir {
			t.Errorf("%s: cached %q, %v", name, again, err)
		}
	}
	_, client := newHub(t, map[string][]byte{"a.pth": []byte("a"), "b.pth": []byte("b")})
	if _, err := client.Fetch(context.Background(), mustParse(t, "hf:own/er")); err == nil || !strings.Contains(err.Error(), "a.pth, b.pth") {
		t.Errorf("several: %v", err)
	}
}

func mustParse(t *testing.T, s string) Ref {
	r, err := ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// check compares a folder with the files of the hub.
func (h *fakeHub) check(dir string, names ...string) {
	h.t.Helper()
	for _, name := range names {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(got, h.files[name]) {
			h.t.Errorf("%s: %d bytes, %v; expected %d", name, len(got), err, len(h.files[name]))
		}
	}
}

var wholeBase = []string{"config.json", "preprocessor_config.json", "model.safetensors"}

func TestFetch(t *testing.T) {
	h, c := newHub(t, someFiles())
	var last [2]int64
	c.Progress = func(_ string, done, total int64) { last = [2]int64{done, total} }
	dir, err := c.Fetch(context.Background(), mustParse(t, "hf:own/er"))
	if err != nil {
		t.Fatal(err)
	}
	h.check(dir, wholeBase...)
	if want := filepath.Join(c.Cache, "models--own--er", "snapshots", commit); dir != want {
		t.Errorf("lies in %s, expected %s", dir, want)
	}
	if last != [2]int64{40000, 40000} {
		t.Errorf("the last progress was %v", last)
	}
	if _, err := os.Stat(filepath.Join(dir, "README.md")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("README.md: %v, expected not to be wanted", err)
	}
	if ref, err := os.ReadFile(filepath.Join(c.Cache, "models--own--er/refs/main")); err != nil || string(ref) != commit {
		t.Errorf("refs/main: %q, %v", ref, err)
	}
	n := h.requests.Load()
	if again, err := c.Fetch(context.Background(), mustParse(t, "hf:own/er")); err != nil || again != dir || h.requests.Load() != n {
		t.Errorf("again: %s, %v, %d downloads", again, err, h.requests.Load()-n)
	}
	// Neither a hub that does not answer nor one that may not be asked is in the way of what is there.
	for name, change := range map[string]func(){"silent": h.api.Close, "offline": func() { c.Offline = true }} {
		change()
		if again, err := c.Fetch(context.Background(), mustParse(t, "hf:own/er")); err != nil || again != dir {
			t.Errorf("%s: %s, %v", name, again, err)
		}
	}
	if _, err := c.Fetch(context.Background(), mustParse(t, "hf:own/other")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("offline, not there: %v", err)
	}
}

func TestResume(t *testing.T) {
	for name, set := range map[string]func(*fakeHub){
		"broken connection": func(h *fakeHub) { h.cut = 12345 },
		"no ranges":         func(h *fakeHub) { h.cut, h.noRanges = 12345, true },
	} {
		t.Run(name, func(t *testing.T) {
			h, c := newHub(t, someFiles())
			set(h)
			dir, err := c.Fetch(context.Background(), mustParse(t, "hf:own/er@v1"))
			if err != nil {
				t.Fatal(err)
			}
			h.check(dir, wholeBase...)
			if n := h.requests.Load(); n != 2 {
				t.Errorf("%d requests", n)
			}
		})
	}
	for name, left := range map[string][]byte{
		"killed":    bytes.Repeat([]byte("weights!"), 1000),
		"too long":  bytes.Repeat([]byte("weights!"), 6000),
		"all there": bytes.Repeat([]byte("weights!"), 5000),
	} {
		t.Run(name, func(t *testing.T) {
			h, c := newHub(t, someFiles())
			blobs := filepath.Join(c.Cache, "models--own--er", "blobs")
			partial := filepath.Join(blobs, fmt.Sprintf("%x.incomplete", sha256.Sum256(h.files["model.safetensors"])))
			if err := errors.Join(os.MkdirAll(blobs, 0o777), os.WriteFile(partial, left, 0o666)); err != nil {
				t.Fatal(err)
			}
			dir, err := c.Fetch(context.Background(), mustParse(t, "hf:own/er"))
			if err != nil {
				t.Fatal(err)
			}
			h.check(dir, wholeBase...)
			if _, err := os.Stat(partial); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the partial file: %v", err)
			}
		})
	}
}

func TestCancelKeepsWhatCame(t *testing.T) {
	h, c := newHub(t, someFiles())
	ctx, cancel := context.WithCancel(context.Background())
	c.Progress = func(_ string, done, _ int64) {
		if done > 10000 {
			cancel()
		}
	}
	if _, err := c.Fetch(ctx, mustParse(t, "hf:own/er")); err == nil && h.requests.Load() > 0 {
		return // all of it came at once
	} else if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := c.Fetch(context.Background(), mustParse(t, "hf:own/er")); err != nil {
		t.Fatal(err)
	}
}

func TestShards(t *testing.T) {
	files := map[string][]byte{
		"config.json":                  []byte(`{}`),
		"model.safetensors.index.json": []byte(`{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors","c":"model-1.safetensors"}}`),
		"model-1.safetensors":          bytes.Repeat([]byte("1"), 2000),
		"model-2.safetensors":          bytes.Repeat([]byte("2"), 3000),
	}
	h, c := newHub(t, files)
	dir, err := c.Fetch(context.Background(), mustParse(t, "hf:own/er"))
	if err != nil {
		t.Fatal(err)
	}
	h.check(dir, "model-1.safetensors", "model-2.safetensors")
	files["model.safetensors.index.json"] = []byte(`{"weight_map":{"a":"../../../../evil.safetensors"}}`)
	_, c = newHub(t, files)
	if _, err := c.Fetch(context.Background(), mustParse(t, "hf:own/er")); err == nil || !strings.Contains(err.Error(), "plain name") {
		t.Errorf("a shard outside: %v", err)
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		ref, say string
		set      func(*fakeHub)
	}{
		"checksum":   {"hf:own/er", "checksum", func(h *fakeHub) { h.spoil = "model.safetensors" }},
		"revision":   {"hf:own/er@nowhere", "no such model, revision", func(*fakeHub) {}},
		"token":      {"hf:own/er", "gated or private. Accept its terms", func(h *fakeHub) { h.status = http.StatusUnauthorized }},
		"busy":       {"hf:own/er", "503", func(h *fakeHub) { h.status = http.StatusServiceUnavailable }},
		"teapot":     {"hf:own/er", "418", func(h *fakeHub) { h.status = http.StatusTeapot }},
		"no weights": {"hf:own/er", "has neither model.safetensors", func(h *fakeHub) { delete(h.files, "model.safetensors"); delete(h.files, "pytorch_model.bin") }},
		"not a hub":  {"hf:own/er", "no description of a model", func(h *fakeHub) { h.status = http.StatusOK }},
	} {
		t.Run(name, func(t *testing.T) {
			h, client := newHub(t, someFiles())
			c.set(h)
			_, err := client.Fetch(context.Background(), mustParse(t, c.ref))
			if err == nil || !strings.Contains(err.Error(), c.say) {
				t.Errorf("got %v, expected %q", err, c.say)
			}
			if left, _ := filepath.Glob(filepath.Join(client.Cache, "*/blobs/*.incomplete")); len(left) > 0 {
				t.Errorf("left over: %v", left)
			}
		})
	}
}

func TestParseRef(t *testing.T) {
	for _, s := range []string{"hf:google/vit-base-patch16-224", "hf:a/b@v1.0", "hf:timm/vit_tiny@refs/pr/3"} {
		if r := mustParse(t, s); r.String() != s {
			t.Errorf("%s became %v", s, r)
		}
	}
	for _, s := range []string{"", "hf:", "hf:vit", "hf:a/b/c", "hf:../b", "hf:a/..", "hf:a/b@", "hf:a/b@../x", "hf:a/b@/x", "a/b", "hf:a b/c", "hf:a/b@x y"} {
		if r, err := ParseRef(s); err == nil {
			t.Errorf("%q became %v", s, r)
		}
	}
}

// FuzzShards: no index makes a name that leaves the folder.
func FuzzShards(f *testing.F) {
	f.Add([]byte(`{"weight_map":{"a":"model-1.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../x.safetensors","b":"C:x.safetensors"}}`))
	f.Fuzz(func(t *testing.T, index []byte) {
		path := filepath.Join(t.TempDir(), weights[1])
		if err := os.WriteFile(path, index, 0o600); err != nil {
			t.Fatal(err)
		}
		names, err := shardsOf(path)
		for _, name := range names {
			if err == nil && (filepath.Base(name) != name || name == ".." || name == ".") {
				t.Errorf("shard %q", name)
			}
		}
	})
}
