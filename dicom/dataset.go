package dicom

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Element is one data element.
type Element struct {
	Tag Tag
	VR  VR

	// Value holds the bytes as in the file, in its byte order, including padding. It is nil for sequences and
	// encapsulated pixel data.
	Value []byte

	// Items holds the data sets of a sequence.
	Items []*DataSet

	// Fragments holds encapsulated pixel data. The first fragment is the basic offset table, which may be
	// empty. It is nil for all other elements.
	Fragments [][]byte
}

// DataSet is a list of elements in ascending order of their tags. Each tag occurs once.
type DataSet struct {
	elements  []Element
	bigEndian bool
	charset   *charset
}

// Elements returns the elements in ascending order of their tags. The slice is shared and must not be modified.
func (d *DataSet) Elements() []Element { return d.elements }

// BigEndian reports whether numbers in values are big-endian.
func (d *DataSet) BigEndian() bool { return d.bigEndian }

// order returns the byte order of numbers in values.
func (d *DataSet) order() binary.ByteOrder {
	if d.bigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// Find returns the element with the tag, or nil.
func (d *DataSet) Find(t Tag) *Element {
	if d == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(d.elements, t, func(e Element, t Tag) int {
		return int(int64(e.Tag) - int64(t))
	})
	if !ok {
		return nil
	}
	return &d.elements[i]
}

// Items returns the items of a sequence, or none if it is absent.
func (d *DataSet) Items(t Tag) []*DataSet {
	if e := d.Find(t); e != nil {
		return e.Items
	}
	return nil
}

// Bytes returns the bytes of a value as in the file, or nil if it is absent.
func (d *DataSet) Bytes(t Tag) []byte {
	if e := d.Find(t); e != nil {
		return e.Value
	}
	return nil
}

// Texts returns the values of a text element, decoded with the data set's character set, without padding. It
// returns none if the element is absent or not text.
func (d *DataSet) Texts(t Tag) []string {
	e := d.Find(t)
	if e == nil || len(e.Value) == 0 {
		return nil
	}
	return d.texts(e)
}

// Text returns the first value of a text element, or "" if there is none.
func (d *DataSet) Text(t Tag) string {
	if v := d.Texts(t); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (d *DataSet) texts(e *Element) []string {
	rep := representations[e.VR]
	var text string
	switch rep.kind {
	case textKind, decimalText, integerText:
		text = latin1(e.Value)
	case localText:
		text = d.charset.decode(e.Value, e.VR == "PN")
	case bytesKind:
		if e.VR != "UN" {
			return nil
		}
		text = latin1(e.Value)
	default:
		return nil
	}
	if !rep.multiple {
		return []string{strings.TrimRight(text, " \x00")}
	}
	values := strings.Split(text, `\`)
	for i, v := range values {
		values[i] = strings.Trim(v, " \x00")
	}
	return values
}

// Ints returns the values of a numeric element: integers of any width, IS, and DS with integral values.
func (d *DataSet) Ints(t Tag) ([]int64, error) {
	e := d.Find(t)
	if e == nil || len(e.Value) == 0 {
		return nil, errorf("%s %s: %w", t, t.Name(), ErrAbsent)
	}
	switch rep := representations[e.VR]; rep.kind {
	case uint16Kind, int16Kind, uint32Kind, int32Kind, uint64Kind, int64Kind:
		if len(e.Value)%rep.width != 0 {
			return nil, errorf("%s %s: %d bytes, expected a multiple of %d", t, t.Name(), len(e.Value), rep.width)
		}
		values := make([]int64, 0, len(e.Value)/rep.width)
		for b := e.Value; len(b) > 0; b = b[rep.width:] {
			values = append(values, integer(b, rep.kind, d.order()))
		}
		return values, nil
	}
	floats, err := d.Floats(t)
	if err != nil {
		return nil, err
	}
	values := make([]int64, len(floats))
	for i, f := range floats {
		if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return nil, errorf("%s %s: %g, expected a whole number", t, t.Name(), f)
		}
		values[i] = int64(f)
	}
	return values, nil
}

func integer(b []byte, k kind, order binary.ByteOrder) int64 {
	switch k {
	case uint16Kind:
		return int64(order.Uint16(b))
	case int16Kind:
		return int64(int16(order.Uint16(b)))
	case uint32Kind:
		return int64(order.Uint32(b))
	case int32Kind:
		return int64(int32(order.Uint32(b)))
	default:
		return int64(order.Uint64(b))
	}
}

// Int returns the first value of a numeric element.
func (d *DataSet) Int(t Tag) (int64, error) {
	v, err := d.Ints(t)
	if err != nil {
		return 0, err
	}
	return v[0], nil
}

// Floats returns the values of a numeric element: DS, IS, FL, FD, or integers. All are finite.
func (d *DataSet) Floats(t Tag) ([]float64, error) {
	e := d.Find(t)
	if e == nil || len(e.Value) == 0 {
		return nil, errorf("%s %s: %w", t, t.Name(), ErrAbsent)
	}
	var values []float64
	switch rep := representations[e.VR]; rep.kind {
	case uint16Kind, int16Kind, uint32Kind, int32Kind, uint64Kind, int64Kind:
		ints, err := d.Ints(t)
		if err != nil {
			return nil, err
		}
		for _, n := range ints {
			values = append(values, float64(n))
		}
		return values, nil
	case float32Kind, float64Kind:
		if len(e.Value)%rep.width != 0 {
			return nil, errorf("%s %s: %d bytes, expected a multiple of %d", t, t.Name(), len(e.Value), rep.width)
		}
		for b := e.Value; len(b) > 0; b = b[rep.width:] {
			if rep.width == 4 {
				values = append(values, float64(math.Float32frombits(d.order().Uint32(b))))
			} else {
				values = append(values, math.Float64frombits(d.order().Uint64(b)))
			}
		}
	default:
		for _, text := range d.texts(e) {
			if text == "" {
				continue
			}
			f, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, errorf("%s %s: %q, expected a number", t, t.Name(), text)
			}
			values = append(values, f)
		}
	}
	if len(values) == 0 {
		return nil, errorf("%s %s: %w", t, t.Name(), ErrAbsent)
	}
	for _, f := range values {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, errorf("%s %s: %g, expected a finite number", t, t.Name(), f)
		}
	}
	return values, nil
}

// Float returns the first value of a numeric element.
func (d *DataSet) Float(t Tag) (float64, error) {
	v, err := d.Floats(t)
	if err != nil {
		return 0, err
	}
	return v[0], nil
}

// latin1 reads bytes as ISO 8859-1, which contains the default repertoire and defines every byte.
func latin1(b []byte) string {
	ascii := true
	for _, c := range b {
		ascii = ascii && c < 0x80
	}
	if ascii {
		return string(b)
	}
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}

// put sorts the elements. If a tag occurs repeatedly the last element counts, as in the reference
// implementations.
func (d *DataSet) put(elements []Element) {
	if !slices.IsSortedFunc(elements, func(a, b Element) int { return int(int64(a.Tag) - int64(b.Tag)) }) {
		slices.SortStableFunc(elements, func(a, b Element) int { return int(int64(a.Tag) - int64(b.Tag)) })
	}
	kept := elements[:0]
	for _, e := range elements {
		if n := len(kept); n > 0 && kept[n-1].Tag == e.Tag {
			kept[n-1] = e
			continue
		}
		kept = append(kept, e)
	}
	d.elements = kept
}
