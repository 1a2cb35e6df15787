package host

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestFilesThatOthersWrite: whoever may write the list of tokens may come as anybody.
func TestFilesThatOthersWrite(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing")
	}
	path := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode        os.FileMode
		warns, fail bool
	}{{0o600, false, false}, {0o644, false, false}, {0o660, true, false}, {0o666, false, true}, {0o602, false, true}} {
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		for what, s := range map[string]Settings{"tokens": {Tokens: path}, "digests": {Allowed: path}, "keys": {Keys: path}, "token of metrics": {MetricsToken: path},
			"certificate": {TLS: &TLS{Cert: path}}, "its key": {TLS: &TLS{Key: path}}, "authorities": {TLS: &TLS{ClientCA: path}}} {
			var log bytes.Buffer
			r := &Server{settings: s, log: slog.New(slog.NewTextHandler(&log, nil))}
			err := r.checkWritable()
			if (err != nil) != c.fail || err != nil && !strings.Contains(err.Error(), path) || strings.Contains(log.String(), "group") != c.warns {
				t.Errorf("%s, %v: %v, log %q", what, c.mode, err, &log)
			}
		}
	}
}
