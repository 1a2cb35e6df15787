//go:build unix

package hub

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock prevents other processes from writing to a file that is being downloaded, until it is closed.
func lock(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}
