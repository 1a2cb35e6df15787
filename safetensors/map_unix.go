//go:build unix

package safetensors

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapped reports that mapFile maps files.
const mapped = true

// mapFile maps a file read-only.
func mapFile(path string) ([]byte, func() error, error) {
	file, size, err := openRegular(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close() // the mapping remains
	if size == 0 {
		return nil, func() error { return nil }, nil
	}
	data, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	return data, func() error { return unix.Munmap(data) }, nil
}

// forget drops the whole pages within a part of a mapping. They are reloaded from the file when they are read.
func forget(part []byte) {
	page := os.Getpagesize()
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(part)))) & (page - 1) // distance to the first whole page
	n := (len(part) - skip) &^ (page - 1)
	if n > 0 {
		_ = unix.Madvise(part[skip:skip+n], unix.MADV_DONTNEED) // only a hint, so errors do not matter
	}
}
