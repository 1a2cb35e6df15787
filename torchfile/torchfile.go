// Package torchfile reads the tensors of files that torch.save has written (.pt, .pth, .bin, .ckpt), in the zip format
// and in the one before it, and of TorchScript archives. It runs nothing of a file: of Python's pickle format it knows
// the part that tensors need, and refuses what else a file asks for by name. Tensors are views into the mapped file.
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

// maxPickle bounds the part of a file that is no numbers.
const maxPickle = 256 << 20

// magic begins the pickle at the start of a file of before PyTorch 1.6.
var magic = []byte{0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e}

// Is tells from its first bytes whether a file may be one of torch.save.
func Is(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || len(head) > 0 && head[0] == 0x80
}

// Open maps the file at path and returns its tensors: those of the state dict that it holds, whose keys are their names.
// notes say which one was taken where there are several. Close the file when done.
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

// Parse is Open for a file in memory; the tensors are views into data, as far as they lie there in one piece.
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

// archive is a file while it is read.
type archive struct {
	file    []byte
	storage map[string]*storage
	find    func(key string) ([]byte, error) // of the zip format
	script  bool                             // a TorchScript archive, whose classes are in it
}

// storage is a run of numbers that tensors are views of.
type storage struct {
	dtype safetensors.DType
	size  int // bytes of an element
	count int // elements that the pickle says there are
	data  []byte
}

// zip reads the format of PyTorch 1.6 and later: an archive with data.pkl and one entry a storage, none compressed.
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

// stored returns the bytes of an entry where they lie.
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

// pickle returns the text of data.pkl.
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

// legacy reads the format before: pickles one after another (a magic number, the protocol, what machine it was, the
// object, the keys of the storages), and then the storages, each behind its number of elements.
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
