package memo

import (
	"fmt"
	"io/fs"
	"syscall"
)

// inode returns the file's device, inode number and change time, which user programs cannot set.
func inode(info fs.FileInfo) string {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d:%d %d.%09d", st.Dev, st.Ino, st.Ctim.Sec, st.Ctim.Nsec)
	}
	return ""
}
