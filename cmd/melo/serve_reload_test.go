package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"melo.example/melo/serve/servetest"
)

// TestChangedSettings: a setting that differs and is not among those that may is named, whichever it is.
func TestChangedSettings(t *testing.T) {
	var names []string
	before, now := map[string]any{}, map[string]any{}
	for _, s := range printed(t, "--base", "a") {
		names = append(names, s.Name)
		before[s.Name], now[s.Name] = "old", "new"
	}
	if len(names) < 50 {
		t.Fatalf("%d settings", len(names))
	}
	for _, name := range slices.Concat(reloaded, reloadedBases) {
		if !slices.Contains(names, name) {
			t.Errorf("%s is no setting", name)
		}
	}
	if got := changed(before, now, reloaded); len(got) != len(names)-len(reloaded) {
		t.Errorf("%d of %d settings are named", len(got), len(names)-len(reloaded))
	}
	if got := changed(before, before, nil); len(got) != 0 {
		t.Errorf("%v did not change", got)
	}
}

// TestReload: SIGHUP takes up what may change, names every other setting that has changed, and refuses what cannot be, with all as
// it was.
func TestReload(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGHUP here")
	}
	base, dir := filepath.Join(t.TempDir(), "base"), t.TempDir()
	if err := os.CopyFS(base, os.DirFS(goldenDir("hf_vit"))); err != nil {
		t.Fatal(err)
	}
	servetest.AdapterOn(t, dir, "lesion", base, 1)
	token := write(t, "metrics-token", []byte("first-token-of-metrics"))
	path := filepath.Join(t.TempDir(), "settings.yaml")
	settings := map[string]string{"base": base, "adapters": dir, "precision": "f32", "metrics-token": token, "metrics-listen": `"127.0.0.1:0"`}
	save := func() {
		t.Helper()
		text := ""
		for name, value := range settings {
			text += fmt.Sprintf("%s: %s\n", name, value)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save()
	s := startServerOf(t, "--config", path)
	hangup := func(says ...string) (log string) {
		t.Helper()
		from := len(s.log.String())
		if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		for _, text := range append(says, "the token of metrics was") { // which comes last
			eventually(t, text, func() bool { return strings.Contains(s.log.String()[from:], text) })
		}
		return s.log.String()[from:]
	}
	asked := func(token string) int {
		r, _ := http.NewRequest("GET", "http://"+s.doc.Metrics+"/metrics", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if log := hangup(); strings.Contains(log, "restart") || strings.Contains(log, "level=ERROR") {
		t.Errorf("nothing has changed: %s", log)
	}
	settings["rate"], settings["queue"], settings["max-body"], settings["coverage"] = "3", "7", "1MiB", "0.9"
	settings["base"] = fmt.Sprintf("[%s, %s]", base, goldenDir("dinov2"))
	settings["pin"] = "dinov2"
	save()
	log := hangup("limits of clients", "a server that was started with one base keeps it", `settings="base, coverage, max-body, pin, queue"`)
	if !strings.Contains(log, "rate=3") {
		t.Errorf("the rate is not told: %s", log)
	}
	delete(settings, "pin")
	settings["base"], settings["log-level"], settings["rate"] = base, "error", "-1"
	save()
	hangup("the settings were not read again", "--rate -1")
	settings["rate"] = "3"
	save()
	if err := os.WriteFile(token, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	calls := func() int {
		response, err := http.Get(s.doc.HTTP + "/v1/adapters")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return strings.Count(s.log.String(), "msg=call")
	}
	eventually(t, "calls are logged", func() bool { return calls() > 0 })
	hangup("the token of metrics was not read again")
	if asked("first-token-of-metrics") != http.StatusOK {
		t.Error("after a broken token the one of before is not taken")
	}
	if before := calls(); calls() > before {
		t.Error("the level of the log did not change")
	}
	if err := os.WriteFile(token, []byte("second-token-of-metrics"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new token of metrics", func() bool { return asked("second-token-of-metrics") == http.StatusOK })
	if asked("first-token-of-metrics") != http.StatusUnauthorized {
		t.Error("the old token of metrics is taken")
	}
	// Another base at the same place is told.
	weights := filepath.Join(base, "model.safetensors")
	text := read(t, weights)
	text[len(text)-1] ^= 1
	if err := os.WriteFile(weights+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(weights+".new", weights); err != nil {
		t.Fatal(err)
	}
	from := len(s.log.String())
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the base has changed", func() bool {
		return strings.Contains(s.log.String()[from:], "has other weights now: they take a restart")
	})
	s.terminate()
}
