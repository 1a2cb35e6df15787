package melo_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestOutsideModule builds and runs a program of another module, which has nothing but what this one exports.
func TestOutsideModule(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	own, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	module := regexp.MustCompile(`(?m)^module[ \t]+(\S+)`).FindStringSubmatch(string(own))[1]
	// The other module has the same requirements, so that nothing is looked for on a network.
	mod := strings.Replace(string(own), "module "+module, "module outside.example/program", 1) +
		"\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + here + "\n"
	files := map[string][]byte{"go.mod": []byte(mod)}
	for name, from := range map[string]string{"go.sum": "go.sum", "main.go": "testdata/outside/main.go"} {
		if files[name], err = os.ReadFile(from); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "program")
	command := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOWORK=off", "GOPROXY=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	command("go", "build", "-o", program, ".")
	got := command(program, filepath.Join(dir, "work"), filepath.Join(here, "testdata", "golden", "hf_vit"))
	const want = `resumed: true epochs: 3 validation AUC: true
test images: 9 AUC: true same data: true
report: true
compared: melo and linear runs: 2
candidates: 3 tried: rank
facade: light
engine: light true
server: light
`
	if got != want {
		t.Errorf("got %swant %s", got, want)
	}
}
