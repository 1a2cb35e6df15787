package trust

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var at = time.Date(2026, 11, 28, 10, 50, 0, 0, time.UTC)

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return digestPrefix + hex.EncodeToString(sum[:])
}

func newKey(t *testing.T) *SecretKey {
	t.Helper()
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t *testing.T, k *SecretKey, s Signature) Signature {
	t.Helper()
	if s.Time.IsZero() {
		s.Time = at
	}
	s, err := k.Sign(s)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keysOf(t *testing.T, lines ...string) *Keys {
	t.Helper()
	k, err := ParseKeys([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestPolicy says for each kind of policy what is trusted, and why not.
func TestPolicy(t *testing.T) {
	a, b, mallory := newKey(t), newKey(t), newKey(t)
	digest, other := digestOf("adapter"), digestOf("another")
	keys := keysOf(t, "# who may", "", a.Public("radiology").String(), b.Public("it").String())
	text := func(list ...Signature) (out []byte) {
		for _, s := range list {
			out = append(out, s.Text()...)
		}
		return out
	}
	byA := sign(t, a, Signature{Digest: digest})
	changed := byA
	changed.Time = at.Add(time.Hour)
	forged := sign(t, mallory, Signature{Digest: digest})
	forged.KeyID = byA.KeyID
	allowed := func(lines string) Allowed {
		l, err := ParseAllowed([]byte(lines))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for _, c := range []struct {
		name    string
		policy  *Policy
		as      string
		text    []byte
		signers string // or
		reason  string
	}{
		{"no policy", nil, "busi", nil, "", ""},
		{"empty policy", &Policy{}, "busi", nil, "", ""},
		{"allowed", &Policy{Allowed: allowed(digest)}, "busi", nil, "", ""},
		{"allowed as sha256sum prints", &Policy{Allowed: allowed(strings.TrimPrefix(digest, "sha256:") + "  dir/busi@v2.safetensors")}, "busi", nil, "", ""},
		{"allowed under another name", &Policy{Allowed: allowed(digest + " chest")}, "busi", nil, "", `under another name than "busi"`},
		{"allowed under two names", &Policy{Allowed: allowed(digest + " chest\n" + digest + " busi")}, "busi", nil, "", ""},
		{"allowed under a name, asked without one", &Policy{Allowed: allowed(digest + " chest")}, "", nil, "", ""},
		{"not allowed", &Policy{Allowed: allowed(other)}, "busi", nil, "", "not on the list"},
		{"nothing allowed", &Policy{Allowed: allowed("# none")}, "busi", nil, "", "not on the list"},
		{"signed", &Policy{Keys: keys}, "busi", text(byA), "radiology", ""},
		{"signed twice", &Policy{Keys: keys}, "busi", text(byA, sign(t, b, Signature{Digest: digest})), "it,radiology", ""},
		{"signed by a stranger, too", &Policy{Keys: keys}, "busi", text(sign(t, mallory, Signature{Digest: digest}), byA), "radiology", ""},
		{"not signed", &Policy{Keys: keys}, "busi", nil, "", "not signed"},
		{"empty signature file", &Policy{Keys: keys}, "busi", []byte{}, "", "about other adapters"},
		{"signed by a stranger", &Policy{Keys: keys}, "busi", text(sign(t, mallory, Signature{Digest: digest})), "", "which is not trusted"},
		{"forged", &Policy{Keys: keys}, "busi", text(forged), "", "does not verify"},
		{"statement changed", &Policy{Keys: keys}, "busi", text(changed), "", "does not verify"},
		{"of another adapter", &Policy{Keys: keys}, "busi", text(sign(t, a, Signature{Digest: other})), "", "about other adapters"},
		{"under this name", &Policy{Keys: keys}, "busi", text(sign(t, a, Signature{Digest: digest, Name: "busi"})), "radiology", ""},
		{"under another name", &Policy{Keys: keys}, "busi", text(sign(t, a, Signature{Digest: digest, Name: "chest"})), "", `under another name than "busi"`},
		{"revoked", &Policy{Keys: keysOf(t, a.Public("radiology").String(), "revoke "+digest)}, "busi", text(byA), "", "revoked"},
		{"key withdrawn", &Policy{Keys: keysOf(t, b.Public("it").String())}, "busi", text(byA), "", "which is not trusted"},
		{"allowed and not signed", &Policy{Allowed: allowed(digest), Keys: keys}, "busi", nil, "", "not signed"},
		{"signed and not allowed", &Policy{Allowed: allowed(other), Keys: keys}, "busi", text(byA), "", "not on the list"},
		{"both", &Policy{Allowed: allowed(digest), Keys: keys}, "busi", text(byA), "radiology", ""},
		{"damaged signature file", &Policy{Keys: keys}, "busi", []byte("melo-signature 2\n"), "", "version"},
	} {
		signers, err := c.policy.Check(digest, c.as, c.text)
		if got := strings.Join(signers, ","); got != c.signers {
			t.Errorf("%s: signers %q, expected %q", c.name, got, c.signers)
		}
		var untrusted *UntrustedError
		switch {
		case c.reason == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.reason != "" && (!errors.As(err, &untrusted) || !strings.Contains(err.Error(), c.reason)):
			t.Errorf("%s: error %v, expected %q", c.name, err, c.reason)
		}
	}
	for _, p := range []*Policy{{Allowed: allowed(digest)}, {Keys: keys}} {
		if _, err := p.Check("", "", nil); err == nil {
			t.Error("what has no digest is trusted")
		}
	}
}

// TestEveryBitIsSigned changes each byte of a signature file: nothing of it may be trusted then.
func TestEveryBitIsSigned(t *testing.T) {
	k, digest := newKey(t), digestOf("adapter")
	s := sign(t, k, Signature{Digest: digest, Name: "busi", Comment: "checked by two people"})
	keys := keysOf(t, k.Public("radiology").String())
	whole := s.Text()
	if signers, err := keys.signers(digest, "busi", whole); err != nil || len(signers) != 1 {
		t.Fatal(signers, err)
	}
	for i := range whole {
		for _, bit := range []byte{1, 0x20} {
			text := slices.Clone(whole)
			text[i] ^= bit
			if signers, err := keys.signers(digest, "busi", text); err == nil {
				t.Errorf("byte %d (%q) changed to %q: %v", i, whole[i], text[i], signers)
			}
		}
		if signers, err := keys.signers(digest, "busi", whole[:i]); err == nil {
			t.Errorf("cut after %d bytes: %v", i, signers)
		}
	}
}

// TestSignaturesOfOpenSSL verifies ours by another program, and its by ours.
func TestSignaturesOfOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl")
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(openssl, args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	k := newKey(t)
	if err := k.Write(path("key")); err != nil {
		t.Fatal(err)
	}
	s := sign(t, k, Signature{Digest: digestOf("adapter"), Name: "busi"})
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("statement", s.statement())
	write("signature", s.Value)
	run("pkey", "-in", path("key"), "-pubout", "-out", path("public"))
	run("pkeyutl", "-verify", "-pubin", "-inkey", path("public"), "-rawin", "-in", path("statement"), "-sigfile", path("signature"))

	run("genpkey", "-algorithm", "ed25519", "-out", path("theirs"))
	if err := os.Chmod(path("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	theirs, err := ReadSecretKey(path("theirs"))
	if err != nil {
		t.Fatal(err)
	}
	s = sign(t, theirs, Signature{Digest: digestOf("adapter")})
	write("statement", s.statement())
	run("pkeyutl", "-sign", "-inkey", path("theirs"), "-rawin", "-in", path("statement"), "-out", path("signature"))
	if s.Value, err = os.ReadFile(path("signature")); err != nil {
		t.Fatal(err)
	}
	if !s.By(theirs.Public("theirs")) {
		t.Error("a signature of openssl does not verify")
	}
}

func TestSecretKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	k := newKey(t)
	if err := k.Write(path); err != nil {
		t.Fatal(err)
	}
	if err := newKey(t).Write(path); err == nil {
		t.Error("a key was written over")
	}
	again, err := ReadSecretKey(path)
	if err != nil || again.Public("x").String() != k.Public("x").String() {
		t.Fatal(again, err)
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSecretKey(path); err == nil || !strings.Contains(err.Error(), "others") {
			t.Errorf("a key that a group may read: %v", err)
		}
	}
}

func TestBadFiles(t *testing.T) {
	k := newKey(t)
	line := k.Public("a").String()
	short := base64.StdEncoding.EncodeToString(make([]byte, ed25519.PublicKeySize-1))
	for _, text := range []string{"a", line + " b", line + "\n" + line, line + "\n" + k.Public("b").String(), "a ed25519:" + short, "a rsa:AAAA",
		"revoke sha256:12", "revoke " + line, "a\x00b ed25519:" + short, strings.Repeat("x", maxLine+1)} {
		if _, err := ParseKeys([]byte(text)); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("keys %.80q: %v", text, err)
		}
	}
	for _, text := range []string{"x", "sha256:12", "sha512:" + strings.Repeat("0", 64), digestOf("a") + " \x01", digestOf("a") + " /"} {
		if _, err := ParseAllowed([]byte(text)); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("allowed %.80q: %v", text, err)
		}
	}
	for _, s := range []Signature{{Digest: "sha256:12"}, {Digest: digestOf("a"), Name: "a/b"}, {Digest: digestOf("a"), Comment: "two\nlines"},
		{Digest: digestOf("a"), Comment: " space"}, {Digest: digestOf("a"), Name: "a@v2"}} {
		if _, err := k.Sign(s); err == nil {
			t.Errorf("%+v was signed", s)
		}
	}
}

// TestFileBesideAdapter reads signature files as they lie beside adapters.
func TestFileBesideAdapter(t *testing.T) {
	dir := t.TempDir()
	k, digest := newKey(t), digestOf("adapter")
	p := &Policy{Keys: keysOf(t, k.Public("radiology").String())}
	path := filepath.Join(dir, "busi@v2.safetensors")
	_, err := p.CheckFile(path, digest, AdapterName(path))
	var untrusted *UntrustedError
	if !errors.As(err, &untrusted) || untrusted.Path != path {
		t.Errorf("without a signature file: %v", err)
	}
	s := sign(t, k, Signature{Digest: digest, Name: "busi"})
	if err := os.WriteFile(path+Extension, s.Text(), 0o600); err != nil {
		t.Fatal(err)
	}
	if signers, err := p.CheckFile(path, digest, AdapterName(path)); err != nil || !slices.Equal(signers, []string{"radiology"}) {
		t.Error(signers, err)
	}
	if err := os.WriteFile(path+Extension, make([]byte, maxSignatures+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.CheckFile(path, digest, ""); err == nil {
		t.Error("a signature file that is too long")
	}
}

func TestAddAndJoin(t *testing.T) {
	a, b := newKey(t), newKey(t)
	first, second := digestOf("first"), digestOf("second")
	text, err := Add(nil, sign(t, a, Signature{Digest: first}))
	if err != nil {
		t.Fatal(err)
	}
	if text, err = Add(text, sign(t, b, Signature{Digest: first})); err != nil {
		t.Fatal(err)
	}
	later := sign(t, a, Signature{Digest: first, Time: at.Add(time.Hour)})
	if text, err = Add(text, later); err != nil {
		t.Fatal(err)
	}
	if list, err := ParseSignatures(text); err != nil || len(list) != 2 || list[1].Time != later.Time {
		t.Fatalf("%v %v", list, err)
	}
	next, err := Add(text, sign(t, a, Signature{Digest: second}))
	if err != nil {
		t.Fatal(err)
	}
	if list, _ := ParseSignatures(next); len(list) != 1 {
		t.Errorf("%d signatures of the file before are kept", len(list)-1)
	}
	both, err := Join(next, text, first, second)
	if list, _ := ParseSignatures(both); err != nil || len(list) != 3 {
		t.Errorf("%d signatures, expected 3: %v", len(list), err)
	}
	if verdicts, err := Look(first, keysOf(t, a.Public("a").String()), both); err != nil || verdicts[2].Signer != "a" || verdicts[1].Reason == "" || verdicts[0].Reason == "" {
		t.Errorf("%+v %v", verdicts, err)
	}
}

func FuzzSignatures(f *testing.F) {
	k, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []Signature{{Digest: digestOf("a"), Time: at}, {Digest: digestOf("b"), Time: at, Name: "busi", Comment: "x y"}} {
		s, err := k.Sign(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(s.Text(), s.Text()...))
	}
	f.Add([]byte("melo-signature 1\nadapter "))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := ParseSignatures(text)
		if err != nil {
			return
		}
		var again []byte
		for i := range list {
			again = append(again, list[i].Text()...)
		}
		if string(again) != string(text) {
			t.Errorf("%q is read as %q", text, again)
		}
	})
}

func FuzzLists(f *testing.F) {
	f.Add([]byte("a ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nrevoke " + digestOf("a")))
	f.Add([]byte(digestOf("a") + "  *busi@v2.safetensors\n# x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if keys, err := ParseKeys(text); err == nil {
			for _, k := range keys.List() {
				if _, err := ParseKeys([]byte(k.String())); err != nil {
					t.Errorf("%q: %v", k.String(), err)
				}
			}
		}
		_, _ = ParseAllowed(text)
	})
}
