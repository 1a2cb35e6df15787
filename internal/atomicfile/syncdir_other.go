//go:build !unix

package atomicfile

// syncDir does nothing: folders cannot be synced here, and the system journals renames.
func syncDir(string) error { return nil }
