package npz

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// Floats is an array to write.
type Floats struct {
	Name  string
	Shape []int
	Data  []float32 // row-major
}

// Write writes an uncompressed archive of arrays.
func Write(w io.Writer, arrays ...Floats) error {
	z := zip.NewWriter(w)
	for _, a := range arrays {
		n := 1
		for _, d := range a.Shape {
			n *= d
		}
		if n != len(a.Data) {
			return fmt.Errorf("npz: array %q of shape %v with %d values", a.Name, a.Shape, len(a.Data))
		}
		body, err := z.CreateHeader(&zip.FileHeader{Name: a.Name + ".npy", Method: zip.Store})
		if err == nil {
			err = WriteHeader(body, "<f4", a.Shape)
		}
		if err == nil {
			err = writeFloats(body, a.Data)
		}
		if err != nil {
			return err
		}
	}
	return z.Close()
}

func writeFloats(w io.Writer, data []float32) error {
	const at = 1 << 14
	var buf []byte
	for len(data) > 0 {
		n := min(len(data), at)
		buf = buf[:0]
		for _, v := range data[:n] {
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// WriteHeader writes the header of a .npy file, version 1, with a type in NumPy's spelling ("<f4") and a shape.
func WriteHeader(w io.Writer, descr string, shape []int) error {
	var dims strings.Builder
	for _, n := range shape {
		fmt.Fprintf(&dims, "%d, ", n)
	}
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, dims.String())
	for (10+len(text)+1)%64 != 0 {
		text += " "
	}
	text += "\n"
	head := append([]byte("\x93NUMPY\x01\x00"), byte(len(text)), byte(len(text)>>8))
	_, err := w.Write(append(head, text...))
	return err
}
