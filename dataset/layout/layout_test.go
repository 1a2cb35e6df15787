package layout

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// grow makes names of images: "a/b:3" are a/b/0.png to a/b/2.png.
func grow(specs ...string) []string {
	var out []string
	for _, s := range specs {
		dir, number, ok := strings.Cut(s, ":")
		n := 1
		if ok {
			fmt.Sscan(number, &n)
		}
		for i := range n {
			if ok {
				out = append(out, fmt.Sprintf("%s/%d.png", dir, i))
			} else {
				out = append(out, dir)
			}
		}
	}
	slices.SortFunc(out, comparePaths)
	return out
}

// summary is "label/split=images" of a plan.
func summary(p *Plan) string {
	count := map[string]int{}
	for _, m := range p.Images {
		count[strings.TrimSuffix(m.Label+"/"+m.Split, "/")]++
	}
	var out []string
	for k, n := range count {
		out = append(out, fmt.Sprintf("%s=%d", k, n))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestFolders(t *testing.T) {
	for name, c := range map[string]struct {
		images []string
		how    Reading
		want   string
		left   string // in a reason
	}{
		"classes":          {grow("a:2", "b/deep:3", "x.png"), Auto, "a=2 b=3", "beside the class folders"},
		"splits":           {grow("Train/a:2", "train2.png", "VALID/a:1", "Train/b:2", "test/b:1"), Auto, "a/train=2 a/val=1 b/test=1 b/train=2", ""},
		"sets":             {grow("training_set/a:2", "training_set/b:1", "test_set/a:1", "test_set/b:1"), Auto, "a/test=1 a/train=2 b/test=1 b/train=1", ""},
		"simple":           {grow("TRAIN/x:2", "TRAIN/y:2", "TEST/x:1", "TEST/y:1", "TEST_SIMPLE/x:1"), Auto, "x/test=1 x/train=2 y/test=1 y/train=2", "folder TEST_SIMPLE"},
		"unknown beside":   {grow("train/a:2", "train/b:2", "test/a:1", "test/b:1", "stuff:4"), Auto, "a/test=1 a/train=2 b/test=1 b/train=2", "folder stuff"},
		"wrapped":          {grow("chest/train/a:2", "chest/train/b:2", "chest/val/a:1"), Auto, "a/train=2 a/val=1 b/train=2", ""},
		"copy":             {grow("chest/train/a:2", "chest/train/b:2", "train/a:2", "train/b:2", "test/a:1", "test/b:1"), Auto, "a/test=1 a/train=2 b/test=1 b/train=2", "a copy of the folders"},
		"case":             {grow("train/NORMAL:3", "train/SICK:3", "test/Normal:1", "test/Sick:1"), Auto, "NORMAL/test=1 NORMAL/train=3 SICK/test=1 SICK/train=3", ""},
		"accents":          {grow("caf\u00e9:2", "cafe\u0301:1", "x:1"), Auto, "caf\u00e9=3 x=1", ""},
		"images below":     {grow("train/images/a:2", "train/images/b:2", "test/images/a:1"), Auto, "a/test=1 a/train=2 b/train=2", ""},
		"splits below":     {grow("a/train:2", "a/test:1", "b/train:2", "b/test:1"), Auto, "a/test=1 a/train=2 b/test=1 b/train=2", ""},
		"flat test":        {grow("train/a:2", "train/b:2", "test:3"), Auto, "a/train=2 b/train=2", "images of test"},
		"words of names":   {grow("BUSI_train/a:2", "BUSI_train/b:2", "BUSI_test/a:1", "BUSI_test/b:1", "BUSI_test/x.png"), Auto, "a/test=1 a/train=2 b/test=1 b/train=2", "beside the class"},
		"years":            {grow("train_2020/a:2", "train_2021/b:2", "val_2021/a:1", "val_2021/b:1"), Auto, "a/train=2 a/val=1 b/train=2 b/val=1", ""},
		"glued":            {grow("trainA:2", "trainB:2", "testA:1", "testB:1"), Auto, "A/test=1 A/train=2 B/test=1 B/train=2", ""},
		"joined":           {grow("train_sick:2", "train_well:2", "val_sick:1", "val_well:1"), Auto, "sick/train=2 sick/val=1 well/train=2 well/val=1", ""},
		"tests of blood":   {grow("test_positive:2", "test_negative:2"), Auto, "test_negative=2 test_positive=2", ""},
		"trains":           {grow("trainers:2", "sandals:2"), Auto, "sandals=2 trainers=2", ""},
		"one without":      {grow("a/train:2", "a/test:1", "b/train:2", "b/test:1", "notes:1"), Auto, "a/test=1 a/train=2 b/test=1 b/train=2", "folder notes, without splits"},
		"unlabelled":       {grow("train/a:2", "train/b:2", "train/unlabeled:3", "test/a:1", "test/b:1"), Auto, "a/test=1 a/train=2 b/test=1 b/train=2", "without labels by its name"},
		"a copy":           {grow("a:2", "b:2", "data/a:2", "data/b:2"), Auto, "a=2 b=2", "folder data, a copy"},
		"eval":             {grow("train/a:2", "train/b:2", "val/a:1", "eval/b:1"), Auto, "a/train=2 a/val=1 b/test=1 b/train=2", ""},
		"forced classes":   {grow("train/a:2", "train/b:2", "test/a:1", "test/b:1"), Classes, "test=2 train=4", ""},
		"forced splits":    {grow("train/a:2", "train/b:2", "other:5"), Splits, "a/train=2 b/train=2", "folder other"},
		"leaves":           {grow("sets/lung/aca:2", "sets/lung/n:2", "sets/colon/aca2:1"), Leaves, "aca2=1 aca=2 n=2", ""},
		"leaves of splits": {grow("x/train/a:2", "x/train/b:2", "y/test/a:1"), Leaves, "a/test=1 a/train=2 b/train=2", ""},
		"leaves of images": {grow("a/images:2", "b/images:1"), Leaves, "a=2 b=1", ""},
		"patients":         {grow("a/1:2", "a/2:1", "b/1:1", "b/2:2"), Auto, "a=3 b=3", ""},
	} {
		plan, err := Folders(c.images, c.how)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := summary(plan); got != c.want {
			t.Errorf("%s: %s, expected %s", name, got, c.want)
		}
		reasons := ""
		for _, l := range plan.LeftOut {
			reasons += l.Reason + "\n"
		}
		if c.left != "" && !strings.Contains(reasons, c.left) {
			t.Errorf("%s: %q does not say %q", name, reasons, c.left)
		}
		if n := len(plan.Images) + len(plan.LeftOut); n != len(c.images) {
			t.Errorf("%s: %d of %d images are accounted for", name, n, len(c.images))
		}
		if !slices.IsSortedFunc(plan.Images, func(a, b Image) int { return comparePaths(a.Name, b.Name) }) {
			t.Errorf("%s: out of order", name)
		}
	}
}

// TestCaseFolders: folders that look like numbers of patients are taken, and doubted.
func TestCaseFolders(t *testing.T) {
	plan, err := Folders(grow("IMD002:2", "IMD003:2", "IMD004:1"), Auto)
	if err != nil || len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "numbers of patients") {
		t.Errorf("%+v, %v", plan, err)
	}
	if plan, err := Folders(grow("0:2", "1:2", "2:1"), Auto); err != nil || len(plan.Warnings) != 0 {
		t.Errorf("%+v, %v", plan, err)
	}
}

// TestFoldersRefuse: where two readings are possible, both are shown with the option that chooses.
func TestFoldersRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		images []string
		want   []string
	}{
		"train and another":    {grow("train/a:2", "train/b:2", "other:5"), []string{"--layout splits", "--layout classes", "labels a, b"}},
		"flat and another":     {grow("train:3", "plane:3", "bus:2"), []string{"bus, plane, train are labels (--layout classes)"}},
		"hospitals":            {grow("east/pos:2", "east/neg:2", "west/pos:2", "west/neg:1"), []string{"east, west (--layout classes)", "neg, pos (--layout leaves)"}},
		"augmented":            {grow("a:2", "b:2", "more/a:3", "more/b:2"), []string{"more images of these (--layout leaves)", "move it away"}},
		"patients outside":     {grow("10253/0:2", "10253/1:2", "10254/0:1", "10254/1:2", "10255/0:1", "10255/1:1"), []string{"--layout leaves", "such as 0, 1"}},
		"one holder":           {grow("set/train/a:2", "set/test/a:2", "pictures:2"), []string{"give that folder", "--layout classes"}},
		"flat splits":          {grow("train:3", "test:3"), []string{"no label", "--layout classes"}},
		"two trains":           {grow("train/a:2", "training/a:2", "test/a:1"), []string{"all the train split"}},
		"nothing but pictures": {grow("1.png", "2.png"), []string{"no label"}},
	} {
		_, err := Folders(c.images, Auto)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", name, err, w)
			}
		}
	}
	if _, err := Folders(grow("1.png"), Auto); !errors.Is(err, ErrNoLabels) {
		t.Error(err)
	}
}

func TestCompanions(t *testing.T) {
	mask := func(name string) bool { return strings.Contains(name, "mask") || path.Ext(name) == ".bmp" }
	for name, c := range map[string]struct {
		images []string
		out    int
	}{
		"folders":       {grow("COVID/images:3", "COVID/masks:3", "Normal/images:2", "Normal/masks:2"), 5},
		"beside":        {grow("a/x (1).png", "a/x (1)_mask.png", "a/x (1)_mask_1.png", "a/y.png"), 2},
		"two endings":   {grow("a/1.png", "a/1.bmp", "a/2.png", "a/2.bmp"), 2},
		"in the tree":   {grow("images:3", "masks:3"), 3},
		"beside splits": {grow("train/a:3", "test/a:1", "masks:4"), 4},
		"before":        {grow("a/1.png", "a/2.png", "a/mask_1.png", "a/mask_2.png"), 2},
		"glued":         {grow("a/s1.png", "a/s1mask.png", "a/s2.png"), 1},
		"two words":     {grow("a/1.png", "a/1_liver_mask (1).png", "a/1_liver_mask (2).png"), 2},
		"any word":      {grow("a/1.png", "a/2.png", "a/1_thing.bmp", "a/2_thing.bmp", "b/1.png"), 2},
		"many folders":  {manyFolders(100), 100},
		"no masks":      {grow("a/1.png", "a/1_side.png", "a/2.png", "a/2_side.png"), 0},
		"all masks":     {grow("a/1.bmp", "a/1_side.bmp"), 0},
		"numbers":       {grow("a/1.png", "a/10.bmp", "a/2.png", "a/20.bmp"), 0},
		"label folder":  {grow("a/image/1.png", "a/image/2.png", "a/label/1.bmp", "a/label/2.bmp", "b/image/3.png"), 2},
		"image folder":  {grow("a/image/1.png", "a/other/1.png"), 0},
		"faces":         {grow("face:3", "no_mask:3", "with_mask:2"), 0},
		"orphan":        {grow("a/carnival_mask.png", "a/2.png"), 0},
		"a label":       {grow("roi:3", "other:5"), 0},
		"of classes":    {grow("a:3", "b:3", "masks:3"), 3},
	} {
		kept, left, _ := Companions(c.images, mask)
		if len(left) != c.out || len(kept)+len(left) != len(c.images) {
			t.Errorf("%s: %d left out, expected %d: %v", name, len(left), c.out, left)
		}
	}
}

// manyFolders are an image and its mask in each of n folders.
func manyFolders(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("a/%d/1.png", i), fmt.Sprintf("a/%d/1_thing.bmp", i))
	}
	return names
}

func TestHidden(t *testing.T) {
	for name, want := range map[string]bool{"a/.ipynb_checkpoints/x.png": true, "__MACOSX/a/x.png": true, "a/@eaDir/x.png": true, "a/._x.png": true,
		"A/Thumbs.db": true, "a/x.png": false, ".thumbs/x.png": true, "a/Thumbnails/x.jpg": true} {
		if Hidden(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func TestSplitName(t *testing.T) {
	for name, want := range map[string]string{"train": Train, "TRAINING": Train, "training_set": Train, "Train-Images": Train, "trn": Train, "valid": Val, "dev": Val,
		"eval": Val, "test_set": Test, "hold-out": Test, "holdout": Test, "TEST_SIMPLE": "", "trainer": "", "images": "", "train_test": ""} {
		got, ok := SplitName(name)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
}

// FuzzFolders: every image is in the plan or left out, once.
func FuzzFolders(f *testing.F) {
	f.Add("train/a/1.png\ntrain/b/1.png\ntest/a/1.png\nmasks/1.png", "")
	f.Add("a/b/c/1.png\n1.png", "leaves")
	f.Fuzz(func(t *testing.T, text, how string) {
		var images []string
		for name := range strings.SplitSeq(text, "\n") {
			if name = path.Clean("/" + name)[1:]; name != "" && !slices.Contains(images, name) {
				images = append(images, name)
			}
		}
		kept, left, _ := Companions(images, func(name string) bool { return len(name)%2 == 0 })
		if len(kept)+len(left) != len(images) {
			t.Fatal("companions are lost")
		}
		plan, err := Folders(images, Reading(how))
		if err == nil && len(plan.Images)+len(plan.LeftOut) != len(images) {
			t.Fatalf("%d of %d", len(plan.Images)+len(plan.LeftOut), len(images))
		}
	})
}
