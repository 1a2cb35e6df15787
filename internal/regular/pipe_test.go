//go:build unix

package regular

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// TestNamedPipe would hang where the pipe is opened: nobody ever writes.
func TestNamedPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip("no named pipes:", err)
	}
	if _, err := Open(path); !errors.Is(err, ErrNot) {
		t.Errorf("got %v", err)
	}
}
