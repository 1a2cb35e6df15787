//go:build !unix

package audit

import "os"

// lock does nothing: there is no advisory lock to be had from the standard library here.
func lock(*os.File) error { return nil }
