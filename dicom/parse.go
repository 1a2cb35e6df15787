package dicom

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"melo.example/melo/internal/regular"
)

// File is a DICOM object as stored in a file.
type File struct {
	Meta   *DataSet // group 0002, which describes the encoding; empty if the file has none
	Syntax UID      // transfer syntax; if the file does not give it, the one that its bytes follow
	Data   *DataSet // the object

	// Elements is the number of elements read, including those in items and meta information. Inflated is the
	// size of a deflated data set after inflation, else 0. Together they determine the memory used: see [Cost].
	Elements int
	Inflated int64

	// Notes describes where the file departs from the standard and how it was read nevertheless.
	Notes []string
}

// Open reads and parses a regular file with [DefaultLimits]. Like [Parse], it returns a partial object together
// with an error that wraps [ErrTruncated].
func Open(path string) (*File, error) {
	data, err := regular.ReadFile(path, DefaultLimits.MaxFileBytes)
	if err != nil {
		return nil, errorf("%w", err)
	}
	return Parse(data, path, DefaultLimits)
}

// Sniff reports whether data may be a DICOM object: it has the preamble and its mark, or starts with an element
// as objects without them do. Parsing may still fail.
func Sniff(data []byte) bool {
	if HasPreamble(data) {
		return true
	}
	_, ok := guess(data)
	return ok
}

// HasPreamble reports whether data has the mark of the file format after a preamble of 128 bytes.
func HasPreamble(data []byte) bool { return len(data) >= 132 && string(data[128:132]) == "DICM" }

// guess determines the encoding of a data set without preamble from its first element: group 2 or 8 with a low
// element number, followed by a VR or by a plausible length.
func guess(data []byte) (layout, bool) {
	if len(data) < 8 {
		return layout{}, false
	}
	group, element := binary.LittleEndian.Uint16(data), binary.LittleEndian.Uint16(data[2:])
	explicit := VR(data[4:6]).known()
	switch {
	case (group == 2 || group == 8) && element <= 0x0100:
		if explicit {
			return layout{}, true
		}
		n := int64(binary.LittleEndian.Uint32(data[4:]))
		return layout{implicit: true}, n <= int64(len(data))-8 && n < 1<<16
	case (group == 0x0200 || group == 0x0800) && explicit:
		return layout{bigEndian: true}, true
	}
	return layout{}, false
}

// Parse reads an object in the file format, or a bare data set. name appears in errors. Values share the memory
// of data.
//
// For a truncated object it returns what was read, together with an error that wraps [ErrTruncated] and says
// where the data end. For any other error the File is nil.
func Parse(data []byte, name string, lim Limits) (*File, error) {
	lim = lim.orDefault()
	if int64(len(data)) > lim.MaxFileBytes {
		return nil, errorf("%s: %d bytes: %w of %d bytes", name, len(data), ErrTooLarge, lim.MaxFileBytes)
	}
	p := &parser{data: data, lim: lim, name: name}
	f, err := p.file()
	if f != nil {
		f.Notes, f.Elements, f.Inflated = p.notes, p.elements, p.inflated
	}
	switch {
	case err != nil && name != "":
		err = fmt.Errorf("dicom: %s: %w", name, err)
	case err != nil:
		err = fmt.Errorf("dicom: %w", err)
	}
	if err != nil && !errors.Is(err, ErrTruncated) {
		return nil, err
	}
	return f, err
}

// parser reads the bytes of one file. Its position never decreases.
type parser struct {
	data     []byte
	pos      int
	layout   layout
	lim      Limits
	name     string
	depth    int
	elements int
	inflated int64
	notes    []string

	metaAlone bool // read only the meta information
}

func (p *parser) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, n := range p.notes {
		if n == text {
			return
		}
	}
	if len(p.notes) < 32 {
		p.notes = append(p.notes, text)
	}
}

// file reads the meta information and the data set.
func (p *parser) file() (*File, error) {
	switch {
	case HasPreamble(p.data):
		p.pos = 132
	case len(p.data) >= 4 && string(p.data[:4]) == "DICM":
		p.pos = 4
		p.note("the preamble of 128 bytes is missing")
	default:
		if _, ok := guess(p.data); !ok {
			return nil, fmt.Errorf("%w: neither the mark DICM at byte 128 nor a first element of group 0008", ErrNotDICOM)
		}
		p.note("no preamble: read as a bare data set")
	}
	f := &File{Meta: &DataSet{}, Data: &DataSet{}}
	err := p.meta(f)
	if err != nil {
		return f, err
	}
	f.Syntax = UID(f.Meta.Text(TransferSyntaxUID))
	if p.metaAlone {
		return f, nil
	}
	if err := p.chooseLayout(f); err != nil {
		return f, err
	}
	if p.pos == len(p.data) {
		return f, nil
	}
	f.Data, err = p.dataSet(len(p.data), nil)
	if f.Data != nil {
		signs(f.Data, false)
	}
	return f, err
}

// meta reads group 0002, which is explicit little endian whatever the transfer syntax.
func (p *parser) meta(f *File) error {
	p.layout = layout{}
	if len(p.data) >= p.pos+8 && !letters(p.data[p.pos+4:]) && p.group() == 2 {
		p.layout.implicit = true
		p.note("the file meta information is implicit little endian")
	}
	var elements []Element
	var err error
	for err == nil && len(p.data)-p.pos >= 8 && p.group() == 2 {
		var e Element
		if e, err = p.element(len(p.data), f.Meta); err == nil {
			elements = append(elements, e)
		}
	}
	f.Meta.put(elements)
	return err
}

// group returns the group of the next element without consuming it.
func (p *parser) group() uint16 { return binary.LittleEndian.Uint16(p.data[p.pos:]) }

// chooseLayout determines the encoding of the data set: that of the transfer syntax, unless the first element
// contradicts it.
func (p *parser) chooseLayout(f *File) error {
	p.layout = layoutOf(f.Syntax)
	if p.layout.deflated {
		if err := p.inflate(); err != nil {
			return err
		}
	}
	rest := p.data[p.pos:]
	if len(rest) < 8 {
		return nil
	}
	found := p.layout
	if f.Syntax == "" {
		found.bigEndian = binary.LittleEndian.Uint16(rest) > binary.BigEndian.Uint16(rest) && letters(rest[4:])
	}
	found.implicit = !letters(rest[4:])
	if f.Syntax == "" {
		f.Syntax = ExplicitLittleEndian
		switch {
		case found.bigEndian:
			f.Syntax = ExplicitBigEndian
		case found.implicit:
			f.Syntax = ImplicitLittleEndian
		}
		p.note("no transfer syntax is stated: read as %s", f.Syntax.Name())
	} else if found.implicit != p.layout.implicit {
		if found.implicit {
			p.note("the data set is written with implicit VR, although its transfer syntax says explicit")
		} else {
			p.note("the data set is written with explicit VR, although its transfer syntax says implicit")
		}
	}
	p.layout = found
	return nil
}

// inflatedSize counts the bytes to which the rest inflates, without storing them, up to one byte above the
// limit. err is set if the deflated data are truncated.
func (p *parser) inflatedSize() (n, limit int64, err error) {
	limit = min(p.lim.MaxInflatedBytes, max(64<<20, int64(len(p.data)-p.pos)*p.lim.MaxInflateRatio))
	r := flate.NewReader(bytes.NewReader(p.data[p.pos:]))
	defer r.Close()
	n, err = io.Copy(io.Discard, io.LimitReader(r, limit+1))
	return n, limit, err
}

// inflate replaces the rest by its inflated form (raw deflate, RFC 1951), within the limits. It counts the
// bytes first, so that a decompression bomb uses no memory.
func (p *parser) inflate() error {
	stored := len(p.data) - p.pos
	n, limit, ends := p.inflatedSize()
	switch {
	case n > limit:
		return fmt.Errorf("deflated data set of %d bytes inflates to more than %d bytes: %w", stored, limit, ErrTooLarge)
	case n == 0 && ends != nil:
		return fmt.Errorf("deflated data set: %w", ends)
	case ends != nil:
		p.note("the deflated data set ends early: %v", ends)
	}
	r := flate.NewReader(bytes.NewReader(p.data[p.pos:]))
	defer r.Close()
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return fmt.Errorf("deflated data set: %w", err)
	}
	p.data, p.pos, p.inflated = data, 0, n
	return nil
}

// ElementBytes is an upper bound of the bytes allocated per element while an object is read, including growing
// lists.
const ElementBytes = 640

// maxMeta limits the elements of the meta information that Cost reads. The standard defines about twenty.
const maxMeta = 1024

// Cost returns an upper bound of the memory that [Parse] needs beyond data with these limits, and allocates
// none itself. To count it, a deflated data set is inflated once.
func Cost(data []byte, lim Limits) int64 {
	lim = lim.orDefault()
	p := &parser{data: data, lim: lim, metaAlone: true}
	p.lim.MaxElements = min(lim.MaxElements, maxMeta)
	size, inflated := int64(len(data)), int64(0)
	if f, err := p.file(); err == nil && layoutOf(f.Syntax).deflated {
		n, limit, _ := p.inflatedSize()
		if n > limit {
			return 0 // it is refused before anything is stored
		}
		size, inflated = max(size, n), n
	}
	return min(size/8, int64(lim.MaxElements))*ElementBytes + inflated
}

// truncated returns the error for a truncated object.
func (p *parser) truncated(t Tag, need, have int64) error {
	return fmt.Errorf("%w: in %s %s at byte %d: %d bytes expected, %d left", ErrTruncated, t, t.Name(), p.pos, need, have)
}
