package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf8"
)

// MaxHeader is the largest header in bytes that is read or written, as in the reference implementation.
const MaxHeader = 100_000_000

// maxRank is far above the rank of any model's tensors; the format sets no limit.
const maxRank = 16

const metadataKey = "__metadata__"

// entry is one tensor as described in the header.
type entry struct {
	name       string
	dtype      DType
	shape      []int
	begin, end uint64
}

// Limits limits the header of a file.
type Limits struct {
	Header  int // bytes, at most MaxHeader; 0: MaxHeader
	Tensors int // 0: no separate limit
}

// parseHeader checks the layout of the whole file. It returns the tensors in file order, the metadata, and the
// data section.
func parseHeader(file []byte, l Limits) (entries []entry, metadata map[string]string, data []byte, err error) {
	n, err := l.headerLength(file, uint64(len(file)))
	if err != nil {
		return nil, nil, nil, err
	}
	entries, metadata, err = l.parseJSON(file[8:8+n], uint64(len(file))-8-n)
	return entries, metadata, file[8+n:], err
}

// headerLength reads the header length from the first bytes of a file of size bytes.
func (l Limits) headerLength(begin []byte, size uint64) (uint64, error) {
	if len(begin) < 8 {
		return 0, fmt.Errorf("file has %d bytes, expected at least 8 for the header length", len(begin))
	}
	n, limit := binary.LittleEndian.Uint64(begin), uint64(cmp.Or(l.Header, MaxHeader))
	if n > limit && string(begin[:8]) == "version " {
		return 0, fmt.Errorf("not a safetensors file: text as in a pointer of Git LFS, which stands for a file that is still to be fetched")
	}
	if n > limit {
		return 0, fmt.Errorf("not a safetensors file: it begins with a header length of %d, expected at most %d", n, limit)
	}
	if rest := size - 8; n > rest {
		return 0, fmt.Errorf("header length %d, but the file has only %d bytes after it (truncated?)", n, rest)
	}
	return n, nil
}

// parseJSON parses a header that is followed by size bytes of data.
func (l Limits) parseJSON(header []byte, size uint64) (entries []entry, metadata map[string]string, err error) {
	if len(header) == 0 || header[0] != '{' {
		return nil, nil, fmt.Errorf("header does not start with '{'")
	}
	if !utf8.Valid(header) {
		return nil, nil, fmt.Errorf("header is not UTF-8")
	}
	r := newStrictJSON(header)
	err = r.object(func(key string) (err error) {
		if key == metadataKey {
			if metadata, err = r.stringMap(); err != nil {
				return fmt.Errorf("%s: %w", metadataKey, err)
			}
			return nil
		}
		if l.Tensors > 0 && len(entries) == l.Tensors {
			return fmt.Errorf("more than %d tensors", l.Tensors)
		}
		e, err := r.entry(key)
		if err != nil {
			return fmt.Errorf("tensor %s: %w", quote(key), err)
		}
		entries = append(entries, e)
		return nil
	})
	if err == nil {
		err = r.end()
	}
	if err == nil {
		err = checkLayout(entries, size)
	}
	if err != nil {
		return nil, nil, err
	}
	return entries, metadata, nil
}

// checkLayout sorts the tensors by offset and checks that they cover the data section exactly.
func checkLayout(entries []entry, size uint64) error {
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	var at uint64
	for i, e := range entries {
		switch {
		case e.end > size:
			return fmt.Errorf("tensor %s: data offsets [%d, %d] reach beyond the %d bytes of data (truncated?)",
				quote(e.name), e.begin, e.end, size)
		case e.begin < at:
			return fmt.Errorf("tensor %s: data offsets [%d, %d] overlap those of %s, which end at %d",
				quote(e.name), e.begin, e.end, quote(entries[i-1].name), at)
		case e.begin > at:
			return fmt.Errorf("tensor %s: data offsets [%d, %d], expected to begin at %d (a hole)",
				quote(e.name), e.begin, e.end, at)
		}
		at = e.end
	}
	if at != size {
		return fmt.Errorf("%d bytes after the last tensor, expected none", size-at)
	}
	return nil
}

// strictJSON accepts only the forms of JSON that a header may contain.
type strictJSON struct{ dec *json.Decoder }

func newStrictJSON(text []byte) *strictJSON {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return &strictJSON{dec}
}

func (r *strictJSON) token() (json.Token, error) {
	t, err := r.dec.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("JSON at byte %d: %w", r.dec.InputOffset(), err)
	}
	return t, nil
}

func (r *strictJSON) delim(want json.Delim) error {
	t, err := r.token()
	if err == nil && t != want {
		err = fmt.Errorf("JSON at byte %d: expected %q", r.dec.InputOffset(), rune(want))
	}
	return err
}

// end checks that nothing but white space follows.
func (r *strictJSON) end() error {
	if _, err := r.dec.Token(); err != io.EOF {
		return fmt.Errorf("text after the JSON header")
	}
	return nil
}

// object calls field for each key, with the reader before its value. Duplicate keys are an error.
func (r *strictJSON) object(field func(key string) error) error {
	if err := r.delim('{'); err != nil {
		return err
	}
	seen := map[string]struct{}{}
	for r.dec.More() {
		t, err := r.token()
		if err != nil {
			return err
		}
		key := t.(string) // cannot fail: the decoder accepts only strings as keys
		if _, dup := seen[key]; dup {
			return fmt.Errorf("%s appears twice", quote(key))
		}
		seen[key] = struct{}{}
		if err := field(key); err != nil {
			return err
		}
	}
	return r.delim('}')
}

func (r *strictJSON) string() (string, error) {
	t, err := r.token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("JSON at byte %d: expected a string", r.dec.InputOffset())
	}
	return s, nil
}

func (r *strictJSON) stringMap() (map[string]string, error) {
	m := map[string]string{}
	err := r.object(func(key string) error {
		s, err := r.string()
		if err != nil {
			return fmt.Errorf("%s: %w", quote(key), err)
		}
		m[key] = s
		return nil
	})
	return m, err
}

// uints reads an array of at most limit unsigned integers.
func (r *strictJSON) uints(limit int) ([]uint64, error) {
	if err := r.delim('['); err != nil {
		return nil, err
	}
	var list []uint64
	for r.dec.More() {
		t, err := r.token()
		if err != nil {
			return nil, err
		}
		number, ok := t.(json.Number)
		if !ok {
			return nil, fmt.Errorf("JSON at byte %d: expected an integer", r.dec.InputOffset())
		}
		v, err := strconv.ParseUint(string(number), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s, expected an integer from 0", quote(string(number)))
		}
		if len(list) == limit {
			return nil, fmt.Errorf("more than %d numbers", limit)
		}
		list = append(list, v)
	}
	return list, r.delim(']')
}

// entry reads the description of one tensor and checks it.
func (r *strictJSON) entry(name string) (entry, error) {
	e := entry{name: name}
	var shape, offsets []uint64
	fields := 0
	err := r.object(func(key string) (err error) {
		fields++
		switch key {
		case "dtype":
			var s string
			s, err = r.string()
			e.dtype = DType(s)
		case "shape":
			shape, err = r.uints(maxRank)
		case "data_offsets":
			offsets, err = r.uints(2)
		default:
			return fmt.Errorf("unknown field %s", quote(key))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return entry{}, err
	}
	if fields != 3 {
		return entry{}, fmt.Errorf("expected dtype, shape and data_offsets")
	}
	if e.dtype.Size() == 0 {
		return entry{}, fmt.Errorf("dtype %s is not supported", quote(string(e.dtype)))
	}
	if len(offsets) != 2 || offsets[0] > offsets[1] {
		return entry{}, fmt.Errorf("data_offsets %d, expected [begin, end] with begin <= end", offsets)
	}
	e.begin, e.end = offsets[0], offsets[1]
	want, ok := byteSize(e.dtype, shape)
	if !ok {
		return entry{}, fmt.Errorf("shape %d is too large", shape)
	}
	if want != e.end-e.begin {
		return entry{}, fmt.Errorf("shape %d of %s needs %d bytes, data_offsets give %d",
			shape, e.dtype, want, e.end-e.begin)
	}
	e.shape = make([]int, len(shape))
	for i, v := range shape {
		e.shape[i] = int(v)
	}
	return e, nil
}

// byteSize returns the bytes of a tensor. It returns false if a dimension or the product does not fit an int.
func byteSize(dtype DType, shape []uint64) (uint64, bool) {
	size := uint64(dtype.Size())
	empty := false
	for _, v := range shape {
		if v > math.MaxInt {
			return 0, false
		}
		if v == 0 {
			empty = true
			continue
		}
		hi, lo := bits.Mul64(size, v)
		if hi != 0 || lo > math.MaxInt {
			return 0, false
		}
		size = lo
	}
	if empty {
		return 0, true
	}
	return size, true
}

// quote shortens text from a file for a message.
func quote(s string) string {
	if len(s) > 120 {
		s = s[:120] + "..."
	}
	return strconv.Quote(s)
}
