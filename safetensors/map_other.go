//go:build !unix

package safetensors

import "io"

// mapped reports that mapFile maps files.
const mapped = false

// mapFile reads the whole file, on systems without mapping.
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

// forget does nothing, because memory that is not mapped cannot be read again.
func forget([]byte) {}
