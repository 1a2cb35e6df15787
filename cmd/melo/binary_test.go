package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// binary builds the program once for the tests that need a real process.
var binary = sync.OnceValues(func() (string, error) {
	name := "melo"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	path := filepath.Join(binaryDir, name)
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = environ
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

// process runs the built program with pipes, as a script would.
func process(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func TestProgramInAPipe(t *testing.T) {
	t.Parallel()
	if r := process(t, "", "version", "--json").want(t, exitDone); !json.Valid([]byte(r.out)) || r.err != "" {
		t.Errorf("stdout %q, stderr %q", r.out, r.err)
	}
	process(t, "", "nonsense").want(t, exitUsage)
	r := process(t, "", "inspect", filepath.Join(t.TempDir(), "missing.safetensors")).want(t, exitBadInput)
	if r.out != "" || !strings.Contains(r.err, "missing.safetensors") || strings.Contains(r.err, "\x1b") {
		t.Errorf("stdout %q, stderr %q", r.out, r.err)
	}
}
