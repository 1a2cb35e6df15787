package safetensors

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"melo.example/melo/internal/regular"
)

// Tensor is a named array inside a File, row-major and little-endian.
type Tensor struct {
	Name  string
	DType DType
	Shape []int
	Data  []byte // a view into the file: read-only, valid until File.Close
	File  string // path of the file or shard that holds it, for messages

	mapped bool // Data is part of a mapped file
}

// Len returns the number of elements.
func (t Tensor) Len() int { return len(t.Data) / max(t.DType.Size(), 1) }

// Forget tells the operating system that the tensor need not stay in memory. Pages of a mapped file count as
// memory of the process as long as they are resident. Reading the tensor again is possible and loads it again.
func (t Tensor) Forget() {
	if t.mapped {
		forget(t.Data)
	}
}

// File is an open safetensors file, or several shards combined. It is safe for concurrent reading.
type File struct {
	path     string
	tensors  map[string]Tensor
	metadata map[string]string
	release  []func() error
}

// Open maps the file at path and checks its header completely. While it is open, replacing the file by a rename
// is safe. Modifying it in place changes the views, and truncating it causes a fault when they are read: read
// them inside Guard.
func Open(path string) (*File, error) {
	data, release, err := mapFile(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, reason(err))
	}
	var f *File
	err = Guard(path, func() (err error) {
		f, err = Parse(data, path)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, release())
	}
	f.release = append(f.release, release)
	for name, t := range f.tensors {
		t.mapped = mapped
		f.tensors[name] = t
	}
	return f, nil
}

// ReadFile reads the file at path, of at most limit bytes, into memory. Later changes of the file have no
// effect.
func ReadFile(path string, limit int64, l Limits) (*File, error) {
	data, err := regular.ReadFile(path, limit)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, reason(err))
	}
	return ParseLimits(data, path, l)
}

// ReadHeader reads and checks only the header of the file at path. Its tensors have no data.
func ReadHeader(path string, l Limits) (*File, error) {
	file, size, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, reason(err))
	}
	defer file.Close()
	return HeaderOf(file, int64(size), path, l)
}

// HeaderOf is ReadHeader for an open file of size bytes, from its current position. name is used in messages.
func HeaderOf(file io.Reader, size int64, name string, l Limits) (*File, error) {
	named := func(err error) error { return fmt.Errorf("safetensors: %s: %w", name, reason(err)) }
	begin := make([]byte, min(8, size))
	if _, err := io.ReadFull(file, begin); err != nil {
		return nil, named(err)
	}
	n, err := l.headerLength(begin, uint64(size))
	if err != nil {
		return nil, named(err)
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(file, header); err != nil {
		return nil, named(err)
	}
	entries, metadata, err := l.parseJSON(header, uint64(size)-8-n)
	if err != nil {
		return nil, named(err)
	}
	return newFile(name, entries, metadata, func(entry) []byte { return nil }), nil
}

// Parse reads a file from memory. Tensors are views into data. name is used in messages.
func Parse(data []byte, name string) (*File, error) { return ParseLimits(data, name, Limits{}) }

// ParseLimits is Parse with limits on the header.
func ParseLimits(data []byte, name string, l Limits) (*File, error) {
	entries, metadata, body, err := parseHeader(data, l)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", name, err)
	}
	return newFile(name, entries, metadata, func(e entry) []byte { return body[e.begin:e.end:e.end] }), nil
}

func newFile(name string, entries []entry, metadata map[string]string, view func(entry) []byte) *File {
	f := &File{path: name, metadata: metadata, tensors: make(map[string]Tensor, len(entries))}
	for _, e := range entries {
		f.tensors[e.name] = Tensor{Name: e.name, DType: e.dtype, Shape: e.shape, Data: view(e), File: name}
	}
	return f
}

// Path returns the path that the file was opened with.
func (f *File) Path() string { return f.path }

// Names returns the names of all tensors, sorted.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.tensors)) }

// Tensor returns the tensor of that name.
func (f *File) Tensor(name string) (Tensor, bool) {
	t, ok := f.tensors[name]
	return t, ok
}

// Metadata returns the string map in the header, or nil if there is none. It must not be modified.
func (f *File) Metadata() map[string]string { return f.metadata }

// Close releases the mapping. Tensors of the file must not be used afterwards.
func (f *File) Close() error {
	var errs []error
	for _, release := range f.release {
		errs = append(errs, release())
	}
	f.release, f.tensors = nil, nil
	return errors.Join(errs...)
}

// openRegular opens a regular file whose size fits an int.
func openRegular(path string) (*os.File, int, error) {
	file, err := regular.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err == nil && int64(int(info.Size())) != info.Size() {
		err = fmt.Errorf("%d bytes are more than this system can address", info.Size())
	}
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, int(info.Size()), nil
}

// reason strips the path from a system error, because the caller adds it.
func reason(err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
