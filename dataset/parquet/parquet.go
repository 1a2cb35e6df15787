// Package parquet reads columns of Parquet files, including images in single rows, and writes small tables. It
// wraps a library, and turns its panics on damaged files into errors.
package parquet

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strings"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"melo.example/melo/internal/regular"
)

// ErrFile is wrapped by errors about files that are not Parquet, or damaged.
var ErrFile = errors.New("bad Parquet file")

// maxColumn limits the uncompressed size that a file claims for a column in a row group.
const maxColumn = 8 << 30

// File is an open file. Its methods may be called concurrently.
type File struct {
	path    string
	f       *os.File
	p       *pq.File
	groups  []pq.RowGroup
	first   []int64 // first row of each row group
	columns []Column
}

// Column is a leaf column.
type Column struct {
	Name  string // path components are joined by dots: "image.bytes"
	Bytes bool   // bytes or text, not numbers
	List  bool   // a row may have several values; an empty list is "[]" as text
	Parts bool   // part of a structure: "image.path"
	index int
	empty int // definition level from which a list exists
}

// guard turns a panic of the library into an error.
func guard(path string, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%s: the decoder failed: %v: %w", path, r, ErrFile)
	}
}

// Open opens a file and reads its footer.
func Open(path string) (_ *File, err error) {
	defer guard(path, &err)
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	x := &File{path: path, f: f}
	if err := x.open(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return x, nil
}

func (x *File) open() (err error) {
	defer guard(x.path, &err)
	st, err := x.f.Stat()
	if err != nil {
		return err
	}
	if err := checkFooter(x.f, st.Size()); err != nil {
		return fmt.Errorf("%s: %w: %w", x.path, err, ErrFile)
	}
	if x.p, err = pq.OpenFile(x.f, st.Size(), pq.SkipBloomFilters(true), pq.FileReadMode(pq.ReadModeSync)); err != nil {
		return fmt.Errorf("%s: %w: %w", x.path, err, ErrFile)
	}
	for _, g := range x.p.Metadata().RowGroups {
		for _, c := range g.Columns {
			m := c.MetaData
			if m.Codec == format.Lz4 || m.Codec == format.Lz4Raw {
				// The library mistakes some LZ4 blocks for empty ones, and allocates without bound for damaged
				// ones.
				return fmt.Errorf("%s: LZ4 compression is not read: write it with Snappy or Zstandard", x.path)
			}
			if m.TotalUncompressedSize > maxColumn || m.TotalCompressedSize > st.Size() {
				return fmt.Errorf("%s: a column is said to take %d bytes, packed into %d of a file of %d: %w", x.path,
					m.TotalUncompressedSize, m.TotalCompressedSize, st.Size(), ErrFile)
			}
		}
	}
	rows := int64(0)
	x.groups = x.p.RowGroups()
	for _, g := range x.groups {
		x.first = append(x.first, rows)
		rows += g.NumRows()
	}
	var walk func(c *pq.Column, list bool, empty, inside int)
	walk = func(c *pq.Column, list bool, empty, inside int) {
		if c.Repeated() && !list {
			list, empty = true, c.MaxDefinitionLevel()-1
		}
		if !c.Leaf() {
			if !c.Repeated() && !isList(c) && len(c.Path()) > 0 {
				inside++
			}
			for _, part := range c.Columns() {
				walk(part, list, empty, inside)
			}
			return
		}
		kind := c.Type().Kind()
		x.columns = append(x.columns, Column{Name: plainPath(c.Path()), List: list, Parts: inside > 0, index: c.Index(), empty: empty,
			Bytes: kind == pq.ByteArray || kind == pq.FixedLenByteArray})
	}
	walk(x.p.Root(), false, 0, 0)
	return nil
}

// footerTail is the length of the footer, 4 bytes, and the magic number, 4 bytes.
const footerTail = 8

// checkFooter returns an error if the footer is said to be longer than the file. The library would allocate it first.
func checkFooter(f io.ReaderAt, size int64) error {
	var tail [footerTail]byte
	if size < footerTail+4 {
		return fmt.Errorf("%d bytes are too few", size)
	}
	if _, err := f.ReadAt(tail[:], size-footerTail); err != nil {
		return err
	}
	if n := int64(binary.LittleEndian.Uint32(tail[:])); n > size-footerTail-4 {
		return fmt.Errorf("its footer is said to take %d of %d bytes", n, size)
	}
	return nil
}

// isList reports whether a group only marks its content as a list.
func isList(c *pq.Column) bool {
	parts := c.Columns()
	return len(parts) == 1 && parts[0].Repeated()
}

// plainPath joins the components of a column's name, without those that only mark a list.
func plainPath(parts []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(parts), func(s string) bool { return s == "list" || s == "element" || s == "item" }), ".")
}

// Path returns the path of the file.
func (x *File) Path() string { return x.path }

// Rows returns the number of rows.
func (x *File) Rows() int { return int(x.p.NumRows()) }

// Columns lists the columns.
func (x *File) Columns() []Column { return x.columns }

// Close closes the file.
func (x *File) Close() error { return x.f.Close() }

// Names returns the class names for a column's numbers, as Hugging Face's libraries record them; nil if there
// are none.
func (x *File) Names(column string) []string {
	text, ok := x.p.Lookup("huggingface")
	if !ok {
		return nil
	}
	type feature struct {
		Names   []string        `json:"names"`
		Feature json.RawMessage `json:"feature"`
	}
	var about struct {
		Info struct {
			Features map[string]json.RawMessage `json:"features"`
		} `json:"info"`
	}
	if json.Unmarshal([]byte(text), &about) != nil {
		return nil
	}
	raw := about.Info.Features[column]
	for range 3 {
		var f feature
		if json.Unmarshal(raw, &f) != nil {
			return nil
		}
		if f.Names != nil {
			return f.Names
		}
		raw = f.Feature
	}
	return nil
}

// Strings reads a whole column as text: numbers in decimal, missing values as "", several values joined by "|".
// It returns an error if the texts take more than limit bytes in total.
func (x *File) Strings(c Column, limit int64) (out []string, err error) {
	defer guard(x.path, &err)
	out = make([]string, 0, min(x.Rows(), 1<<20))
	for _, g := range x.groups {
		pages := g.ColumnChunks()[c.index].Pages()
		values := make([]pq.Value, 256)
		for {
			page, err := pages.ReadPage()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, errors.Join(fmt.Errorf("%s: column %s: %w: %w", x.path, c.Name, err, ErrFile), pages.Close())
			}
			r := page.Values()
			for {
				n, err := r.ReadValues(values)
				for _, v := range values[:n] {
					text := ""
					switch {
					case !v.IsNull():
						text = v.String()
					case c.List && v.DefinitionLevel() == c.empty:
						text = "[]" // an empty list differs from a missing list
					}
					if limit -= int64(len(text)); limit < 0 {
						return nil, errors.Join(fmt.Errorf("%s: column %s is too large to be read as text: %w", x.path, c.Name, ErrFile), pages.Close())
					}
					if v.RepetitionLevel() > 0 && len(out) > 0 {
						out[len(out)-1] += "|" + text
					} else {
						out = append(out, text)
					}
				}
				if errors.Is(err, io.EOF) || err == nil && n == 0 {
					break
				}
				if err != nil {
					return nil, errors.Join(fmt.Errorf("%s: column %s: %w: %w", x.path, c.Name, err, ErrFile), pages.Close())
				}
			}
		}
		if err := pages.Close(); err != nil {
			return nil, fmt.Errorf("%s: %w", x.path, err)
		}
	}
	if len(out) != x.Rows() {
		return nil, fmt.Errorf("%s: column %s has %d values, the file %d rows: %w", x.path, c.Name, len(out), x.Rows(), ErrFile)
	}
	return out, nil
}

// Row reads one value of a column of bytes, or nil if it is missing. It reads only the page that contains the
// row.
func (x *File) Row(c Column, row int) (out []byte, err error) {
	defer guard(x.path, &err)
	if row < 0 || row >= x.Rows() {
		return nil, fmt.Errorf("%s: row %d of %d", x.path, row, x.Rows())
	}
	k := sort.Search(len(x.first), func(k int) bool { return x.first[k] > int64(row) }) - 1
	pages := x.groups[k].ColumnChunks()[c.index].Pages()
	defer func() { err = errors.Join(err, pages.Close()) }()
	if err := pages.SeekToRow(int64(row) - x.first[k]); err != nil {
		return nil, fmt.Errorf("%s: row %d: %w: %w", x.path, row, err, ErrFile)
	}
	page, err := pages.ReadPage()
	if err != nil {
		return nil, fmt.Errorf("%s: row %d: %w: %w", x.path, row, err, ErrFile)
	}
	var values [1]pq.Value
	if n, err := page.Values().ReadValues(values[:]); n != 1 {
		return nil, fmt.Errorf("%s: row %d: %w: %w", x.path, row, errors.Join(err, io.ErrUnexpectedEOF), ErrFile)
	}
	if values[0].IsNull() {
		return nil, nil
	}
	return slices.Clone(values[0].ByteArray()), nil
}
