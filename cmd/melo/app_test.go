package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/internal/buildinfo"
)

// result is what one command did.
type result struct {
	status   int
	out, err string
}

// melo runs a command line in this process.
func melo(t *testing.T, args ...string) result {
	t.Helper()
	return meloContext(t, t.Context(), args...)
}

func meloContext(t *testing.T, ctx context.Context, args ...string) result {
	t.Helper()
	var out, err strings.Builder
	status := run(ctx, args, &stdio{in: strings.NewReader(""), out: &out, err: &err})
	return result{status, out.String(), err.String()}
}

// want fails the test unless the command ended with the status.
func (r result) want(t *testing.T, status int) result {
	t.Helper()
	if r.status != status {
		t.Fatalf("exit status %d, want %d\nstdout: %s\nstderr: %s", r.status, status, r.out, r.err)
	}
	return r
}

// decode parses standard output as exactly one JSON document without unknown fields.
func (r result) decode(t *testing.T, v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(r.out))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		t.Fatalf("standard output is not the documented JSON: %v\n%s", err, r.out)
	}
	if _, err := dec.Token(); err != io.EOF {
		t.Fatalf("more than one document on standard output:\n%s", r.out)
	}
}

func TestHelpOfEveryCommand(t *testing.T) {
	for _, name := range commandNames() {
		r := melo(t, name, "--help").want(t, exitDone)
		for _, part := range []string{"Examples:", "melo " + name, "EXIT STATUS", "130"} {
			if !strings.Contains(r.out, part) {
				t.Errorf("melo %s --help does not show %q:\n%s", name, part, r.out)
			}
		}
	}
	if r := melo(t).want(t, exitDone); !strings.Contains(r.out, "not a medical device") {
		t.Errorf("the overview does not say what melo is not:\n%s", r.out)
	}
}

func TestOverviewFitsAScreen(t *testing.T) {
	r := melo(t, "help").want(t, exitDone)
	lines := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
	if len(lines) >= 24 { // the height of a terminal as it opens; the prompt takes a line
		t.Errorf("the overview has %d lines", len(lines))
	}
	for _, line := range lines {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	_, rest, _ := strings.Cut(r.out, "\n  also: ")
	also := strings.Split(strings.SplitN(rest, "\n", 2)[0], ", ")
	for _, name := range commandNames() {
		if !strings.Contains(r.out, "\n  "+name+" ") && !slices.Contains(also, name) {
			t.Errorf("the overview lacks %s", name)
		}
	}
	if one := melo(t, "help", "data").want(t, exitDone); one.out != melo(t, "data", "--help").out {
		t.Errorf("melo help data differs from melo data --help:\n%s", one.out)
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{{"nonsense"}, {"doctor", "--nonsense"}, {"version", "extra"}} {
		r := melo(t, args...).want(t, exitUsage)
		if r.out != "" {
			t.Errorf("melo %v wrote to standard output: %q", args, r.out)
		}
		if !strings.HasPrefix(r.err, "melo: ") {
			t.Errorf("melo %v: stderr %q", args, r.err)
		}
	}
}

func TestErrorsUnderJSONAreADocument(t *testing.T) {
	var doc errorDocument
	melo(t, "--json", "version", "extra").want(t, exitUsage).decode(t, &doc)
	if doc.Error.ExitStatus != exitUsage || doc.Error.Message == "" {
		t.Errorf("got %+v", doc)
	}
}

func TestVersion(t *testing.T) {
	var doc buildinfo.Program
	melo(t, "version", "--json").want(t, exitDone).decode(t, &doc)
	if doc.Version != buildinfo.Version || doc.Go == "" {
		t.Errorf("got %+v", doc)
	}
	if r := melo(t, "version").want(t, exitDone); !strings.HasPrefix(r.out, "melo "+buildinfo.Version) {
		t.Errorf("got %q", r.out)
	}
}

func TestExitStatus(t *testing.T) {
	plain := errors.New("x")
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, exitDone},
		{plain, exitFailed},
		{badInput(plain), exitBadInput},
		{usage(plain), exitUsage},
		{fmt.Errorf("outer: %w", badInput(plain)), exitBadInput},
		{withStatus(exitFailed, fmt.Errorf("outer: %w", badInput(plain))), exitBadInput},
		{badInput(fmt.Errorf("reading: %w", context.Canceled)), exitInterrupted},
	} {
		if got := exitStatus(c.err); got != c.want {
			t.Errorf("exitStatus(%v) = %d, want %d", c.err, got, c.want)
		}
	}
	if badInput(nil) != nil {
		t.Error("badInput(nil) is not nil")
	}
}

func TestMessagesAreOneLine(t *testing.T) {
	if got := oneLine(errors.New("vit: safetensors: a\nb\tc\x1b[31m")); got != "a b c[31m" {
		t.Errorf("got %q", got)
	}
}
