//go:build !unix

package atomicfile

// syncDir does nothing: folders cannot be flushed here, a rename is journalled by the system.
func syncDir(string) error { return nil }
