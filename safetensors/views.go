package safetensors

import (
	"fmt"
	"unsafe"
)

// Map maps the regular file at path read-only, for readers of other formats. release unmaps it.
func Map(path string) (data []byte, release func() error, err error) {
	data, release, err = mapFile(path)
	if err != nil {
		return nil, nil, reason(err)
	}
	return data, release, nil
}

// FromViews returns a File with the tensors of another format. They are views into data, a mapping of the file
// at path (Map), or separate memory. Their names must differ. Closing the File calls release.
func FromViews(path string, data []byte, tensors []Tensor, release func() error) *File {
	f := &File{path: path, tensors: make(map[string]Tensor, len(tensors)), release: []func() error{release}}
	for _, t := range tensors {
		t.File, t.mapped = path, mapped && inside(data, t.Data)
		f.tensors[t.Name] = t
	}
	return f
}

// inside reports whether part lies within whole.
func inside(whole, part []byte) bool {
	if len(part) == 0 || len(whole) == 0 {
		return false
	}
	first, begin := uintptr(unsafe.Pointer(&part[0])), uintptr(unsafe.Pointer(&whole[0]))
	return first >= begin && first+uintptr(len(part)) <= begin+uintptr(len(whole))
}

// Select returns a File with some of the tensors of f under other names. rename returns "" for tensors to leave
// out. Closing the result closes f. Two tensors with the same new name are an error, and f stays open.
func (f *File) Select(rename func(name string) string) (*File, error) {
	g := &File{path: f.path, tensors: make(map[string]Tensor, len(f.tensors)), metadata: f.metadata, release: []func() error{f.Close}}
	for _, name := range f.Names() {
		to := rename(name)
		if to == "" {
			continue
		}
		if _, dup := g.tensors[to]; dup {
			return nil, fmt.Errorf("%s: two tensors for %s", f.path, quote(to))
		}
		t := f.tensors[name]
		t.Name = to
		g.tensors[to] = t
	}
	return g, nil
}
