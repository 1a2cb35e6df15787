package jpeg2000

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"melo.example/melo/dicom/jpeg2000/internal/codestream"
)

// file is the content of the boxes around a codestream (T.800 annex I).
type file struct {
	codestream []byte
	boxed      bool
	colour     ColourSpace
	palette    *palette
	mapping    []channel // from the component mapping box
	meanings   []meaning // from the channel definition box
}

// palette is a palette box: rows of entries with a column per channel.
type palette struct {
	entries int
	columns []Component // Samples holds the entries
}

// channel defines the source of a channel.
type channel struct {
	component int
	mapped    bool
	column    int
}

// meaning defines the type of a channel (0 colour, 1 opacity, 2 premultiplied opacity) and which colour, from
// 1.
type meaning struct{ channel, kind, colour int }

var signature = []byte("\x00\x00\x00\x0cjP  \r\n\x87\n")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// openFile finds the codestream and parses the boxes.
func openFile(data []byte) (*file, error) {
	if bytes.HasPrefix(data, []byte{0xFF, 0x4F}) {
		return &file{codestream: data}, nil
	}
	if !bytes.HasPrefix(data, signature) {
		return nil, malformed("%d bytes begin neither as a codestream nor as a JP2 or JPH file", len(data))
	}
	f := &file{boxed: true}
	for rest := data; len(rest) > 0; {
		kind, body, after, err := nextBox(rest)
		if err != nil {
			return nil, err
		}
		switch kind {
		case "jp2h":
			if err := f.header(body); err != nil {
				return nil, err
			}
		case "jp2c":
			f.codestream = body
			return f, nil
		}
		rest = after
	}
	return nil, fmt.Errorf("%w: the file has no codestream box", ErrTruncated)
}

// nextBox returns the first box of data. A box that extends beyond the data ends with them.
func nextBox(data []byte) (kind string, body, after []byte, err error) {
	if len(data) < 8 {
		return "", nil, nil, fmt.Errorf("%w: %d bytes where a box is expected", ErrTruncated, len(data))
	}
	n, head := uint64(binary.BigEndian.Uint32(data)), uint64(8)
	kind = string(data[4:8])
	switch n {
	case 0:
		n = uint64(len(data))
	case 1:
		if len(data) < 16 {
			return "", nil, nil, fmt.Errorf("%w: box %q ends in its length", ErrTruncated, kind)
		}
		n, head = binary.BigEndian.Uint64(data[8:]), 16
	}
	if n < head {
		return "", nil, nil, malformed("box %q has length %d", kind, n)
	}
	if n > uint64(len(data)) {
		if kind != "jp2c" { // a truncated codestream is detected by its own markers
			return "", nil, nil, fmt.Errorf("%w: box %q has %d bytes, %d are left", ErrTruncated, kind, n, len(data))
		}
		n = uint64(len(data))
	}
	return kind, data[head:n], data[n:], nil
}

func (f *file) header(data []byte) error {
	for rest := data; len(rest) > 0; {
		kind, body, after, err := nextBox(rest)
		if err != nil {
			return err
		}
		switch kind {
		case "colr":
			f.colr(body)
		case "pclr":
			if f.palette, err = parsePalette(body); err != nil {
				return err
			}
		case "cdef":
			if f.meanings, err = parseMeanings(body); err != nil {
				return err
			}
		case "cmap":
			if len(body)%4 != 0 {
				return malformed("a component mapping of %d bytes", len(body))
			}
			for ; len(body) > 0; body = body[4:] {
				c := channel{component: int(binary.BigEndian.Uint16(body)), mapped: body[2] == 1, column: int(body[3])}
				if body[2] > 1 {
					return malformed("a component mapping of type %d", body[2])
				}
				f.mapping = append(f.mapping, c)
			}
		}
		rest = after
	}
	if (f.palette == nil) != (f.mapping == nil) {
		return malformed("of a palette and a component mapping there is one alone")
	}
	return nil
}

// colr reads a colour specification. The first supported one counts.
func (f *file) colr(body []byte) {
	if f.colour != ColourUnknown || len(body) < 3 {
		return
	}
	switch {
	case body[0] == 1 && len(body) >= 7:
		switch s := ColourSpace(binary.BigEndian.Uint32(body[3:])); s {
		case ColourSRGB, ColourGrey, ColourSYCC:
			f.colour = s
		}
	case body[0] == 2:
		f.colour = ColourICC
	}
}

func parsePalette(body []byte) (*palette, error) {
	if len(body) < 3 {
		return nil, fmt.Errorf("%w: a palette of %d bytes", ErrTruncated, len(body))
	}
	p := &palette{entries: int(binary.BigEndian.Uint16(body))}
	n := int(body[2])
	body = body[3:]
	if p.entries < 1 || p.entries > 1024 || n < 1 || len(body) < n {
		return nil, malformed("a palette of %d entries for %d channels", p.entries, n)
	}
	row := 0
	for _, b := range body[:n] {
		c := Component{Precision: int(b&0x7F) + 1, Signed: b&0x80 != 0}
		if c.Precision > 32 {
			return nil, fmt.Errorf("%w: a palette of %d bits", ErrUnsupported, c.Precision)
		}
		row += (c.Precision + 7) / 8
		p.columns = append(p.columns, c)
	}
	body = body[n:]
	if len(body) < row*p.entries {
		return nil, fmt.Errorf("%w: a palette of %d bytes, want %d", ErrTruncated, len(body), row*p.entries)
	}
	for i := range p.columns {
		p.columns[i].Samples = make([]int32, p.entries)
	}
	for e := range p.entries {
		for i := range p.columns {
			c := &p.columns[i]
			v := uint32(0)
			for range (c.Precision + 7) / 8 {
				v = v<<8 | uint32(body[0])
				body = body[1:]
			}
			if c.Signed {
				v = uint32(int32(v<<(32-c.Precision)) >> (32 - c.Precision))
			}
			c.Samples[e] = int32(v)
		}
	}
	return p, nil
}

func parseMeanings(body []byte) ([]meaning, error) {
	if len(body) < 2 || len(body) < 2+6*int(binary.BigEndian.Uint16(body)) {
		return nil, fmt.Errorf("%w: channel definitions of %d bytes", ErrTruncated, len(body))
	}
	list := make([]meaning, binary.BigEndian.Uint16(body))
	for i := range list {
		b := body[2+6*i:]
		list[i] = meaning{int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:])), int(binary.BigEndian.Uint16(b[4:]))}
	}
	return list, nil
}

// order sorts channels by meaning: colours in order, then the others.
func (f *file) order(img *Image) error {
	if f.meanings == nil {
		return nil
	}
	n := len(img.Components)
	rank, seen := make([]int, n), make([]bool, n)
	for i := range rank {
		rank[i] = 1 << 17 // not mentioned
	}
	for _, m := range f.meanings {
		if m.channel >= n || seen[m.channel] {
			return malformed("a definition of channel %d of %d", m.channel, n)
		}
		seen[m.channel] = true
		switch {
		case m.kind == 0 && m.colour > 0 && m.colour < 65535:
			rank[m.channel] = m.colour
		case m.kind == 1 || m.kind == 2:
			img.Components[m.channel].Opacity = true
		}
	}
	index := make([]int, n)
	for i := range index {
		index[i] = i
	}
	slices.SortStableFunc(index, func(a, b int) int { return rank[a] - rank[b] })
	sorted := make([]Component, n)
	for i, k := range index {
		sorted[i] = img.Components[k]
	}
	img.Components = sorted
	return nil
}

// describe sets the components of an image as apply will, except for the order of channels.
func (f *file) describe(img *Image) error {
	img.Colour = f.colour
	if f.palette == nil {
		return nil
	}
	comps := make([]Component, len(f.mapping))
	for i, ch := range f.mapping {
		if ch.component >= len(img.Components) || (ch.mapped && ch.column >= len(f.palette.columns)) {
			return malformed("channel %d is of component %d, column %d", i, ch.component, ch.column)
		}
		comps[i] = img.Components[ch.component]
		if ch.mapped {
			comps[i].Precision = f.palette.columns[ch.column].Precision
			comps[i].Signed = f.palette.columns[ch.column].Signed
		}
	}
	img.Components = comps
	return nil
}

// apply computes the channels from the palette.
func (f *file) apply(img *Image, budget *codestream.Budget) error {
	if err := f.describe(img); err != nil {
		return err
	}
	if f.palette == nil {
		return f.order(img)
	}
	for i, ch := range f.mapping {
		c := &img.Components[i]
		if err := budget.Take("samples of a palette", int64(len(c.Samples)), 4); err != nil {
			return err
		}
		in := c.Samples
		c.Samples = make([]int32, len(in))
		if !ch.mapped {
			copy(c.Samples, in)
			continue
		}
		table := f.palette.columns[ch.column].Samples
		for x, v := range in {
			c.Samples[x] = table[min(max(int(v), 0), len(table)-1)]
		}
	}
	return f.order(img)
}
