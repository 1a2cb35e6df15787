//go:build unix

package sysinfo

import "golang.org/x/sys/unix"

// FreeBytes returns the free space in bytes on the disk of a folder; 0 if unknown.
func FreeBytes(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0
	}
	return int64(st.Bavail) * int64(st.Bsize) //nolint:unconvert // types differ between systems
}
