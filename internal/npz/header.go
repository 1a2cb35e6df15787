package npz

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// maxHeader limits the length of a header in bytes; NumPy writes a few hundred.
const maxHeader = 64 << 10

// maxDims is far above what images need.
const maxDims = 8

// Type is the type of an array's elements.
type Type struct {
	Kind byte // 'u' unsigned, 'i' signed, 'f' float, 'b' boolean
	Size int  // in bytes
	Big  bool // big-endian
}

// String returns NumPy's name of the type, such as "uint8".
func (t Type) String() string {
	switch t.Kind {
	case 'u':
		return fmt.Sprint("uint", 8*t.Size)
	case 'i':
		return fmt.Sprint("int", 8*t.Size)
	case 'f':
		return fmt.Sprint("float", 8*t.Size)
	}
	return "bool"
}

// header is the header of a .npy file (NumPy Enhancement Proposal 1): magic, version, length, and a Python
// dictionary with descr, fortran_order and shape.
type header struct {
	typ   Type
	shape []int
	bytes int64 // of the elements
	size  int64 // of the header itself
}

// readHeader reads a header, and nothing after it.
func readHeader(r io.Reader) (h header, err error) {
	var fixed [12]byte
	if _, err := io.ReadFull(r, fixed[:10]); err != nil {
		return h, fmt.Errorf("npy header: %w", unexpected(err))
	}
	if string(fixed[:6]) != "\x93NUMPY" {
		return h, fmt.Errorf("begins with %q: not a .npy array", fixed[:6])
	}
	n := int64(binary.LittleEndian.Uint16(fixed[8:]))
	h.size = 10
	switch fixed[6] {
	case 1:
	case 2, 3:
		if _, err := io.ReadFull(r, fixed[10:]); err != nil {
			return h, fmt.Errorf("npy header: %w", unexpected(err))
		}
		n, h.size = int64(binary.LittleEndian.Uint32(fixed[8:])), 12
	default:
		return h, fmt.Errorf("npy version %d: expected 1 to 3", fixed[6])
	}
	if n > maxHeader {
		return h, fmt.Errorf("npy header of %d bytes: expected at most %d", n, maxHeader)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return h, fmt.Errorf("npy header: %w", unexpected(err))
	}
	h.size += n
	return h, h.parse(string(text))
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parse parses the dictionary: {'descr': '|u1', 'fortran_order': False, 'shape': (10, 28, 28), }.
func (h *header) parse(text string) error {
	p := parser{rest: text}
	p.expect("{")
	fortran := ""
	for p.err == nil && !p.accept("}") {
		key := p.quoted()
		p.expect(":")
		switch key {
		case "descr":
			h.typ = p.typ()
		case "fortran_order":
			fortran = p.word()
		case "shape":
			h.shape = p.shape()
		default:
			p.failf("key %q", key)
		}
		if !p.accept(",") {
			p.expect("}")
			break
		}
	}
	switch {
	case p.err != nil:
		return fmt.Errorf("npy header %q: %w", short(text), p.err)
	case h.typ.Size == 0 || h.shape == nil || fortran == "":
		return fmt.Errorf("npy header %q: expected descr, fortran_order and shape", short(text))
	case fortran != "False" && fortran != "True":
		return fmt.Errorf("npy header: fortran_order %q: expected True or False", fortran)
	case fortran == "True" && len(h.shape) > 1:
		return errors.New("array in Fortran order: expected C order (numpy.ascontiguousarray)")
	}
	h.bytes = int64(h.typ.Size)
	for _, n := range h.shape {
		if n > 0 && h.bytes > math.MaxInt64/int64(n) {
			return fmt.Errorf("shape %v: too large", h.shape)
		}
		h.bytes *= int64(n)
	}
	return nil
}

func short(s string) string {
	s = strings.TrimSpace(s)
	return s[:min(len(s), 120)]
}

// parser parses the subset of Python's syntax that occurs in headers. After a failure it reads nothing more.
type parser struct {
	rest string
	err  error
}

func (p *parser) failf(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
	p.rest = ""
}

func (p *parser) accept(token string) bool {
	p.rest = strings.TrimLeft(p.rest, " \t\n")
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *parser) expect(token string) {
	if !p.accept(token) {
		p.failf("expected %q at %q", token, short(p.rest))
	}
}

// quoted reads a string without escapes; NumPy writes no others.
func (p *parser) quoted() string {
	for _, q := range []string{"'", `"`} {
		if !p.accept(q) {
			continue
		}
		s, rest, ok := strings.Cut(p.rest, q)
		if !ok {
			break
		}
		p.rest = rest
		return s
	}
	p.failf("expected a string at %q", short(p.rest))
	return ""
}

func (p *parser) word() string {
	p.rest = strings.TrimLeft(p.rest, " \t\n")
	n := 0
	for n < len(p.rest) && (p.rest[n] >= 'a' && p.rest[n] <= 'z' || p.rest[n] >= 'A' && p.rest[n] <= 'Z' || p.rest[n] >= '0' && p.rest[n] <= '9') {
		n++
	}
	w := p.rest[:n]
	p.rest = p.rest[n:]
	return w
}

// typ reads a type such as '|u1' or '<i8'.
func (p *parser) typ() (t Type) {
	if s := strings.TrimLeft(p.rest, " \t\n"); strings.HasPrefix(s, "[") {
		p.failf("a structured array: expected numbers")
		return t
	}
	s := p.quoted()
	if p.err != nil {
		return t
	}
	if len(s) == 3 && strings.IndexByte("<>|=", s[0]) >= 0 {
		t = Type{Kind: s[1], Size: int(s[2] - '0'), Big: s[0] == '>'}
		switch {
		case t.Kind == 'b' && t.Size == 1,
			(t.Kind == 'u' || t.Kind == 'i') && (t.Size == 1 || t.Size == 2 || t.Size == 4 || t.Size == 8),
			t.Kind == 'f' && (t.Size == 2 || t.Size == 4 || t.Size == 8):
			return t
		}
	}
	p.failf("type %q: expected integers, floats or booleans", s)
	return Type{}
}

// shape reads a tuple of sizes.
func (p *parser) shape() []int {
	shape := []int{}
	p.expect("(")
	for p.err == nil && !p.accept(")") {
		w := p.word()
		n, err := strconv.ParseInt(strings.TrimSuffix(w, "L"), 10, 0) // Python 2 wrote 10L
		if err != nil || n < 0 || len(shape) == maxDims {
			p.failf("shape: expected at most %d sizes at %q", maxDims, short(w+p.rest))
			return nil
		}
		shape = append(shape, int(n))
		if !p.accept(",") {
			p.expect(")")
			break
		}
	}
	return shape
}
