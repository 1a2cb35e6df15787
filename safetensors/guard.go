package safetensors

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// ErrChanged is wrapped by the errors of mapped files that became shorter while they were read.
var ErrChanged = errors.New("the file became shorter while it was read")

// Guard runs read, which reads views into the mapped file at path, and returns ErrChanged where that faults, because
// somebody has shortened the file meanwhile. Without it the process would end. It is for what read does on its own
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
