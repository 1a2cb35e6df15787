package features

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf8"
)

// writeNPZ writes uncompressed arrays: features [n, ...] of float32, images [n] of text, and each column.
func (t *table) writeNPZ(w io.Writer) error {
	z := zip.NewWriter(w)
	err := array(z, "features", func(w io.Writer) error {
		err := writeHeader(w, "<f4", append([]int{len(t.names)}, t.shape...))
		for _, p := range t.parts {
			if err != nil {
				return err
			}
			x, _ := p.Tensor("features")
			_, err = w.Write(x.Data)
		}
		return err
	})
	for _, c := range append([]Column{{Name: "images", Text: t.names}}, t.columns...) {
		if err != nil {
			return err
		}
		err = array(z, c.Name, func(w io.Writer) error {
			if c.Numbers == nil {
				return writeText(w, c.Text)
			}
			if err := writeHeader(w, "<f8", []int{len(c.Numbers)}); err != nil {
				return err
			}
			return binary.Write(w, binary.LittleEndian, c.Numbers)
		})
	}
	if err != nil {
		return err
	}
	return z.Close()
}

// array writes one array.
func array(z *zip.Writer, name string, write func(io.Writer) error) error {
	w, err := z.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Store})
	if err != nil {
		return err
	}
	return write(w)
}

// writeHeader writes the header of a .npy file, version 1.
func writeHeader(w io.Writer, descr string, shape []int) error {
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shapeText(shape))
	for (10+len(text)+1)%64 != 0 {
		text += " "
	}
	text += "\n"
	head := append([]byte("\x93NUMPY\x01\x00"), byte(len(text)), byte(len(text)>>8))
	_, err := w.Write(append(head, text...))
	return err
}

// writeText writes an array of NumPy's fixed-width text, four bytes per character.
func writeText(w io.Writer, names []string) error {
	width := 1
	for _, name := range names {
		width = max(width, utf8.RuneCountInString(name))
	}
	if err := writeHeader(w, fmt.Sprintf("<U%d", width), []int{len(names)}); err != nil {
		return err
	}
	for _, name := range names {
		row := make([]byte, 0, 4*width)
		for _, r := range name {
			row = binary.LittleEndian.AppendUint32(row, uint32(r))
		}
		if _, err := w.Write(append(row, make([]byte, 4*width-len(row))...)); err != nil {
			return err
		}
	}
	return nil
}
