package phantom

import "testing"

// TestRegion: where the finding lies is told, in a sensible part of the picture, and there most pictures are brighter
// than on their other side. A picture without a finding has no region.
func TestRegion(t *testing.T) {
	for _, name := range []string{"breast", "tb"} {
		task, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		found, all := 0, 0
		for i := range 24 {
			p := task.Draw(5, i)
			if (p.Region == nil) != (name == "tb" && p.Label == 0) {
				t.Errorf("%s %d, label %d: region %v", name, i, p.Label, p.Region != nil)
			}
			if p.Region == nil {
				continue
			}
			all++
			n, left, right := 0, 0.0, 0.0
			for k, in := range p.Region {
				if in {
					n++
					v, _, _, _ := p.Image.At(k%Size, k/Size).RGBA()
					other, _, _, _ := p.Image.At(Size-1-k%Size, k/Size).RGBA()
					left, right = left+float64(v), right+float64(other)
				}
			}
			if share := float64(n) / float64(len(p.Region)); share > 0.002 && share < 0.4 && left > right {
				found++
			}
		}
		if 2*found < all {
			t.Errorf("%s: %d of %d regions lie where the picture is brighter than on its other side", name, found, all)
		}
	}
}
