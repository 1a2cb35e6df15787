// Package torchfile reads tensors from files written by torch.save (.pt, .pth, .bin, .ckpt), in the zip format
// and in the older one, and from TorchScript archives. It never executes code from a file: it implements the
// part of Python's pickle format that tensors need, and returns an error that names anything else. Tensors are
// views into the mapped file.
package torchfile

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"melo.example/melo/internal/pickle"
	"melo.example/melo/safetensors"
)

// maxPickle limits the size in bytes of the part of a file that describes tensors.
const maxPickle = 256 << 20

// magic starts the first pickle of a file from before PyTorch 1.6.
var magic = []byte{0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e}

// Is reports whether a file with these first bytes may be one of torch.save.
func Is(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || len(head) > 0 && head[0] == 0x80
}

// Open maps the file at path and returns the tensors of the state dict in it, named by their keys. If there are
// several state dicts, notes say which one was taken. Close the file after use.
func Open(path string) (f *safetensors.File, notes []string, err error) {
	data, release, err := safetensors.Map(path)
	if err != nil {
		return nil, nil, fmt.Errorf("torchfile: %s: %w", path, err)
	}
	tensors, notes, err := Parse(data)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("torchfile: %s: %w", path, err), release())
	}
	return safetensors.FromViews(path, data, tensors, release), notes, nil
}

// Parse is Open for a file in memory. Contiguous tensors are views into data.
func Parse(data []byte) (tensors []safetensors.Tensor, notes []string, err error) {
	var root any
	a := &archive{file: data}
	switch {
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		root, err = a.zip()
	case bytes.HasPrefix(data, magic):
		root, err = a.legacy()
	case len(data) > 262 && string(data[257:262]) == "ustar":
		err = errors.New("is a tar file, as PyTorch wrote before version 0.1.10: load it with PyTorch and save it again")
	case len(data) > 0 && data[0] == 0x80:
		err = errors.New("is a pickle, but not of torch.save: only tensors that torch.save has written are read")
	default:
		err = errors.New("is no file of torch.save")
	}
	if err != nil {
		return nil, nil, err
	}
	return choose(root, len(data)+16<<20)
}

// archive is a file while it is parsed.
type archive struct {
	file    []byte
	storage map[string]*storage
	find    func(key string) ([]byte, error) // finds an entry of the zip format
	script  bool                             // a TorchScript archive, which defines its own classes
}

// storage is an array of values, of which tensors are views.
type storage struct {
	dtype safetensors.DType
	size  int // bytes per element
	count int // number of elements according to the pickle
	data  []byte
}

// zip reads the format of PyTorch 1.6 and later: an archive with data.pkl and one uncompressed entry per
// storage.
func (a *archive) zip() (any, error) {
	z, err := zip.NewReader(bytes.NewReader(a.file), int64(len(a.file)))
	if err != nil {
		return nil, err
	}
	entries := map[string]*zip.File{}
	root, script := "", false
	for _, f := range z.File {
		entries[f.Name] = f
		if dir, base := path.Split(f.Name); base == "data.pkl" && strings.Count(dir, "/") == 1 {
			root = dir
		} else if base == "constants.pkl" && strings.Count(dir, "/") == 1 {
			script = true
		}
	}
	if root == "" {
		return nil, errors.New("is a zip archive without data.pkl, so not of torch.save")
	}
	if order, ok := entries[root+"byteorder"]; ok {
		text, err := a.stored(order)
		if err != nil {
			return nil, fmt.Errorf("byte order: %w", err)
		}
		if string(text) != "little" {
			return nil, fmt.Errorf("byte order %.20q, expected little", text)
		}
	}
	text, err := a.pickle(entries[root+"data.pkl"])
	if err != nil {
		return nil, err
	}
	a.script = script
	a.find = func(key string) ([]byte, error) {
		e, ok := entries[root+"data/"+key]
		if !ok {
			return nil, fmt.Errorf("there is no storage %.60q", key)
		}
		return a.stored(e)
	}
	v, _, err := a.machine().Decode(text)
	return v, err
}

// stored returns the bytes of an entry in place.
func (a *archive) stored(f *zip.File) ([]byte, error) {
	if f.Method != zip.Store {
		return nil, fmt.Errorf("%.80q is compressed, which torch.save never does", f.Name)
	}
	at, err := f.DataOffset()
	if err != nil {
		return nil, err
	}
	if n := f.UncompressedSize64; at < 0 || uint64(at) > uint64(len(a.file)) || n > uint64(len(a.file))-uint64(at) {
		return nil, fmt.Errorf("%.80q ends behind the file", f.Name)
	}
	end := at + int64(f.UncompressedSize64)
	return a.file[at:end:end], nil
}

// pickle returns the content of data.pkl.
func (a *archive) pickle(f *zip.File) ([]byte, error) {
	if f.UncompressedSize64 > maxPickle {
		return nil, fmt.Errorf("%.80q has %d bytes, expected at most %d", f.Name, f.UncompressedSize64, maxPickle)
	}
	if f.Method == zip.Store {
		return a.stored(f)
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxPickle))
}

// legacy reads the older format: a sequence of pickles (a magic number, the protocol, machine properties, the
// object, the keys of the storages), followed by the storages, each after its number of elements.
func (a *archive) legacy() (any, error) {
	rest := a.file
	var values [5]any
	a.storage = map[string]*storage{}
	for i := range values {
		v, n, err := a.machine().Decode(rest[:min(len(rest), maxPickle)])
		if err != nil {
			return nil, err
		}
		values[i], rest = v, rest[n:]
	}
	if v, ok := values[1].(int64); !ok || v != 1001 {
		return nil, fmt.Errorf("protocol %v, expected 1001", values[1])
	}
	if info, ok := values[2].(*pickle.Dict); ok {
		if little, ok := info.Get("little_endian"); ok && little != true {
			return nil, errors.New("was written by a machine of another byte order")
		}
	}
	keys, ok := values[4].(*pickle.List)
	if !ok {
		return nil, errors.New("has no list of storages")
	}
	for _, k := range keys.Items {
		key, _ := k.(string)
		s := a.storage[key]
		if s == nil {
			return nil, fmt.Errorf("storage %.60v is listed, but no tensor has it", k)
		}
		if len(rest) < 8 {
			return nil, errors.New("ends before a storage (truncated?)")
		}
		n := binary.LittleEndian.Uint64(rest)
		rest = rest[8:]
		if n != uint64(s.count) || n > uint64(len(rest)/s.size) {
			return nil, fmt.Errorf("storage %.60q has %d elements, expected %d within the file (truncated?)", key, n, s.count)
		}
		size := int(n) * s.size
		s.data, rest = rest[:size:size], rest[size:]
	}
	return values[3], nil
}
