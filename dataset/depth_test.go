package dataset

import (
	"fmt"
	"image"
	"image/color"
	"strings"
	"testing"
)

// TestDepthOutliers: one image of full depth does not hide that all others of its label are dark, and dark images of full depth
// are no other depth.
func TestDepthOutliers(t *testing.T) {
	deep := func(number, most int) string {
		m := image.NewGray16(image.Rect(0, 0, 6, 6))
		for i := range 36 {
			m.SetGray16(i%6, i/6, color.Gray16{Y: uint16((number*131 + i*977) % most)})
		}
		m.SetGray16(0, 0, color.Gray16{Y: uint16(most - 1)})
		return pngOf(t, m)
	}
	for name, c := range map[string]struct {
		most    func(label, i int) int // of an image
		refused bool
		says    string
	}{
		"one of full depth": {func(l, i int) int { return []int{4096, 65536}[min(l+i/11, 1)] }, true, ""},
		"some dark ones":    {func(_, i int) int { return []int{4096, 65536}[min(i%5, 1)] }, false, ""},
		"most dark":         {func(_, i int) int { return []int{4096, 65536}[i/11] }, false, "22 of 24 images of 16 bits use at most 12"},
		"all dark":          {func(_, _ int) int { return 4096 }, false, "images of 16 bits use at most 12"},
	} {
		files := map[string]string{}
		for i := range 24 {
			files[fmt.Sprintf("%c/%d.png", 'a'+i%2, i)] = deep(i, c.most(i%2, i/2))
		}
		d, err := Open(write(t, files), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Scan(t.Context(), ScanOptions{}); err != nil {
			t.Fatal(err)
		}
		_, _, _, err = d.Split(SplitOptions{})
		if refused := err != nil && strings.Contains(err.Error(), "depth of the images tells the label"); refused != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		if said := strings.Contains(words(d), "images of 16 bits use"); !c.refused && (said != (c.says != "") || !strings.Contains(words(d), c.says)) {
			t.Errorf("%s: %q", name, words(d))
		}
	}
}
