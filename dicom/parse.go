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

// File is a DICOM object as it lies in a file.
type File struct {
	Meta   *DataSet // group 0002: how the rest is written; empty where the file has none
	Syntax UID      // transfer syntax; where the file does not say it, the one that its bytes follow
	Data   *DataSet // the object

	// Elements counts those that were read, of items and of the meta information, too; Inflated is the size of the data set once
	// inflated, 0 if it was not deflated. They are what reading it took: see [Cost].
	Elements int
	Inflated int64

	// Notes says in words where the file departs from the standard and how it was read all the same.
	Notes []string
}

// Open reads and parses a regular file under [DefaultLimits]. Like [Parse] it returns what could be read together with
// an error that wraps [ErrTruncated].
func Open(path string) (*File, error) {
	data, err := regular.ReadFile(path, DefaultLimits.MaxFileBytes)
	if err != nil {
		return nil, errorf("%w", err)
	}
	return Parse(data, path, DefaultLimits)
}

// Sniff reports whether data may be a DICOM object: it has the preamble and its mark, or begins with an element as
// objects without them do. A file that passes may still fail to parse.
func Sniff(data []byte) bool {
	if HasPreamble(data) {
		return true
	}
	_, ok := guess(data)
	return ok
}

// HasPreamble reports whether data has the mark of the file format behind a preamble of 128 bytes.
func HasPreamble(data []byte) bool { return len(data) >= 132 && string(data[128:132]) == "DICM" }

// guess tells how a data set without a preamble is written, from its first element: group 2 or 8 and one of its low
// elements, followed by a VR or by a length that fits.
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

// Parse reads an object of the file format, or a bare data set. name appears in errors. Values share the memory of data.
//
// An object that ends early comes back with what was read before, together with an error that wraps [ErrTruncated] and
// says where it ends. Any other error comes without a File.
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

// parser walks over the bytes of one file. Its position only grows.
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

	metaAlone bool // only the meta information is read
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

// meta reads group 0002, which is explicit little endian whatever follows.
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

// group peeks at the group of the next element.
func (p *parser) group() uint16 { return binary.LittleEndian.Uint16(p.data[p.pos:]) }

// chooseLayout settles how the data set is written: as the transfer syntax says, unless the first element says otherwise.
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

// inflatedSize counts what the rest is deflated from, without keeping it: at most one byte more than the limit. err is how it
// ends early.
func (p *parser) inflatedSize() (n, limit int64, err error) {
	limit = min(p.lim.MaxInflatedBytes, max(64<<20, int64(len(p.data)-p.pos)*p.lim.MaxInflateRatio))
	r := flate.NewReader(bytes.NewReader(p.data[p.pos:]))
	defer r.Close()
	n, err = io.Copy(io.Discard, io.LimitReader(r, limit+1))
	return n, limit, err
}

// inflate replaces what follows by what it was deflated from (RFC 1951, without a header), within the limits. It is counted
// first, so that a bomb takes no memory.
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

// ElementBytes bounds what is allocated for an element while an object is read, lists that grow included.
const ElementBytes = 640

// maxMeta bounds the elements of the meta information that Cost reads. The standard has some twenty.
const maxMeta = 1024

// Cost bounds the memory that [Parse] takes beyond data under these limits, and takes none itself. A deflated data set is
// inflated once to count it.
func Cost(data []byte, lim Limits) int64 {
	lim = lim.orDefault()
	p := &parser{data: data, lim: lim, metaAlone: true}
	p.lim.MaxElements = min(lim.MaxElements, maxMeta)
	size, inflated := int64(len(data)), int64(0)
	if f, err := p.file(); err == nil && layoutOf(f.Syntax).deflated {
		n, limit, _ := p.inflatedSize()
		if n > limit {
			return 0 // it is refused before anything is kept
		}
		size, inflated = max(size, n), n
	}
	return min(size/8, int64(lim.MaxElements))*ElementBytes + inflated
}

// truncated is the error of an object that ends early.
func (p *parser) truncated(t Tag, need, have int64) error {
	return fmt.Errorf("%w: in %s %s at byte %d: %d bytes expected, %d left", ErrTruncated, t, t.Name(), p.pos, need, have)
}
