package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	config "melo.example/melo/internal/settings"
	"melo.example/melo/predictions"
	"melo.example/melo/serve/servetest"
)

// TestServeSeveralBases: bases come from flags and from the file of settings, which SIGHUP reads again.
func TestServeSeveralBases(t *testing.T) {
	small, large, other := goldenDir("hf_vit"), goldenDir("dinov2"), goldenDir("deit")
	dir := t.TempDir()
	servetest.AdapterOn(t, dir, "lesion", small, 1)
	servetest.AdapterOn(t, dir, "view", large, 2)
	servetest.AdapterOn(t, dir, "organ", other, 3)
	picture := t.TempDir() + "/scan.png"
	if err := os.WriteFile(picture, servetest.PNG(t, 1, 40, 30), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := func(s *served, adapter string, answers bool) {
		t.Helper()
		if r := melo(t, "predict", "--server", s.doc.HTTP, "--adapter", adapter, picture); (r.status == exitDone) != answers {
			t.Errorf("%s: status %d, %s", adapter, r.status, r.err)
		}
	}
	s := startServerOf(t, "--base", small, "--base", large, "--adapters", dir, "--base-memory", "1MiB", "--pin", "dinov2", "--precision", "f32")
	if b := s.doc.Bases; len(b) != 2 || b[0].Name != "hf_vit" || !b[1].Pinned || b[1].Adapters != 1 || b[1].Bytes == 0 || len(s.doc.Adapters) != 2 || s.doc.Adapters[1].Base != "dinov2" {
		t.Errorf("%+v", s.doc)
	}
	if r := s.doc.Refused; len(r) != 1 || !strings.Contains(r[0].Reason, "is not served here; served are hf_vit") {
		t.Errorf("%+v", r)
	}
	ask(s, "lesion", true)
	var said predictions.Document
	melo(t, "--json", "predict", "--server", s.doc.HTTP, "--adapter", "view", picture).want(t, exitDone).decode(t, &said)
	if said.Base != "dinov2" || said.Precision != "f32" {
		t.Errorf("%+v", said)
	}
	if r := melo(t, "predict", "--server", s.doc.HTTP, "--adapter", "organ", picture); r.status == exitDone || !strings.Contains(r.err, "not served here") {
		t.Error(r.err)
	}
	s.terminate()

	path := configFile(t, "")
	write := func(bases ...string) {
		t.Helper()
		if err := os.WriteFile(path, fmt.Appendf(nil, "base: [%s]\nadapters: %s\nprecision: f32\n", strings.Join(bases, ", "), dir), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(small, large)
	s = startServerOf(t, "--config", path)
	ask(s, "view", true)
	ask(s, "organ", false)
	write(other, small)
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if melo(t, "predict", "--server", s.doc.HTTP, "--adapter", "organ", picture).status == exitDone {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the base of the file is not served")
		}
	}
	ask(s, "lesion", true)
	ask(s, "view", false)
	s.terminate()
}

// TestBasesOfSettings: flags, lines of the environment and lists of the file; one base is printed as one.
func TestBasesOfSettings(t *testing.T) {
	list := func(s config.Setting) string { return fmt.Sprint(s.Value) }
	if got := list(printed(t, "--base", "a,b", "--base", "c")["base"]); got != "[a,b c]" {
		t.Error(got)
	}
	if got := printed(t, "--base", "a,b")["base"].Value; got != "a,b" {
		t.Error(got)
	}
	if got := list(printed(t, "--config", configFile(t, "base: [\"a,b\", c]\n"))["base"]); got != "[a,b c]" {
		t.Error(got)
	}
	t.Setenv("MELO_BASE", "x, y\nz\n")
	if got := list(printed(t)["base"]); got != "[x, y z]" {
		t.Error(got)
	}
	for _, args := range [][]string{
		{"--base", "a", "--pin", "a"}, {"--base", "a", "--base-precision", "a=f32"},
		{"--base", "a", "--base", "b", "--base-precision", "c=f32"}, {"--base", "a", "--base", "b", "--base-precision", "a=f16"}, {"--base", "a", "--base", ""},
	} {
		melo(t, append([]string{"serve", "--adapters", t.TempDir()}, args...)...).want(t, exitUsage)
	}
}
