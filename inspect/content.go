package inspect

import (
	"bytes"
	"errors"
	"io"

	"melo.example/melo/internal/regular"
)

// contents are how files begin that are no weights which are read, or at another place in the file.
var contents = []struct {
	at    int
	begin string
	what  string
}{
	{0, "\x89PNG", "a picture (PNG)"}, {0, "\xff\xd8\xff", "a picture (JPEG)"}, {0, "GIF8", "a picture (GIF)"}, {0, "II*\x00", "a picture (TIFF)"},
	{0, "MM\x00*", "a picture (TIFF)"}, {8, "WEBP", "a picture (WebP)"}, {128, "DICM", "a DICOM object (melo dicom show)"},
	{0, "\x89HDF", "an HDF5 file, as Keras writes it"}, {0, "GGUF", "a GGUF file"}, {0, "PAR1", "a Parquet file"}, {0, "%PDF", "a PDF document"},
	{0, "\x1f\x8b", "a gzip file: unpack it"}, {0, "7z\xbc\xaf", "a 7z archive: unpack it"}, {4, "TFL3", "a TensorFlow Lite model"},
	{0, "version https://git-lfs", "a pointer of Git LFS, not the file that it stands for"}, {0, "<!DOCTYPE", "a web page"}, {0, "<html", "a web page"},
	{0, "\x08\x08\x12\x04melo", "an ONNX model that melo wrote"},
}

// contentOf says what a file is that has no tensors; empty if that is not known.
func contentOf(path string) string {
	f, err := regular.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 256)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return ""
	}
	head = head[:n]
	for _, c := range contents {
		if len(head) >= c.at && bytes.HasPrefix(head[c.at:], []byte(c.begin)) {
			return c.what
		}
	}
	return ""
}
