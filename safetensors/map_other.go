//go:build !unix

package safetensors

import "io"

// mapped says that mapFile maps.
const mapped = false

// mapFile reads the whole file where mapping is not available.
func mapFile(path string) ([]byte, func() error, error) {
	file, size, err := openRegular(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	data := make([]byte, size)
	if _, err := io.ReadFull(file, data); err != nil {
		return nil, nil, err
	}
	return data, func() error { return nil }, nil
}

// forget does nothing: only a mapping can be read again.
func forget([]byte) {}
