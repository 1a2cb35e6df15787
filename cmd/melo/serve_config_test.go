package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	config "melo.example/melo/internal/settings"
)

// printed is what --print-config says, by setting.
func printed(t *testing.T, args ...string) map[string]config.Setting {
	t.Helper()
	var doc config.Document
	melo(t, append([]string{"--json", "serve", "--print-config"}, args...)...).want(t, exitDone).decode(t, &doc)
	found := map[string]config.Setting{}
	for _, s := range doc.Settings {
		found[s.Name] = s
	}
	return found
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "melo.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSettingsPrecedence(t *testing.T) {
	path := configFile(t, "base: file\nqueue: 7\nbatch: 3\nmax-body: 1MiB\ninsecure: true\nallowed-host: [a.example, b.example]\n"+
		"oidc-roles: {rad: viewer, it: admin}\notlp-headers:\n  x-key: secret;with,signs\nrescan: 5s\n")
	t.Setenv("MELO_QUEUE", "8")
	t.Setenv("MELO_BATCH", "4")
	t.Setenv("MELO_TOKEN", "a client's")
	got := printed(t, "--config", path, "--batch", "5")
	for name, want := range map[string]config.Setting{
		"base":        {Name: "base", Value: "file", Source: "file"},
		"queue":       {Name: "queue", Value: 8.0, Source: "environment"},
		"batch":       {Name: "batch", Value: 5.0, Source: "flag"},
		"workers":     {Name: "workers", Value: 0.0, Source: "default"},
		"max-body":    {Name: "max-body", Value: "1MiB", Source: "file"},
		"max-adapter": {Name: "max-adapter", Value: "32MiB", Source: "default"},
		"insecure":    {Name: "insecure", Value: true, Source: "file"},
		"rescan":      {Name: "rescan", Value: "5s", Source: "file"},
		"grpc-listen": {Name: "grpc-listen", Value: "127.0.0.1:8081", Source: "default"},
	} {
		if got[name] != want {
			t.Errorf("got %+v, want %+v", got[name], want)
		}
	}
	if hosts, ok := got["allowed-host"].Value.([]any); !ok || len(hosts) != 2 || hosts[1] != "b.example" {
		t.Errorf("got %+v", got["allowed-host"])
	}
	if roles, ok := got["oidc-roles"].Value.(map[string]any); !ok || roles["rad"] != "viewer" || roles["it"] != "admin" {
		t.Errorf("got %+v", got["oidc-roles"])
	}
	t.Setenv("MELO_CONFIG", path)
	if got := printed(t); got["base"].Value != "file" {
		t.Errorf("the file that the environment names is not read: %+v", got["base"])
	}
}

// What --print-config prints is a file that --config takes and that means the same, but for secrets.
func TestPrintConfig(t *testing.T) {
	t.Parallel()
	path := configFile(t, "base: \"a: b # c\"\notlp-headers: {x-key: secret}\nallowed-host: [\"a,b\", c]\noidc-roles: {\"a\": viewer}\n")
	r := melo(t, "serve", "--config", path, "--print-config").want(t, exitDone)
	if strings.Contains(r.out, "secret") || !strings.Contains(r.out, "x-key: (hidden)") {
		t.Errorf("secrets: %s", r.out)
	}
	if !strings.Contains(r.out, "queue: 256 # default\n") || !strings.Contains(r.out, "# file\n") {
		t.Errorf("sources: %s", r.out)
	}
	again := melo(t, "serve", "--config", configFile(t, r.out), "--print-config").want(t, exitDone)
	strip := func(s string) string {
		return strings.NewReplacer(" # default", "", " # file", "").Replace(s)
	}
	if strip(again.out) != strip(r.out) {
		t.Errorf("got\n%s\nwant\n%s", again.out, r.out)
	}
}

func TestSettingsAreStrict(t *testing.T) {
	for text, want := range map[string]string{
		"lisen: 127.0.0.1:1":         `line 1: "lisen" is no setting; did you mean listen?`,
		"base: x\nbase: y":           "line 2: base stands twice",
		"base: x\n---\nbase: y":      "more than one document",
		"- base":                     "expected lines",
		"base:":                      "expected a value",
		"base: &a x\nstate-file: *a": "expected a value",
		"allowed-host: [[a]]":        "expected a value",
		"base: [":                    "line 1",
		"queue: many":                "queue",
		"rescan: 5":                  "rescan",
		"max-body: -1":               "is no size",
		"precision: f16":             "precision",
		"print-config: true":         "is no setting",
		"config: other":              "is no setting",
		"rate: .nan":                 "rate",
	} {
		r := melo(t, "serve", "--base", "x", "--adapters", "y", "--config", configFile(t, text))
		if r.status != exitBadInput && r.status != exitUsage || !strings.Contains(r.err, want) || strings.Contains(r.err, "panic") {
			t.Errorf("%q: status %d, %s, want %q", text, r.status, r.err, want)
		}
	}
	melo(t, "serve", "--base", "x", "--config", filepath.Join(t.TempDir(), "missing.yaml")).want(t, exitBadInput)
	t.Setenv("MELO_LISTN", "x")
	if r := melo(t, "serve", "--base", "x", "--print-config").want(t, exitUsage); !strings.Contains(r.err, "MELO_LISTN is no setting; did you mean MELO_LISTEN?") {
		t.Error(r.err)
	}
	// Other commands do not care.
	melo(t, "version").want(t, exitDone)
}

func TestServeOptionsThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{}, {"--tls-cert", "x"}, {"--tls-client-ca", "x"}, {"--require-client-cert", "--tls-cert", "x", "--tls-key", "y"}, {"--oidc-issuer", "https://x"},
		{"--queue", "0"}, {"--rate", "-1"}, {"--trace-sample", "2"}, {"--drain-timeout", "0s"}, {"--oidc-roles", "a=boss"}, {"--request-memory", "1KiB"},
		{"--rescan", "1ms"}, {"--max-connections", "0"}, {"--workers", "-1"},
	} {
		all := append([]string{"serve", "--adapters", t.TempDir()}, args...)
		if len(args) > 0 {
			all = append(all, "--base", "x")
		}
		melo(t, all...).want(t, exitUsage)
	}
	// What others can reach is protected, or it is not served.
	for _, args := range [][]string{{"--listen", ":0"}, {"--grpc-listen", "0.0.0.0:0"}, {"--metrics-listen", ":0"}, {"--debug-listen", "192.0.2.1:0"}, {"--listen", "off", "--grpc-listen", "off"}} {
		r := melo(t, append([]string{"serve", "--base", "x", "--adapters", t.TempDir()}, args...)...).want(t, exitUsage)
		if !strings.Contains(r.err, "can be reached from other machines") && !strings.Contains(r.err, "nothing to serve") {
			t.Error(r.err)
		}
	}
	melo(t, "serve", "--base", "nowhere", "--adapters", t.TempDir(), "--listen", "127.0.0.1:0", "--grpc-listen", "off").want(t, exitBadInput)
	melo(t, "serve", "--base", "x", "--adapters", t.TempDir(), "--tokens", "nowhere").want(t, exitBadInput)
}
