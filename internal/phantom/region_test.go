package phantom

import (
	"os"
	"path/filepath"
	"testing"
)

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

// TestRegionsOfLabels: each finding of a chest film has a region, in the film's middle, and no other has; the white cell lies in the middle of
// its field, where the picture is darker than around.
func TestRegionsOfLabels(t *testing.T) {
	chest, err := Find("chest")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		p := chest.Draw(5, i)
		for l, has := range p.Targets {
			if (p.Regions[l] != nil) != has {
				t.Errorf("chest %d: %s %v, region %v", i, chest.Labels[l], has, p.Regions[l] != nil)
			}
			n := 0
			for _, in := range p.Regions[l] {
				if in {
					n++
				}
			}
			if share := float64(n) / Size / Size; has && (share < 0.001 || share > 0.45) {
				t.Errorf("chest %d: %s covers %.3f of the film", i, chest.Labels[l], share)
			}
		}
	}
	blood, err := Find("blood")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		p := blood.Draw(5, i)
		var n, out, x, y, inside, outside float64
		for k, in := range p.Region {
			_, g, _, _ := p.Image.At(k%Size, k/Size).RGBA()
			if in {
				n, x, y, inside = n+1, x+float64(k%Size), y+float64(k/Size), inside+float64(g)
			} else {
				out, outside = out+1, outside+float64(g)
			}
		}
		if share := n / Size / Size; share < 0.05 || share > 0.4 || inside/n > outside/out || x/n < 35 || x/n > 93 || y/n < 35 || y/n > 93 {
			t.Errorf("blood %d: a cell of %.2f of the field around %.0f, %.0f", i, share, x/n, y/n)
		}
	}
}

// TestWriteMasks: each picture with a finding has a mask of its own name, each finding of a film one.
func TestWriteMasks(t *testing.T) {
	for name, want := range map[string]int{"breast": 8, "blood": 8, "chest": 0} {
		task, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "chest" {
			for i := range 8 {
				want += len(task.LabelsOf(task.Draw(3, i)))
			}
		}
		dir := filepath.Join(t.TempDir(), "masks")
		if err := task.WriteMasks(t.Context(), dir, Counts{4, 2, 2}, 3); err != nil {
			t.Fatal(err)
		}
		found, err := filepath.Glob(filepath.Join(dir, "*", "*.png"))
		if err != nil || len(found) != want {
			t.Errorf("%s: %d masks, want %d: %v", name, len(found), want, err)
		}
		if name == "breast" {
			if _, err := os.Stat(filepath.Join(dir, "test", "breast-00007.png")); err != nil {
				t.Error(err)
			}
		}
		if err := task.WriteMasks(t.Context(), dir, Counts{4, 2, 2}, 3); err == nil {
			t.Error("a folder that is not empty was written to")
		}
	}
}
