package serve

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"melo.example/melo/lora/trust"
)

// warden is a policy that tests change.
type warden struct{ now atomic.Pointer[trust.Policy] }

func (w *warden) get() *trust.Policy { return w.now.Load() }

func (w *warden) keys(t *testing.T, lines ...string) {
	t.Helper()
	keys, err := trust.ParseKeys([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	w.now.Store(&trust.Policy{Keys: keys})
}

func (w *warden) allow(t *testing.T, lines ...string) {
	t.Helper()
	allowed, err := trust.ParseAllowed([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	w.now.Store(&trust.Policy{Allowed: allowed})
}

func newSigner(t *testing.T) *trust.SecretKey {
	t.Helper()
	k, err := trust.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signed is the text of a signature file.
func signed(t *testing.T, k *trust.SecretKey, digest, name string) []byte {
	t.Helper()
	s, err := k.Sign(trust.Signature{Digest: digest, Name: name, Time: time.Unix(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return s.Text()
}

// putBeside writes the signature file of an adapter.
func putBeside(t *testing.T, dir, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name+extension+trust.Extension), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSignedAdapters(t *testing.T) {
	dir, k, stranger := t.TempDir(), newSigner(t), newSigner(t)
	var w warden
	w.keys(t, k.Public("radiology").String())
	good := publish(t, dir, "good", someAdapter(1))
	putBeside(t, dir, "good", signed(t, k, good, ""))
	bad := publish(t, dir, "bad", someAdapter(2))
	putBeside(t, dir, "bad", signed(t, stranger, bad, ""))
	publish(t, dir, "bare", someAdapter(3))
	swapped := publish(t, dir, "swapped", someAdapter(4))
	putBeside(t, dir, "swapped", signed(t, k, swapped, "other"))
	v2 := publish(t, dir, "good@v2", someAdapter(5)) // not signed
	state := filepath.Join(t.TempDir(), "state.json")
	e := newEngine(t, 1, Config{Adapters: dir, Trust: w.get, State: state})
	r := e.Registry()

	expect(t, e, "good", "", good)
	refuse[*BrokenError](t, e, "bad", "", "which is not trusted")
	refuse[*BrokenError](t, e, "bare", "", "not signed")
	refuse[*BrokenError](t, e, "swapped", "", `under another name than "swapped"`)
	refuse[*BrokenError](t, e, "good", "v2", "not signed")
	refuse[*UnknownError](t, e, "good", v2, "unknown") // nor by its digest
	for name, err := range map[string]error{"load": r.Load(t.Context(), "bare"), "alias": r.SetAlias("good", "x", v2),
		"current": r.SetAlias("good", CurrentAlias, v2), "canary": r.SetCanary("good", v2, 1), "pin": r.Pin(t.Context(), "bad", true)} {
		if err == nil {
			t.Errorf("%s of what is not trusted was taken", name)
		}
	}
	if s, err := r.Describe("good", ""); err != nil || !slices.Equal(s.Signers, []string{"radiology"}) {
		t.Errorf("signers %v, %v", s.Signers, err)
	}

	// A signature that comes later is noticed, and so is one that goes.
	putBeside(t, dir, "good@v2", signed(t, k, v2, "good"))
	scan(t, e)
	expect(t, e, "good", "v2", v2)
	if err := errors.Join(r.SetCanary("good", v2, 1), r.SetAlias("good", "next", v2)); err != nil {
		t.Fatal(err)
	}
	expect(t, e, "good", "", v2)
	if err := os.Remove(filepath.Join(dir, "good@v2"+extension+trust.Extension)); err != nil {
		t.Fatal(err)
	}
	scan(t, e)
	expect(t, e, "good", "", good) // no canary any more
	refuse[*UnknownError](t, e, "good", "next", "no file has its digest")
	refuse[*UnknownError](t, e, "good", v2, "unknown")

	// A file in the place of a signed one does not answer; what memory has goes on, as it is signed itself.
	publish(t, dir, "good", someAdapter(6))
	scan(t, e)
	expect(t, e, "good", "", good)
	if s := r.Versions("good"); !strings.Contains(s[0].Reason, "not trusted") {
		t.Errorf("the list does not say why: %+v", s[0])
	}

	// With the key go the adapters, also those in memory.
	w.keys(t, stranger.Public("stranger").String())
	scan(t, e)
	refuse[*BrokenError](t, e, "good", "", "not trusted")
	refuse[*UnknownError](t, e, "good", good, "unknown")
	expect(t, e, "bad", "", bad)
	if resident, _ := r.cache.usage(); resident > 1 {
		t.Errorf("%d adapters are in memory, expected bad alone", resident)
	}
	w.now.Store(nil)
	scan(t, e)
	if _, err := ask(t, e, "bare", ""); err != nil {
		t.Error(err)
	}
}

func TestAllowedAdapters(t *testing.T) {
	dir := t.TempDir()
	var w warden
	a, b := publish(t, dir, "a", someAdapter(1)), publish(t, dir, "b", someAdapter(2))
	w.allow(t, a, b+" other")
	e := newEngine(t, 1, Config{Adapters: dir, Trust: w.get})
	expect(t, e, "a", "", a)
	refuse[*BrokenError](t, e, "b", "", `under another name than "b"`)
	w.allow(t, b+"  b.safetensors")
	scan(t, e)
	refuse[*BrokenError](t, e, "a", "", "not on the list")
	expect(t, e, "b", "", b)
}

// TestPublishSigned publishes over the wire.
func TestPublishSigned(t *testing.T) {
	k, stranger := newSigner(t), newSigner(t)
	var w warden
	w.keys(t, k.Public("radiology").String())
	e := newEngine(t, 1, Config{Trust: w.get})
	r, dir := e.Registry(), e.config.Adapters
	scratch := t.TempDir()
	send := func(seed uint64) (data []byte, digest string) {
		digest = publish(t, scratch, "x", someAdapter(seed))
		data, err := os.ReadFile(filepath.Join(scratch, "x"+extension))
		if err != nil {
			t.Fatal(err)
		}
		return data, digest
	}
	one, first := send(1)
	two, second := send(2)
	for name, text := range map[string][]byte{"no signature": nil, "of a stranger": signed(t, stranger, first, ""), "of another file": signed(t, k, second, ""),
		"under another name": signed(t, k, first, "b"), "damaged": []byte("melo-signature 1\n")} {
		var broken *BrokenError
		if err := r.LoadBytes(t.Context(), "a", one, text); !errors.As(err, &broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if found, _ := os.ReadDir(dir); len(found) != 0 {
		t.Errorf("%v was written", found)
	}
	if err := r.LoadBytes(t.Context(), "a", one, signed(t, k, first, "a")); err != nil {
		t.Fatal(err)
	}
	expect(t, e, "a", "", first)
	if err := r.LoadBytes(t.Context(), "a", two, nil); err == nil {
		t.Error("the signature of the file before was taken for another")
	}
	expect(t, e, "a", "", first)
	if err := r.LoadBytes(t.Context(), "a", two, signed(t, k, second, "")); err != nil {
		t.Fatal(err)
	}
	expect(t, e, "a", "", second)
	if err := r.LoadBytes(t.Context(), "a", one, nil); err != nil { // its signature is still there
		t.Error(err)
	}
	expect(t, e, "a", "", first)
}
