// Package npz reads NumPy's .npz archives: zip files of .npy arrays, as numpy.savez and savez_compressed write
// them. Arrays are read row by row, so that memory use does not depend on their size. Uncompressed entries are
// read in place. Compressed ones are unpacked to memory if small, else to a temporary file.
//
// Input is not trusted: names, types and shapes are checked against the sizes in the archive, which are checked
// against the maximum expansion of the compressed bytes.
package npz

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"

	"melo.example/melo/internal/regular"
)

// Limits limits the resources for unpacking. A zero field means its default.
type Limits struct {
	Memory int64 // total bytes of unpacked arrays in memory; default 256 MiB
	Disk   int64 // total bytes of unpacked arrays in temporary files; default 32 GiB
}

func (l Limits) orDefault() Limits {
	if l.Memory <= 0 {
		l.Memory = 256 << 20
	}
	if l.Disk <= 0 {
		l.Disk = 32 << 30
	}
	return l
}

// maxEntries limits the number of entries in an archive; usual archives have a dozen.
const maxEntries = 1024

// maxExpansion is the maximum expansion factor of deflate, with some allowance for small arrays.
const maxExpansion = 1032

// File is an open archive. Its arrays may be read by several goroutines concurrently.
type File struct {
	path   string
	f      *os.File
	size   int64
	zip    *zip.Reader
	limits Limits

	mu           sync.Mutex
	memory, disk int64 // of unpacked arrays
	temporary    []*os.File
}

// Open opens an archive and reads its directory.
func Open(path string, limits Limits) (*File, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, fmt.Errorf("npz: %w", err)
	}
	a := &File{path: path, f: f, limits: limits.orDefault()}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err == nil {
		a.size = st.Size()
		a.zip, err = zip.NewReader(f, a.size)
	}
	if err == nil && len(a.zip.File) > maxEntries {
		err = fmt.Errorf("%d entries: expected at most %d", len(a.zip.File), maxEntries)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("npz: %s: %w", path, err), f.Close())
	}
	return a, nil
}

// Close closes the archive and removes temporary files.
func (a *File) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.f.Close()
	for _, t := range a.temporary {
		err = errors.Join(err, t.Close())
		// already gone on systems where open files can be removed
		if rm := os.Remove(t.Name()); !errors.Is(rm, os.ErrNotExist) {
			err = errors.Join(err, rm)
		}
	}
	a.temporary = nil
	return err
}

// Names lists the arrays, without ".npy", in archive order.
func (a *File) Names() []string {
	var names []string
	for _, e := range a.zip.File {
		if name, ok := strings.CutSuffix(e.Name, ".npy"); ok {
			names = append(names, name)
		}
	}
	return names
}

// Array is one array of an archive. Its first dimension counts rows.
type Array struct {
	Name  string
	Type  Type
	Shape []int // at least one dimension

	a        *File
	entry    *zip.File
	header   header
	rowBytes int

	once sync.Once
	data io.ReaderAt // the elements, once unpacked
	err  error
}

// Array finds an array and checks its header against the size of its entry. It returns nil without an error if
// there is no array of that name.
func (a *File) Array(name string) (*Array, error) {
	for _, e := range a.zip.File {
		if e.Name == name+".npy" {
			x := &Array{Name: name, a: a, entry: e}
			if err := x.open(); err != nil {
				return nil, x.failed(err)
			}
			return x, nil
		}
	}
	return nil, nil
}

func (x *Array) failed(err error) error {
	return fmt.Errorf("npz: %s: %s: %w", x.a.path, x.Name, err)
}

func (x *Array) open() error {
	r, err := x.entry.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if x.header, err = readHeader(r); err != nil {
		return err
	}
	x.Type, x.Shape = x.header.typ, x.header.shape
	if len(x.Shape) == 0 {
		return errors.New("a single number: expected an array")
	}
	size, packed := x.entry.UncompressedSize64, x.entry.CompressedSize64
	if x.header.bytes > math.MaxInt64-x.header.size || uint64(x.header.bytes+x.header.size) != size {
		return fmt.Errorf("%s%v takes %d bytes: the entry has %d", x.Type, x.Shape, x.header.bytes, int64(size)-x.header.size)
	}
	if packed > uint64(x.a.size) || size/maxExpansion > packed {
		return fmt.Errorf("%d bytes cannot be packed into %d of a file of %d", size, packed, x.a.size)
	}
	row := int64(x.Type.Size)
	for _, n := range x.Shape[1:] {
		if n == 0 || row > math.MaxInt32/int64(n) {
			return fmt.Errorf("shape %v: rows are empty or too large", x.Shape)
		}
		row *= int64(n)
	}
	x.rowBytes = int(row)
	return nil
}

// Rows returns the first dimension.
func (x *Array) Rows() int { return x.Shape[0] }

// RowBytes returns the size of a row.
func (x *Array) RowBytes() int { return x.rowBytes }

// Row reads row i into dst, which must have length RowBytes. The first call unpacks the array.
func (x *Array) Row(i int, dst []byte) error {
	if i < 0 || i >= x.Rows() || len(dst) != x.rowBytes {
		return x.failed(fmt.Errorf("row %d into %d bytes: expected 0 to %d into %d", i, len(dst), x.Rows()-1, x.rowBytes))
	}
	x.once.Do(func() { x.data, x.err = x.unpack() })
	if x.err != nil {
		return x.failed(x.err)
	}
	if _, err := x.data.ReadAt(dst, int64(i)*int64(x.rowBytes)); err != nil {
		return x.failed(fmt.Errorf("row %d: %w", i, unexpected(err)))
	}
	return nil
}

// Ints reads a whole array of integers or booleans. Its size is limited by the memory limit.
func (x *Array) Ints() ([]int64, error) {
	if x.Type.Kind == 'f' {
		return nil, x.failed(fmt.Errorf("%s: expected integers", x.Type))
	}
	if x.header.bytes > x.a.limits.Memory/8 {
		return nil, x.failed(fmt.Errorf("%d bytes: expected at most %d", x.header.bytes, x.a.limits.Memory/8))
	}
	out := make([]int64, 0, x.header.bytes/int64(x.Type.Size))
	row := make([]byte, x.rowBytes)
	for i := range x.Rows() {
		if err := x.Row(i, row); err != nil {
			return nil, err
		}
		for at := 0; at < len(row); at += x.Type.Size {
			out = append(out, x.Type.integer(row[at:at+x.Type.Size]))
		}
	}
	return out, nil
}

// integer decodes an element.
func (t Type) integer(b []byte) int64 {
	var v uint64
	for i := range b {
		k := i
		if !t.Big {
			k = len(b) - 1 - i
		}
		v = v<<8 | uint64(b[k])
	}
	if t.Kind == 'i' {
		drop := 64 - 8*len(b)
		return int64(v<<drop) >> drop
	}
	return int64(min(v, math.MaxInt64))
}

// Uint16s decodes the elements of a row of 16-bit unsigned integers.
func (t Type) Uint16s(dst []uint16, row []byte) {
	for i := range dst {
		if t.Big {
			dst[i] = binary.BigEndian.Uint16(row[2*i:])
		} else {
			dst[i] = binary.LittleEndian.Uint16(row[2*i:])
		}
	}
}

// unpack makes the elements accessible in any order.
func (x *Array) unpack() (io.ReaderAt, error) {
	if x.entry.Method == zip.Store {
		start, err := x.entry.DataOffset()
		if err != nil {
			return nil, err
		}
		if start+int64(x.entry.UncompressedSize64) > x.a.size {
			return nil, io.ErrUnexpectedEOF
		}
		return io.NewSectionReader(x.a.f, start+x.header.size, x.header.bytes), nil
	}
	inMemory, err := x.reserve()
	if err != nil {
		return nil, err
	}
	r, err := x.entry.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, x.header.size); err != nil {
		return nil, unexpected(err)
	}
	if inMemory {
		// Images usually compress by less than this factor. Beyond it memory grows as data arrives, so that a
		// false size costs nothing.
		const usual = 8
		var b bytes.Buffer
		b.Grow(int(min(x.header.bytes, usual*int64(x.entry.CompressedSize64))) + bytes.MinRead)
		if err := x.copy(&b, r); err != nil {
			return nil, err
		}
		return bytes.NewReader(b.Bytes()), nil
	}
	return x.spool(r)
}

// reserve books space for the array, in memory or on disk.
func (x *Array) reserve() (inMemory bool, err error) {
	a := x.a
	a.mu.Lock()
	defer a.mu.Unlock()
	n := x.header.bytes
	if n <= a.limits.Memory-a.memory {
		a.memory += n
		return true, nil
	}
	if n > a.limits.Disk-a.disk {
		return false, fmt.Errorf("%d bytes unpacked: the limit is %d bytes for the archive", n, a.limits.Disk)
	}
	a.disk += n
	return false, nil
}

// spool unpacks into a temporary file, which is deleted at once if the system allows.
func (x *Array) spool(r io.Reader) (io.ReaderAt, error) {
	f, err := os.CreateTemp("", "melo-npz-*")
	if err != nil {
		return nil, fmt.Errorf("no temporary file for %d bytes: %w", x.header.bytes, err)
	}
	_ = os.Remove(f.Name()) // fails where open files cannot be removed; Close removes it there
	x.a.mu.Lock()
	x.a.temporary = append(x.a.temporary, f)
	x.a.mu.Unlock()
	if err := x.copy(f, r); err != nil {
		return nil, fmt.Errorf("unpacking %d bytes to %s: %w", x.header.bytes, f.Name(), err)
	}
	return f, nil
}

// copy unpacks to the end, where the checksum is verified.
func (x *Array) copy(w io.Writer, r io.Reader) error {
	n, err := io.Copy(w, io.LimitReader(r, x.header.bytes+1))
	if err != nil {
		return err
	}
	if n != x.header.bytes {
		return fmt.Errorf("%d bytes: expected %d: %w", n, x.header.bytes, io.ErrUnexpectedEOF)
	}
	return nil
}
