//go:build !unix

package audit

import "os"

// lock does nothing: the standard library has no advisory locks on this system.
func lock(*os.File) error { return nil }
