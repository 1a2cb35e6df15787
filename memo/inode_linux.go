package memo

import (
	"fmt"
	"io/fs"
	"syscall"
)

// inode is the file's device, number and time of the last change of either content or description, which
// nobody can set.
func inode(info fs.FileInfo) string {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d:%d %d.%09d", st.Dev, st.Ino, st.Ctim.Sec, st.Ctim.Nsec)
	}
	return ""
}
