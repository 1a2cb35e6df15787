package imaging

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// pnmFormat is the Netpbm family: files start with P, a digit or letter, and white space.
var pnmFormat = format{name: "PNM", inspect: inspectPNM, decode: decodePNM, density: constant(8)}

func isPNM(data []byte) bool {
	return len(data) > 2 && data[0] == 'P' && bytes.IndexByte([]byte("1234567Ff"), data[1]) >= 0 && (isSpace(data[2]) || data[2] == '#')
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// pnmFile is a header and the data after it.
type pnmFile struct {
	kind     byte // '1' to '7', 'f', 'F'
	w, h     int
	channels int // channels in the file
	top      int // sample value of white
	scale    float64
	rest     []byte
}

// pnmReader reads tokens.
type pnmReader struct {
	data []byte
	pos  int
}

// token returns the next word, skipping comments and the white space character after it.
func (r *pnmReader) token() string {
	start := -1
	for ; r.pos < len(r.data); r.pos++ {
		c := r.data[r.pos]
		switch {
		case c == '#' && start < 0:
			for r.pos < len(r.data) && r.data[r.pos] != '\n' && r.data[r.pos] != '\r' {
				r.pos++
			}
		case isSpace(c):
			if start >= 0 {
				r.pos++
				return string(r.data[start : r.pos-1])
			}
		case start < 0:
			start = r.pos
		case r.pos-start > 20:
			return "" // no number is that long
		}
	}
	if start < 0 {
		return ""
	}
	return string(r.data[start:])
}

func (r *pnmReader) number(what string, most int) (int, error) {
	t := r.token()
	n, err := strconv.ParseUint(t, 10, 31)
	if err != nil || n < 1 || int(n) > most {
		if t == "" {
			return 0, errEnd
		}
		return 0, fmt.Errorf("%s %q, expected 1 to %d", what, t, most)
	}
	return int(n), nil
}

func readPNM(data []byte) (f *pnmFile, err error) {
	f = &pnmFile{kind: data[1], channels: 1, top: 1}
	r := &pnmReader{data, 2}
	if f.kind == '7' {
		return f, f.readPAM(r)
	}
	const most = math.MaxInt32
	if f.w, err = r.number("width", most); err != nil {
		return nil, err
	}
	if f.h, err = r.number("height", most); err != nil {
		return nil, err
	}
	switch f.kind {
	case '3', '6', 'F':
		f.channels = 3
	}
	switch f.kind {
	case '2', '3', '5', '6':
		f.top, err = r.number("maximum", math.MaxUint16)
	case 'f', 'F':
		t := r.token()
		if f.scale, err = strconv.ParseFloat(t, 64); err != nil || f.scale == 0 || math.IsInf(f.scale, 0) {
			err = fmt.Errorf("scale %q", t)
		}
	}
	if err != nil {
		return nil, err
	}
	f.rest = data[min(r.pos, len(data)):]
	return f, f.there()
}

// readPAM reads a PAM header.
func (f *pnmFile) readPAM(r *pnmReader) error {
	fields := map[string]*int{"WIDTH": &f.w, "HEIGHT": &f.h, "DEPTH": &f.channels, "MAXVAL": &f.top}
	f.channels, f.top = 0, 0
	for {
		switch t := r.token(); t {
		case "ENDHDR":
			f.rest = r.data[min(r.pos, len(r.data)):]
			if f.w < 1 || f.h < 1 || f.top < 1 || f.top > math.MaxUint16 {
				return fmt.Errorf("%d x %d pixels, maximum %d", f.w, f.h, f.top)
			}
			if f.channels < 1 || f.channels > 4 {
				return fmt.Errorf("%d channels, expected 1 to 4", f.channels)
			}
			return f.there()
		case "WIDTH", "HEIGHT", "DEPTH", "MAXVAL":
			n, err := r.number(t, math.MaxInt32)
			if err != nil {
				return err
			}
			*fields[t] = n
		case "TUPLTYPE":
			r.token()
		case "":
			return errEnd
		default:
			return fmt.Errorf("header line %q", t)
		}
	}
}

// size returns the bytes of a sample in a binary file.
func (f *pnmFile) size() int64 {
	switch {
	case f.kind == 'f' || f.kind == 'F':
		return 4
	case f.top > math.MaxUint8:
		return 2
	}
	return 1
}

// rowBytes returns the length of a row of a binary file.
func (f *pnmFile) rowBytes() int64 {
	if f.kind == '4' {
		return (int64(f.w) + 7) / 8
	}
	return int64(f.w) * int64(f.channels) * f.size()
}

// there checks that all pixels are present. For text formats it uses the minimum number of characters.
func (f *pnmFile) there() error {
	row := f.rowBytes()
	switch f.kind {
	case '1':
		row = int64(f.w)
	case '2', '3':
		row = 2*int64(f.w)*int64(f.channels) - 1
	}
	if int64(f.h) > int64(len(f.rest))/row {
		return fmt.Errorf("%w: %d bytes for %d rows", errEnd, len(f.rest), f.h)
	}
	return nil
}

func inspectPNM(data []byte, _ Options) (Info, error) {
	f, err := readPNM(data)
	if err != nil {
		return Info{}, err
	}
	n := saturated(saturated(int64(f.w), int64(f.h)), int64(f.channels))
	info := Info{W: f.w, H: f.h, C: f.colours(), Bits: 8, Pages: 1, Work: n, Bytes: n}
	if f.size() > 1 {
		info.Bytes = saturated(n, 2)
		info.Bits = 16
		for f.top < 1<<(info.Bits-1) {
			info.Bits--
		}
	}
	if f.size() == 4 {
		info.Bits, info.Float = 32, true
	}
	return info, nil
}

func (f *pnmFile) colours() int {
	if f.channels < 3 {
		return 1
	}
	return 3
}

func decodePNM(ctx context.Context, data []byte, _ Options) (*Image, error) {
	f, err := readPNM(data)
	if err != nil {
		return nil, err
	}
	depth := 8
	if f.size() > 1 {
		depth = 16
	}
	dst := newImage(f.w, f.h, f.colours(), depth)
	row := make([]uint16, f.w*f.channels)
	next := f.binaryRow
	if f.kind < '4' {
		r := &pnmReader{f.rest, 0}
		next = func(row []uint16, _ int) error { return f.plainRow(row, r) }
	}
	table := f.table(depth)
	for y := range f.h {
		if y%64 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := next(row, y); err != nil {
			return nil, err
		}
		line := y
		if f.scale != 0 {
			line = f.h - 1 - y // floating-point images are stored bottom up
		}
		at := line * f.w * dst.C
		for x := range f.w {
			for c := range dst.C {
				v := row[x*f.channels+c]
				if table != nil {
					if int(v) > f.top {
						return nil, fmt.Errorf("a sample of %d, the maximum is %d", v, f.top)
					}
					v = table[v]
				}
				if depth == 8 {
					dst.Pix8[at] = uint8(v)
				} else {
					dst.Pix16[at] = v
				}
				at++
			}
		}
	}
	return dst, nil
}

// table returns a table that stretches samples to the full range, rounded as in Pillow, or nil if that is not
// necessary.
func (f *pnmFile) table(depth int) []uint16 {
	full := 1<<depth - 1
	if f.scale != 0 || f.top == full {
		return nil
	}
	t := make([]uint16, f.top+1)
	for v := range t {
		t[v] = uint16(math.RoundToEven(float64(v) / float64(f.top) * float64(full)))
	}
	return t
}

// binaryRow reads row y.
func (f *pnmFile) binaryRow(row []uint16, y int) error {
	b := f.rest[int64(y)*f.rowBytes():][:f.rowBytes()]
	switch {
	case f.kind == '4':
		for x := range row {
			row[x] = uint16(^b[x/8] >> (7 - x%8) & 1)
		}
	case f.size() == 1:
		for i := range row {
			row[i] = uint16(b[i])
		}
	case f.size() == 2:
		for i := range row {
			row[i] = binary.BigEndian.Uint16(b[2*i:])
		}
	default:
		for i := range row {
			raw := binary.BigEndian.Uint32(b[4*i:])
			if f.scale < 0 {
				raw = binary.LittleEndian.Uint32(b[4*i:])
			}
			v := float64(math.Float32frombits(raw))
			if !(v >= 0 && v <= 1) {
				return fmt.Errorf("a floating point sample of %g: only 0 to 1 are known as black to white: convert it to 16 bits, "+
					"with black and white of your choice", v)
			}
			row[i] = uint16(v*math.MaxUint16 + 0.5)
		}
	}
	return nil
}

// plainRow reads a row of numbers, or of single digits, in text form.
func (f *pnmFile) plainRow(row []uint16, r *pnmReader) error {
	for i := range row {
		if f.kind == '1' {
			c, err := r.digit()
			if err != nil {
				return err
			}
			row[i] = uint16('1' - c)
			continue
		}
		t := r.token()
		if t == "" {
			return errEnd
		}
		n, err := strconv.ParseUint(t, 10, 16)
		if err != nil {
			return fmt.Errorf("sample %q", t)
		}
		row[i] = uint16(n)
	}
	return nil
}

// digit returns the next 0 or 1.
func (r *pnmReader) digit() (byte, error) {
	for ; r.pos < len(r.data); r.pos++ {
		switch c := r.data[r.pos]; {
		case c == '0' || c == '1':
			r.pos++
			return c, nil
		case c == '#':
			for r.pos < len(r.data) && r.data[r.pos] != '\n' && r.data[r.pos] != '\r' {
				r.pos++
			}
		case !isSpace(c):
			return 0, errors.New("a plain bitmap has digits 0 and 1")
		}
	}
	return 0, errEnd
}
