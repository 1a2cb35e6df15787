package imaging

import (
	"io"
	"os"
)

// ReadFile reads a regular file of at most the limit's size. What is no regular file is refused before it is
// opened: opening a named pipe waits for somebody to write.
func ReadFile(path string, lim Limits) ([]byte, error) {
	lim = lim.orDefault()
	st, err := os.Stat(path)
	if err != nil {
		return nil, errorf("%w", err) // names the operation and the path
	}
	if err := regular(path, st, lim); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, errorf("%w", err)
	}
	defer f.Close()
	if st, err = f.Stat(); err != nil {
		return nil, errorf("%w", err)
	}
	if err := regular(path, st, lim); err != nil { // it may have changed since
		return nil, err
	}
	data := make([]byte, st.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, errorf("%s: read %d bytes: %w", path, len(data), err)
	}
	return data, nil
}

func regular(path string, st os.FileInfo, lim Limits) error {
	if !st.Mode().IsRegular() {
		return errorf("%s: not a regular file", path)
	}
	if st.Size() > lim.MaxFileBytes {
		return errorf("%s: file of %d bytes: %w: the limit is %d bytes", path, st.Size(), ErrTooLarge, lim.MaxFileBytes)
	}
	return nil
}
