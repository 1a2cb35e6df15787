package imaging

import (
	"slices"
	"testing"
)

// TestRemarks: what a file leaves open is said, and nothing about an ordinary image.
func TestRemarks(t *testing.T) {
	dark := &Image{W: 1, H: 1, C: 1, Bits: 16, Pix16: []uint16{4095}, Source: Info{Format: "PNG", Pages: 1}}
	stack := &Image{W: 1, H: 1, C: 1, Bits: 8, Pix8: []uint8{1}, Source: Info{Format: "TIFF", Pages: 3, Note: "odd"}}
	object, err := Decode(object(t), "x.dcm")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		img    *Image
		recipe Recipe
		want   []string
	}{
		{dark, Recipe{}, []string{"12 of 16 bits are used: as stored the image is dark"}},
		{dark, Recipe{Depth: "bits=12"}, nil},
		{stack, Recipe{}, []string{"page 1 of 3 is taken", "odd"}},
		{object, Recipe{}, []string{"frame 1 of 2 is taken"}},
		{&Image{W: 1, H: 1, C: 1, Bits: 8, Pix8: []uint8{1}, Source: Info{Format: "PNG", Pages: 1}}, Recipe{}, nil},
	} {
		if got := c.img.Remarks(c.recipe); !slices.Equal(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
