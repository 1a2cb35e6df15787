//go:build !unix

package main

import "errors"

// makePipe says that the system has no named pipes in its folders.
func makePipe(string) error { return errors.ErrUnsupported }
