package dicom

import "encoding/binary"

// builder writes objects for tests, element by element.
type builder struct {
	b        []byte
	implicit bool
	order    binary.AppendByteOrder
}

func newBuilder(syntax UID) *builder {
	b := &builder{b: make([]byte, 132), order: binary.LittleEndian}
	copy(b.b[128:], "DICM")
	uid := string(syntax)
	if len(uid)%2 == 1 {
		uid += "\x00"
	}
	b.put(TransferSyntaxUID, "UI", []byte(uid))
	b.implicit = syntax == ImplicitLittleEndian
	if syntax == ExplicitBigEndian {
		b.order = binary.BigEndian
	}
	return b
}

func (b *builder) tag(t Tag) {
	b.b = b.order.AppendUint16(b.b, t.Group())
	b.b = b.order.AppendUint16(b.b, t.Element())
}

func (b *builder) head(t Tag, vr VR, length uint32) {
	b.tag(t)
	switch {
	case b.implicit || t.Group() == 0xFFFE:
		b.b = b.order.AppendUint32(b.b, length)
	case representations[vr].long:
		b.b = append(append(b.b, vr...), 0, 0)
		b.b = b.order.AppendUint32(b.b, length)
	default:
		b.b = append(b.b, vr...)
		b.b = b.order.AppendUint16(b.b, uint16(length))
	}
}

func (b *builder) put(t Tag, vr VR, value []byte) *builder {
	b.head(t, vr, uint32(len(value)))
	b.b = append(b.b, value...)
	return b
}

func (b *builder) text(t Tag, vr VR, value string) *builder {
	if len(value)%2 == 1 {
		value += " "
	}
	return b.put(t, vr, []byte(value))
}

func (b *builder) word(t Tag, vr VR, values ...uint16) *builder {
	var v []byte
	for _, x := range values {
		v = b.order.AppendUint16(v, x)
	}
	return b.put(t, vr, v)
}
