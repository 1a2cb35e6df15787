//go:build unix

package regular

import "syscall"

// nonblock avoids waiting if a pipe has replaced the file in the meantime.
const nonblock = syscall.O_NONBLOCK
