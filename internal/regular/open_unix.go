//go:build unix

package regular

import "syscall"

// nonblock lets a pipe that took the place of a file in the meantime be opened without waiting.
const nonblock = syscall.O_NONBLOCK
