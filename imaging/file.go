package imaging

import (
	"io"

	"melo.example/melo/internal/regular"
)

// ReadFile reads a regular file within the size limit. It refuses other types of file before opening them,
// because opening a named pipe blocks until there is a writer.
func ReadFile(path string, lim Limits) ([]byte, error) {
	lim = lim.orDefault()
	f, err := regular.Open(path)
	if err != nil {
		return nil, errorf("%w", err) // names the operation and the path
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, errorf("%w", err)
	}
	if st.Size() > lim.MaxFileBytes {
		return nil, errorf("%s: file of %d bytes: %w: the limit is %d bytes", path, st.Size(), ErrTooLarge, lim.MaxFileBytes)
	}
	data := make([]byte, st.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, errorf("%s: read %d bytes: %w", path, len(data), err)
	}
	return data, nil
}
