package httpapi

import (
	"bytes"
	"mime/multipart"
	"testing"

	"melo.example/melo/serve/oip"
)

func FuzzForm(f *testing.F) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	w.SetBoundary("b")
	w.WriteField("adapter", "lesion@v2")
	part, _ := w.CreateFormFile("image", "scan.png")
	part.Write([]byte("\x89PNG"))
	w.Close()
	f.Add(b.Bytes(), "b")
	f.Add([]byte("--b\r\nContent-Disposition: form-data; name=image\r\n\r\nx\r\n--b--\r\n"), "b")
	f.Add([]byte("--b--"), "b")
	f.Add([]byte("--\r\n\r\n--"), "")
	limits := oip.Limits{Rows: 3, Answers: 5}.WithDefaults()
	f.Fuzz(func(t *testing.T, body []byte, boundary string) {
		got, err := parseForm(bytes.NewReader(body), boundary, limits)
		if err != nil {
			return
		}
		size := 0
		for _, img := range got.images {
			size += len(img.Data)
		}
		if len(got.images) > limits.Rows || len(got.images) != len(got.files) || len(got.adapters) > limits.Answers || size > len(body) {
			t.Fatalf("%d images (%d files, %d bytes), %d adapters of %d bytes", len(got.images), len(got.files), size, len(got.adapters), len(body))
		}
	})
}
