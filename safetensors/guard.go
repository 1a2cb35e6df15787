package safetensors

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// ErrChanged is wrapped by the errors of mapped files that were truncated while they were read.
var ErrChanged = errors.New("the file became shorter while it was read")

// Guard runs read, which reads views of the mapped file at path. If that faults because the file was truncated
// meanwhile, Guard returns ErrChanged; without it the process would crash. It covers what read does on its own
// goroutine, and on those of internal/par.
func Guard(path string, read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }:
			err = fmt.Errorf("safetensors: %s: %w", path, ErrChanged)
		default:
			panic(fault)
		}
	}()
	return read()
}
