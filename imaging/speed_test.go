package imaging

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"testing"
)

// BenchmarkDecode stands beside the standard library's decoders, which give other pixels, or other layouts.
func BenchmarkDecode(b *testing.B) {
	rgb := image.NewRGBA(image.Rect(0, 0, 1000, 800))
	grey := image.NewGray(rgb.Rect)
	deep := image.NewGray16(rgb.Rect)
	noise := uint32(1)
	for i := range grey.Pix {
		noise = noise*1664525 + 1013904223
		x, y := i%1000, i/1000
		v := uint8(x*x/900+y/3) + uint8(noise>>29)
		grey.Pix[i], deep.Pix[2*i], deep.Pix[2*i+1] = v, v, uint8(noise>>24)
		copy(rgb.Pix[4*i:], []uint8{v, v + uint8(y/7), uint8(x/4) + uint8(noise>>30), 255})
	}
	for _, c := range []struct {
		name  string
		image image.Image
	}{{"RGB", rgb}, {"grey", grey}, {"grey16", deep}} {
		var p, j bytes.Buffer
		if err := png.Encode(&p, c.image); err != nil {
			b.Fatal(err)
		}
		if err := jpeg.Encode(&j, c.image, &jpeg.Options{Quality: 90}); err != nil {
			b.Fatal(err)
		}
		for _, f := range []struct {
			name string
			data []byte
		}{{"PNG", p.Bytes()}, {"JPEG", j.Bytes()}} {
			b.Run(f.name+"/"+c.name+"/ours", func(b *testing.B) {
				for b.Loop() {
					if _, err := Decode(f.data, "bench"); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(f.name+"/"+c.name+"/standard", func(b *testing.B) {
				for b.Loop() {
					if _, _, err := image.Decode(bytes.NewReader(f.data)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
