package dicom

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// dumpWidth is the maximum width of a value in a line.
const dumpWidth = 64

// Dump writes a readable list of an object's elements: tag, VR, length, keyword and the beginning of the value.
// Items are indented below their sequence.
func Dump(w io.Writer, f *File) error {
	for _, d := range []*DataSet{f.Meta, f.Data} {
		if err := dump(w, d, 0); err != nil {
			return err
		}
	}
	return nil
}

func dump(w io.Writer, d *DataSet, depth int) error {
	indent := strings.Repeat("  ", depth)
	for i := range d.elements {
		e := &d.elements[i]
		name := e.Tag.Name()
		if name == "" {
			name = "Unknown"
		}
		if _, err := fmt.Fprintf(w, "%s%s %s %-28s %s\n", indent, e.Tag, e.VR, name, d.ValueText(e)); err != nil {
			return err
		}
		for k, item := range e.Items {
			if _, err := fmt.Fprintf(w, "%s  item %d\n", indent, k+1); err != nil {
				return err
			}
			if err := dump(w, item, depth+2); err != nil {
				return err
			}
		}
	}
	return nil
}

// ValueText describes the value of an element of d on one line: quoted text, the first numbers, or the size.
func (d *DataSet) ValueText(e *Element) string {
	rep := representations[e.VR]
	switch {
	case e.Fragments != nil:
		n := 0
		for _, f := range e.Fragments {
			n += len(f)
		}
		return fmt.Sprintf("%d fragments, %d bytes", max(len(e.Fragments)-1, 0), n)
	case e.Items != nil || rep.kind == sequenceKind:
		return fmt.Sprintf("%d items", len(e.Items))
	case len(e.Value) == 0:
		return "(empty)"
	}
	switch rep.kind {
	case textKind, localText, decimalText, integerText:
		return quoteShort(strings.Join(d.texts(e), `\`))
	case uint16Kind, int16Kind, uint32Kind, int32Kind, uint64Kind, int64Kind:
		if v, err := d.Ints(e.Tag); err == nil {
			return shortList(v, "%d")
		}
	case float32Kind, float64Kind:
		if v, err := d.Floats(e.Tag); err == nil {
			return shortList(v, "%g")
		}
	case tagKind:
		var tags []Tag
		for b := e.Value; len(b) >= 4; b = b[4:] {
			tags = append(tags, Tag(d.order().Uint16(b))<<16|Tag(d.order().Uint16(b[2:])))
		}
		return shortList(tags, "%v")
	}
	if e.VR == "UN" && printable(e.Value) {
		return quoteShort(strings.TrimRight(latin1(e.Value), " \x00"))
	}
	return fmt.Sprintf("%d bytes", len(e.Value))
}

func printable(b []byte) bool {
	for _, r := range strings.TrimRight(string(b), "\x00") {
		if r > unicode.MaxASCII || !unicode.IsPrint(r) {
			return false
		}
	}
	return len(b) < 1<<10
}

func quoteShort(text string) string {
	r := []rune(text)
	if len(r) > dumpWidth {
		return fmt.Sprintf("%q... (%d characters)", string(r[:dumpWidth]), len(r))
	}
	return fmt.Sprintf("%q", text)
}

func shortList[T any](values []T, format string) string {
	var b strings.Builder
	for i, v := range values {
		if b.Len() > dumpWidth {
			fmt.Fprintf(&b, `\... (%d values)`, len(values))
			break
		}
		if i > 0 {
			b.WriteByte('\\')
		}
		fmt.Fprintf(&b, format, v)
	}
	return b.String()
}
