//go:build unix

package audit

import (
	"errors"
	"os"
	"syscall"
)

// lock prevents other processes from writing the same log, until the file is closed.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.New("another process writes this log")
	}
	return err
}
