package features

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf8"

	"melo.example/melo/safetensors"
)

// writeNPZ writes two arrays, not compressed: features [n, ...] of float32, and images [n] of text.
func (s *Store) writeNPZ(w io.Writer, parts []*safetensors.File, names []string) error {
	z := zip.NewWriter(w)
	body, err := z.CreateHeader(&zip.FileHeader{Name: "features.npy", Method: zip.Store})
	if err == nil {
		err = writeHeader(body, "<f4", append([]int{len(names)}, s.shape...))
	}
	for _, p := range parts {
		if err != nil {
			return err
		}
		t, _ := p.Tensor("features")
		_, err = body.Write(t.Data)
	}
	if err != nil {
		return err
	}
	if body, err = z.CreateHeader(&zip.FileHeader{Name: "images.npy", Method: zip.Store}); err != nil {
		return err
	}
	if err := writeText(body, names); err != nil {
		return err
	}
	return z.Close()
}

// writeHeader writes the beginning of a .npy file, version 1.
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

// writeText writes an array of NumPy's fixed-width text, four bytes a character.
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
