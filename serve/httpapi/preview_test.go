package httpapi

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"melo.example/melo/serve/oip"
)

// previewed asks for a preview.
func (d *door) previewed(file []byte, more ...string) (doc previewDocument, samples []byte) {
	d.t.Helper()
	r, body := d.do(post, "/v1/preview", formHeader, formOf(append([]string{"image", string(file)}, more...)...))
	n, err := strconv.Atoi(r.Header.Get(lengthHeader))
	if r.StatusCode != 200 || err != nil || n > len(body) {
		d.t.Fatalf("status %d: %.300s", r.StatusCode, body)
	}
	if err := json.Unmarshal(body[:n], &doc); err != nil {
		d.t.Fatal(err)
	}
	if want := doc.Width * doc.Height * doc.Channels * doc.Bits / 8; want != len(body)-n {
		d.t.Errorf("%+v: %d bytes of samples", doc, len(body)-n)
	}
	return doc, body[n:]
}

// TestPreview: samples of 16 bits come as they are, with the greatest one as white; colours in 8 bits.
func TestPreview(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	grey := image.NewGray16(image.Rect(0, 0, 3, 2))
	for i := range 6 {
		grey.SetGray16(i%3, i/3, color.Gray16{uint16(700 * i)})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, grey); err != nil {
		t.Fatal(err)
	}
	doc, samples := d.previewed(b.Bytes())
	if doc != (previewDocument{Width: 3, Height: 2, FullWidth: 3, FullHeight: 2, Channels: 1, Bits: 16, High: 3500, Frame: 1, Frames: 1, Format: "PNG"}) {
		t.Errorf("%+v", doc)
	}
	if v := int(samples[10]) | int(samples[11])<<8; v != 3500 {
		t.Errorf("the last sample is %d", v)
	}
	if doc, samples := d.previewed([]byte(picturePNG)); doc.Bits != 8 || doc.Channels != 1 || doc.High != 255 || samples[0] != 128 {
		t.Errorf("%+v %v", doc, samples)
	}
	if now, _ := d.service().Memory().Used(); now != 0 {
		t.Errorf("%d bytes are still taken", now)
	}
}

// TestPreviewOfDICOM: grey values span the range of the image; Low and High are the object's window among them, so that what is
// shown at first is what the object asks for. Frames are chosen by number.
func TestPreviewOfDICOM(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	windowed, frames := 0, 0
	for _, pattern := range []string{"../../dicom/pixel/testdata/*/*.dcm"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r, body := d.do(post, "/v1/preview", formHeader, formOf("image", string(data)))
			if r.StatusCode == 400 {
				continue // one that is refused
			}
			if r.StatusCode != 200 {
				t.Errorf("%s: status %d: %.200s", file, r.StatusCode, body)
				continue
			}
			doc, _ := d.previewed(data)
			if doc.Format != "DICOM" || doc.High <= doc.Low {
				t.Errorf("%s: %+v", file, doc)
			}
			if doc.Channels == 1 && doc.Bits == 16 && (doc.Low != 0 || doc.High != 65535) {
				windowed++
			}
			if doc.Frames > 1 {
				frames++
				if second, _ := d.previewed(data, "frame", "2"); second.Frame != 2 || second.Frames != doc.Frames {
					t.Errorf("%s: %+v", file, second)
				}
			}
		}
	}
	t.Logf("%d with a window of their own, %d with several frames", windowed, frames)
}
