package pixel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"melo.example/melo/dicom"
)

// table is a look-up table (PS3.3, C.11.1.1). Values below its range map to the first entry, values above to
// the last.
type table struct {
	first   int64
	bits    uint // bits per entry: 8 to 16
	entries []uint16
}

func (t *table) at(x int64) uint16 {
	return t.entries[min(max(x-t.first, 0), int64(len(t.entries)-1))]
}

// readTable reads a table with its descriptor: number of entries, first mapped value, bits per entry.
func readTable(d *dicom.DataSet, descriptor, data dicom.Tag, signed bool) (*table, error) {
	t, n, err := readDescriptor(d, descriptor, signed)
	if err != nil {
		return nil, err
	}
	e := d.Find(data)
	if e == nil || len(e.Value) == 0 {
		return nil, fmt.Errorf("%s %s: %w", data, data.Name(), dicom.ErrAbsent)
	}
	if t.entries, err = entries(e.Value, n, t.bits, d.BigEndian()); err != nil {
		return nil, fmt.Errorf("%s %s: %w", data, data.Name(), err)
	}
	return t, nil
}

// readDescriptor reads the three numbers of a descriptor. They have 16 bits each whatever the VR. The first is
// unsigned, and 0 means 65,536.
func readDescriptor(d *dicom.DataSet, tag dicom.Tag, signed bool) (t *table, n int, err error) {
	b := d.Bytes(tag)
	if len(b) < 6 {
		return nil, 0, fmt.Errorf("%s %s: %d bytes, expected three numbers of 16 bits", tag, tag.Name(), len(b))
	}
	order := byteOrder(d)
	if n = int(order.Uint16(b)); n == 0 {
		n = 1 << 16
	}
	t = &table{first: int64(order.Uint16(b[2:])), bits: uint(order.Uint16(b[4:]))}
	// The VR says whether the first value is signed. If it says unsigned but the pixels are signed, the value
	// is read as signed.
	if signed || d.Find(tag).VR == "SS" {
		t.first = int64(int16(t.first))
	}
	if t.bits < 8 || t.bits > 16 {
		return nil, 0, fmt.Errorf("%s %s: entries of %d bits, expected 8 to 16", tag, tag.Name(), t.bits)
	}
	return t, n, nil
}

func byteOrder(d *dicom.DataSet) binary.ByteOrder {
	if d.BigEndian() {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// entries reads n entries: a word each, or a byte each if there are too few bytes for words.
func entries(b []byte, n int, bits uint, big bool) ([]uint16, error) {
	list := make([]uint16, n)
	switch {
	case len(b) >= 2*n:
		for i := range list {
			if list[i] = binary.LittleEndian.Uint16(b[2*i:]); big {
				list[i] = binary.BigEndian.Uint16(b[2*i:])
			}
		}
	case bits == 8 && len(b) >= n:
		for i := range list {
			at := i
			if big { // two bytes are a word
				at ^= 1
			}
			if at < len(b) {
				list[i] = uint16(b[at])
			}
		}
	default:
		return nil, fmt.Errorf("%d bytes for %d entries of %d bits", len(b), n, bits)
	}
	return list, nil
}

// modality maps a stored value to the measured value (PS3.3, C.11.1).
type modality struct {
	lut              *table
	slope, intercept float64
}

func (m *modality) at(x int64) float64 {
	if m.lut != nil {
		return float64(m.lut.at(x))
	}
	return float64(x)*m.slope + m.intercept
}

// modalityOf reads the modality LUT of a frame, or its slope and intercept.
func (d *Description) modalityOf(i int) (*modality, error) {
	m := &modality{slope: 1}
	if items := d.data.Items(dicom.ModalityLUTSequence); len(items) > 0 {
		t, err := readTable(items[0], dicom.LUTDescriptor, dicom.LUTData, d.Signed)
		if err != nil {
			return nil, errorf("modality LUT: %w", err)
		}
		m.lut = t
		return m, nil
	}
	group := d.group(i, dicom.PixelValueTransformation)
	for _, v := range []struct {
		to *float64
		t  dicom.Tag
	}{{&m.slope, dicom.RescaleSlope}, {&m.intercept, dicom.RescaleIntercept}} {
		f, err := group.Float(v.t)
		if errors.Is(err, dicom.ErrAbsent) {
			continue
		}
		if err != nil {
			return nil, errorf("%w", err)
		}
		*v.to = f
	}
	return m, nil
}

// rescaled reports whether values after the modality LUT differ from stored values.
func (d *Description) rescaled(i int) bool {
	m, err := d.modalityOf(i)
	return err == nil && (m.lut != nil || m.slope != 1 || m.intercept != 0)
}

// fullRange returns the lowest and the highest value after the modality LUT that the stored bits can represent.
func (d *Description) fullRange(i int) (lo, hi float64) {
	m, err := d.modalityOf(i)
	if err != nil {
		m = &modality{slope: 1}
	}
	if m.lut != nil {
		return 0, float64(uint64(1)<<m.lut.bits - 1)
	}
	least, greatest := int64(0), int64(1)<<min(d.Stored, 62)-1
	if d.Signed {
		least, greatest = -(int64(1) << (d.Stored - 1)), int64(1)<<(d.Stored-1)-1
	}
	lo, hi = m.at(least), m.at(greatest)
	return min(lo, hi), max(lo, hi)
}
