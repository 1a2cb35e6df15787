package dicom

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"slices"
)

// Encode writes an object in the file format, with the transfer syntax and byte order with which it was read.
// Values are unchanged, sequences get explicit lengths, and group length elements are omitted.
func Encode(f *File) ([]byte, error) {
	l := layoutOf(f.Syntax)
	if f.Data.bigEndian != l.bigEndian {
		return nil, errorf("encode: values in another byte order than transfer syntax %s", f.Syntax)
	}
	meta := slices.DeleteFunc(slices.Clone(f.Meta.elements), func(e Element) bool { return e.Tag.Element() == 0 || e.Tag == TransferSyntaxUID })
	meta = append(meta, Element{Tag: TransferSyntaxUID, VR: "UI", Value: padded([]byte(f.Syntax), 0)})
	m := &DataSet{}
	m.put(meta)
	head := encoder{order: binary.LittleEndian}
	if err := head.dataSet(m); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.Write(make([]byte, 128))
	out.WriteString("DICM")
	group := encoder{order: binary.LittleEndian}
	if err := group.element(&Element{Tag: 0x00020000, VR: "UL", Value: binary.LittleEndian.AppendUint32(nil, uint32(len(head.b)))}); err != nil {
		return nil, err
	}
	out.Write(group.b)
	out.Write(head.b)
	body := encoder{implicit: l.implicit, order: binary.LittleEndian}
	if l.bigEndian {
		body.order = binary.BigEndian
	}
	if err := body.dataSet(f.Data); err != nil {
		return nil, err
	}
	if !l.deflated {
		out.Write(body.b)
		return out.Bytes(), nil
	}
	w, err := flate.NewWriter(&out, flate.DefaultCompression)
	if err != nil {
		return nil, errorf("encode: %w", err)
	}
	if _, err := w.Write(body.b); err != nil {
		return nil, errorf("encode: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, errorf("encode: %w", err)
	}
	if out.Len()%2 == 1 {
		out.WriteByte(0)
	}
	return out.Bytes(), nil
}

// padded pads a value to even length.
func padded(v []byte, with byte) []byte {
	if len(v)%2 == 1 {
		return append(slices.Clip(v), with)
	}
	return v
}

// encoder appends elements.
type encoder struct {
	b        []byte
	implicit bool
	order    binary.AppendByteOrder
}

func (w *encoder) dataSet(d *DataSet) error {
	for i := range d.elements {
		e := &d.elements[i]
		if e.Tag.Element() == 0 {
			continue // group lengths are retired, and would be wrong
		}
		if err := w.element(e); err != nil {
			return err
		}
	}
	return nil
}

// head writes tag, VR and length.
func (w *encoder) head(t Tag, vr VR, length int64) error {
	w.b = w.order.AppendUint16(w.b, t.Group())
	w.b = w.order.AppendUint16(w.b, t.Element())
	long := representations[vr].long
	switch {
	case length > undefined-1 && length != undefined:
		return errorf("encode: %s: a value of %d bytes", t, length)
	case w.implicit || t.Group() == 0xFFFE:
		w.b = w.order.AppendUint32(w.b, uint32(length))
	case long || length > 0xFFFF:
		if !long {
			vr = "UN" // too long for its VR (PS3.5, 6.2.2)
		}
		w.b = append(append(w.b, vr...), 0, 0)
		w.b = w.order.AppendUint32(w.b, uint32(length))
	default:
		w.b = append(w.b, vr...)
		w.b = w.order.AppendUint16(w.b, uint16(length))
	}
	return nil
}

func (w *encoder) element(e *Element) error {
	switch {
	case e.Fragments != nil:
		return w.fragments(e)
	case e.Items != nil || e.VR == "SQ":
		return w.sequence(e)
	}
	v := padded(e.Value, padding(e.VR))
	if err := w.head(e.Tag, e.VR, int64(len(v))); err != nil {
		return err
	}
	w.b = append(w.b, v...)
	return nil
}

// padding returns the byte that pads values of a VR to even length.
func padding(vr VR) byte {
	switch representations[vr].kind {
	case textKind, localText, decimalText, integerText:
		if vr != "UI" {
			return ' '
		}
	}
	return 0
}

func (w *encoder) sequence(e *Element) error {
	inner := encoder{implicit: w.implicit, order: w.order}
	for _, item := range e.Items {
		one := encoder{implicit: w.implicit, order: w.order}
		if err := one.dataSet(item); err != nil {
			return err
		}
		if err := inner.head(itemTag, "", int64(len(one.b))); err != nil {
			return err
		}
		inner.b = append(inner.b, one.b...)
	}
	length := int64(len(inner.b))
	// without a VR, only the undefined length identifies it as a sequence
	open := w.implicit && implicitVR(e.Tag) != "SQ"
	if open {
		length = undefined
	}
	if err := w.head(e.Tag, "SQ", length); err != nil {
		return err
	}
	w.b = append(w.b, inner.b...)
	if open {
		return w.head(sequenceEndTag, "", 0)
	}
	return nil
}

func (w *encoder) fragments(e *Element) error {
	if w.implicit {
		return errorf("encode: %s: encapsulated pixel data in implicit VR", e.Tag)
	}
	if err := w.head(e.Tag, e.VR, undefined); err != nil {
		return err
	}
	for _, f := range e.Fragments {
		f = padded(f, 0)
		if err := w.head(itemTag, "", int64(len(f))); err != nil {
			return err
		}
		w.b = append(w.b, f...)
	}
	return w.head(sequenceEndTag, "", 0)
}

// Replaced returns a data set with other elements in the byte order and character set of d. If a tag occurs
// repeatedly, the last element counts.
func (d *DataSet) Replaced(elements []Element) *DataSet {
	n := &DataSet{bigEndian: d.bigEndian, charset: d.charset}
	n.put(slices.Clone(elements))
	return n
}

// NewText makes an element of a text VR, padded to even length.
func NewText(t Tag, vr VR, value string) Element {
	return Element{Tag: t, VR: vr, Value: padded([]byte(value), padding(vr))}
}

// GoString formats an element for messages of tests.
func (e Element) GoString() string { return fmt.Sprintf("%s %s %q", e.Tag, e.VR, e.Value) }
