//go:build unix

package imaging

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestNamedPipe would hang where the pipe is opened: nobody ever writes.
func TestNamedPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.png")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip("no named pipes:", err)
	}
	if _, err := DecodeFile(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v", err)
	}
}
