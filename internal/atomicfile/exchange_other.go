//go:build !linux

package atomicfile

// exchange reports that the system cannot swap two paths in one step.
func exchange(_, _ string) (bool, error) { return false, nil }
