//go:build !linux

package atomicfile

// exchange returns false, because the system cannot swap two paths atomically.
func exchange(_, _ string) (bool, error) { return false, nil }
