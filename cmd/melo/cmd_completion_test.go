package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/internal/text"
)

// complete asks bash what it offers for a line that ends at the cursor.
func complete(t *testing.T, script string, words ...string) []string {
	t.Helper()
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = text.ShellWord(w)
	}
	line := script + "\nCOMP_WORDS=(" + strings.Join(quoted, " ") + "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _melo; printf '%s\\n' \"${COMPREPLY[@]}\"\n"
	out, err := exec.Command("bash", "--norc", "-c", line).CombinedOutput()
	if err != nil {
		t.Fatalf("bash: %v\n%s", err, out)
	}
	return strings.Fields(string(out))
}

func TestBashCompletion(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash")
	}
	script := melo(t, "completion", "bash").want(t, exitDone).out
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"melo", "tr"}, "train"},
		{[]string{"melo", "--js"}, "--json"},
		{[]string{"melo", "train", "--meth"}, "--method"},
		{[]string{"melo", "train", "--method", ""}, "melo linear full"},
		{[]string{"melo", "train", "--method", "=", "l"}, "linear"},
		{[]string{"melo", "train", "--base", ""}, ""}, // files, by bash
		{[]string{"melo", "--json", "train", "--no-aug"}, "--no-augment"},
		{[]string{"melo", "completion", "z"}, "zsh"},
		{[]string{"melo", "data", "train", "--she"}, "--sheet"}, // a folder of that name
	} {
		if got := strings.Join(complete(t, script, c.words...), " "); got != c.want {
			t.Errorf("%q: bash offers %q, want %q", c.words, got, c.want)
		}
	}
}

// TestCompletionScripts lets the shells that are there read their scripts.
func TestCompletionScripts(t *testing.T) {
	for shell, check := range map[string][]string{"bash": {"-n"}, "zsh": {"-n"}, "fish": {"--no-execute"}} {
		script := melo(t, "completion", shell).want(t, exitDone).out
		for _, name := range commandNames() {
			if !strings.Contains(script, name) {
				t.Errorf("%s: the command %s is missing", shell, name)
			}
		}
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		path := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(path, []byte(script), 0o666); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(shell, append(check, path)...).CombinedOutput(); err != nil {
			t.Errorf("%s cannot read its script: %v\n%s", shell, err, out)
		}
	}
}
