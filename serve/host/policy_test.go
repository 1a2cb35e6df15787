package host

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"melo.example/melo/lora/trust"
	"melo.example/melo/serve/audit"
	"melo.example/melo/serve/servetest"
)

// TestPolicyOfServer reads the lists of a server, again when they change, and keeps the old ones where they cannot be read.
func TestPolicyOfServer(t *testing.T) {
	dir := t.TempDir()
	a := servetest.Adapter(t, 1, "binary", "benign", "malignant")
	servetest.Publish(t, dir, "a", a)
	k, err := trust.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	log, err := audit.Open(filepath.Join(t.TempDir(), "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r := &Server{settings: Settings{Allowed: write("allowed", a.Digest), Keys: write("keys", k.Public("radiology").String())}, log: slog.New(slog.DiscardHandler), audit: log}
	if err := r.openPolicy(); err != nil {
		t.Fatal(err)
	}
	s, err := k.Sign(trust.Signature{Digest: a.Digest, Time: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	check := func(says string) {
		t.Helper()
		signers, err := r.policy.Get().Check(a.Digest, "a", s.Text())
		if says == "" && (err != nil || len(signers) != 1) || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("signed by %v, %v; expected %q", signers, err, says)
		}
	}
	check("")
	before := r.policy.Get()
	for _, broken := range []string{"nonsense", "radiology ed25519:AAAA"} {
		write("keys", broken)
		r.policy.Reload()
		if r.policy.Get() != before {
			t.Error("a list that cannot be read changed the policy")
		}
		check("")
	}
	write("keys", "# nobody\n")
	r.policy.Reload()
	check("not trusted")
	write("keys", k.Public("it").String())
	write("allowed", "# nothing\n")
	r.policy.Reload()
	check("not on the list")
	if n := log.Head().Seq; n != 5 {
		t.Errorf("%d entries in the audit log, expected one for each reading", n)
	}
	for _, wrong := range []Settings{{Allowed: filepath.Join(dir, "none")}, {Keys: write("wrong", "x")}, {Keys: dir}} {
		if err := (&Server{settings: wrong, log: slog.New(slog.DiscardHandler)}).openPolicy(); err == nil {
			t.Errorf("%+v was taken", wrong)
		}
	}
}
