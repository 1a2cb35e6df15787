package dicom

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// undefined is the length of values that end at a delimiter.
const undefined = 0xFFFFFFFF

// dataSet reads elements until end, or until an item delimiter. On error it also returns what was read before.
func (p *parser) dataSet(end int, parent *DataSet) (*DataSet, error) {
	d := &DataSet{bigEndian: p.layout.bigEndian}
	if parent != nil {
		d.charset = parent.charset
	}
	var elements []Element
	var err error
	for p.pos < end {
		if end-p.pos < 8 {
			if allZero(p.data[p.pos:end]) { // padding
				p.pos = end
				break
			}
			err = p.truncated(0, 8, int64(end-p.pos))
			break
		}
		if t := p.peek(); t == itemEndTag || t == sequenceEndTag {
			if t == itemEndTag {
				p.pos += 8
			}
			break
		}
		var e Element
		e, err = p.element(end, d)
		if err == nil || e.Value != nil || e.Items != nil || e.Fragments != nil {
			elements = append(elements, e)
		}
		if err != nil {
			break
		}
		if e.Tag == SpecificCharacterSet {
			d.put(elements)
			d.charset = newCharset(d.Texts(SpecificCharacterSet))
			for _, u := range d.charset.unknown {
				p.note("character set %q is not known: its text is read as ISO 8859-1", u)
			}
			elements = d.elements
		}
	}
	d.put(elements)
	return d, err
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func (p *parser) order() binary.ByteOrder {
	if p.layout.bigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// peek reads the tag at the position without consuming it.
func (p *parser) peek() Tag {
	o := p.order()
	return Tag(o.Uint16(p.data[p.pos:]))<<16 | Tag(o.Uint16(p.data[p.pos+2:]))
}

// header is the header of an element.
type header struct {
	tag    Tag
	vr     VR
	length uint32
	size   int // bytes of the header
}

// header reads tag, VR and length at the position. At least eight bytes must be available.
func (p *parser) header(end int) (header, error) {
	h := header{tag: p.peek(), size: 8}
	o, rest := p.order(), p.data[p.pos:end]
	if p.layout.implicit || h.tag.Group() == 0xFFFE {
		h.length = o.Uint32(rest[4:])
		h.vr = implicitVR(h.tag)
		return h, nil
	}
	if !letters(rest[4:]) {
		// Some writers put implicit elements into explicit data sets.
		p.note("%s has no VR in an explicit data set: read as implicit", h.tag)
		h.length, h.vr = o.Uint32(rest[4:]), implicitVR(h.tag)
		return h, nil
	}
	h.vr = VR(rest[4:6])
	rep, known := representations[h.vr]
	if !known {
		p.note("%s has the unknown VR %q: read as UN", h.tag, string(h.vr))
		h.vr = "UN"
	}
	if !rep.long {
		h.length = uint32(o.Uint16(rest[6:]))
		return h, nil
	}
	if len(rest) < 12 {
		return h, p.truncated(h.tag, 12, int64(len(rest)))
	}
	h.length, h.size = o.Uint32(rest[8:]), 12
	return h, nil
}

func implicitVR(t Tag) VR {
	if t.Private() {
		if e := t.Element(); e >= 0x10 && e <= 0xFF {
			return "LO"
		}
		return "UN"
	}
	if t.Element() == 0 {
		return "UL"
	}
	if e, ok := lookUp(t); ok {
		return e.vr
	}
	return "UN"
}

// element reads one element. Its header starts before end.
func (p *parser) element(end int, d *DataSet) (Element, error) {
	if p.elements++; p.elements > p.lim.MaxElements {
		return Element{}, fmt.Errorf("more than %d elements: %w", p.lim.MaxElements, ErrTooLarge)
	}
	h, err := p.header(end)
	if err != nil {
		return Element{}, err
	}
	e := Element{Tag: h.tag, VR: h.vr}
	if h.length == undefined {
		return e, p.openEnded(&e, h, end, d)
	}
	if int64(h.length) > int64(end-p.pos-h.size) {
		err := p.truncated(h.tag, int64(h.length), int64(end-p.pos-h.size))
		if h.vr != "SQ" {
			e.Value = p.data[p.pos+h.size : end : end]
		}
		p.pos = end
		return e, err
	}
	p.pos += h.size
	stop := p.pos + int(h.length)
	value := p.data[p.pos:stop:stop]
	if h.vr == "UN" && !h.tag.Private() && !p.layout.bigEndian {
		h.vr, e.VR = p.fromUN(h.tag, value)
	}
	if h.vr == "SQ" {
		e.Items, err = p.sequence(h.tag, stop, d)
		p.pos = max(p.pos, stop)
		return e, err
	}
	e.Value = value
	p.pos = stop
	return e, nil
}

// fromUN returns the registered VR of a public element that was written as UN (PS3.5, 6.2.2). A sequence stays
// UN unless its bytes start with an item.
func (p *parser) fromUN(t Tag, value []byte) (VR, VR) {
	e, ok := lookUp(t)
	if !ok {
		return "UN", "UN"
	}
	if e.vr == "SQ" && (len(value) < 8 || Tag(binary.LittleEndian.Uint16(value))<<16|Tag(binary.LittleEndian.Uint16(value[2:])) != itemTag) {
		return "UN", "UN"
	}
	return e.vr, e.vr
}

// openEnded reads a value that ends at a delimiter: a sequence, or encapsulated pixel data.
func (p *parser) openEnded(e *Element, h header, end int, d *DataSet) error {
	p.pos += h.size
	var err error
	switch {
	case h.tag == PixelData && (h.vr == "OB" || h.vr == "OW" || h.vr == "UN"):
		e.Fragments, err = p.fragments(end)
	case h.vr == "UN" || h.vr == "SQ":
		if h.vr == "UN" { // of undefined length: its content is implicit little endian (PS3.5, 6.2.2, note 2)
			saved := p.layout
			p.layout = layout{implicit: true}
			defer func() { p.layout = saved }()
		}
		e.VR = "SQ"
		e.Items, err = p.sequence(h.tag, -1, d)
	default:
		return fmt.Errorf("%s %s at byte %d: undefined length for VR %s", h.tag, h.tag.Name(), p.pos, h.vr)
	}
	return err
}

// sequence reads items until stop, or until the sequence delimiter if stop is -1.
func (p *parser) sequence(t Tag, stop int, d *DataSet) (items []*DataSet, err error) {
	if p.depth++; p.depth > p.lim.MaxDepth {
		return nil, fmt.Errorf("%s at byte %d: more than %d sequences inside each other: %w", t, p.pos, p.lim.MaxDepth, ErrTooLarge)
	}
	defer func() { p.depth-- }()
	end := stop
	if stop < 0 {
		end = len(p.data)
	}
	items = []*DataSet{}
	for p.pos < end {
		if end-p.pos < 8 {
			return items, p.truncated(t, 8, int64(end-p.pos))
		}
		h := header{tag: p.peek(), length: p.order().Uint32(p.data[p.pos+4:])}
		if h.tag == sequenceEndTag {
			p.pos += 8
			return items, nil
		}
		if h.tag != itemTag {
			return items, fmt.Errorf("%s at byte %d: %s found where an item of a sequence was expected", t, p.pos, h.tag)
		}
		if p.elements++; p.elements > p.lim.MaxElements {
			return items, fmt.Errorf("more than %d elements: %w", p.lim.MaxElements, ErrTooLarge)
		}
		p.pos += 8
		itemEnd := end
		if h.length != undefined {
			if int64(h.length) > int64(end-p.pos) {
				err = p.truncated(t, int64(h.length), int64(end-p.pos))
			} else {
				itemEnd = p.pos + int(h.length)
			}
		}
		item, inner := p.dataSet(itemEnd, d)
		items = append(items, item)
		if err = errors.Join(err, inner); err != nil {
			return items, err
		}
		if h.length != undefined {
			p.pos = itemEnd
		}
	}
	if stop < 0 {
		return items, p.truncated(t, 8, 0)
	}
	return items, nil
}

// fragments reads encapsulated pixel data: items until the sequence delimiter.
func (p *parser) fragments(end int) ([][]byte, error) {
	list := [][]byte{}
	for {
		if end-p.pos < 8 {
			return list, p.truncated(PixelData, 8, int64(end-p.pos))
		}
		t, n := p.peek(), p.order().Uint32(p.data[p.pos+4:])
		p.pos += 8
		switch {
		case t == sequenceEndTag:
			return list, nil
		case t != itemTag:
			return list, fmt.Errorf("%s at byte %d: %s found where a fragment was expected", PixelData, p.pos-8, t)
		}
		if p.elements++; p.elements > p.lim.MaxElements {
			return list, fmt.Errorf("more than %d elements: %w", p.lim.MaxElements, ErrTooLarge)
		}
		if int64(n) > int64(end-p.pos) {
			err := p.truncated(PixelData, int64(n), int64(end-p.pos))
			return append(list, p.data[p.pos:end:end]), err
		}
		stop := p.pos + int(n)
		list = append(list, p.data[p.pos:stop:stop])
		p.pos = stop
	}
}

// signs sets the VR of elements that may be US or SS according to Pixel Representation in the data set, or in
// the one that contains it.
func signs(d *DataSet, signed bool) {
	if e := d.Find(PixelRepresentation); e != nil && len(e.Value) >= 2 {
		signed = d.order().Uint16(e.Value) == 1
	}
	for i := range d.elements {
		e := &d.elements[i]
		if e.VR == "XS" {
			e.VR = "US"
			if signed {
				e.VR = "SS"
			}
		}
		for _, item := range e.Items {
			signs(item, signed)
		}
	}
}
