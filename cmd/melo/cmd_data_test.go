package main

import (
	"context"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/experiment"
)

// dataFolder writes files, "#7" being picture number 7.
func dataFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if number, ok := strings.CutPrefix(text, "#"); ok {
			m := image.NewGray(image.Rect(0, 0, 12, 10))
			for i := range m.Pix {
				m.Pix[i] = uint8(i*i + 31*int(number[0]))
			}
			err = png.Encode(f, m)
		} else {
			_, err = f.WriteString(text)
		}
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestData(t *testing.T) {
	t.Parallel()
	root := dataFolder(t, map[string]string{
		"labels.csv": "path,label,patient,age\n1.png,yes,p1,40\n2.png,no,p1,\n3.png,no,p2,7\n4.png,yes,p3,7\n5.png,yes,,1\n6.png,no,,2\n7.png,no,,3\n",
		"1.png":      "#1", "2.png": "#2", "3.png": "#3", "4.png": "#4", "5.png": "#4", "6.png": "#6", "7.png": "broken",
	})
	args := []string{"data", root, "--test-split", "0", "--val-split", "0"}
	r := melo(t, args...).want(t, exitBadInput)
	for _, text := range []string{"task       binary, 2 labels", "images     7", "yes               3       0       0       3   50.0%",
		"kinds      PNG, grey, 8 bits: 6", "sizes      12 x 10, all of them", "groups     3 of 4 images, 2 in the largest", "columns    age",
		"copies     1 image stands more than once", "4.png = 5.png", "unreadable 1", "7.png"} {
		if !strings.Contains(r.out, text) {
			t.Errorf("does not show %q:\n%s", text, r.out)
		}
	}
	if !strings.Contains(r.err, "1 of 7 images cannot be read, 0 are allowed") || strings.Contains(r.out+r.err, "\x1b") {
		t.Errorf("stderr: %s", r.err)
	}
	sheet := filepath.Join(t.TempDir(), "sheet.png")
	var doc experiment.DataDocument
	r = melo(t, append(args, "--json", "--max-bad", "1", "--sheet", sheet, "--per-label", "2")...).want(t, exitDone)
	r.decode(t, &doc)
	if doc.Images != 7 || doc.Total.All != 6 || doc.Problem != "" || len(doc.Unreadable) != 1 || doc.Sizes.Distinct != 1 || doc.Groups.Groups != 3 ||
		len(doc.Duplicates) != 1 || !slices.Equal(doc.Duplicates[0].Images, []string{"4.png", "5.png"}) || doc.Duplicates[0].LabelsVary ||
		doc.Modes[0] != (experiment.DataMode{Format: "PNG", Channels: 1, Bits: 8, Images: 6}) || doc.Sheet != sheet {
		t.Errorf("got %+v", doc)
	}
	f, err := os.Open(sheet)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if cfg, err := png.DecodeConfig(f); err != nil || cfg.Width < 800 || cfg.Height < 200 {
		t.Errorf("sheet: %+v, %v", cfg, err)
	}
}

// TestDataTornSplit: what training would refuse is shown all the same, and named.
func TestDataTornSplit(t *testing.T) {
	t.Parallel()
	files := map[string]string{"train/a/1.png": "#1", "train/b/2.png": "#2", "test/a/3.png": "#3", "test/b/4.png": "#1"}
	root := dataFolder(t, files)
	var doc experiment.DataDocument
	r := melo(t, "data", "--json", root, "--val-split", "0").want(t, exitBadInput)
	r.decode(t, &doc)
	if doc.Total != (experiment.DataTotal{Train: 2, Test: 2, All: 4}) || !strings.Contains(doc.Problem, "test/b/4.png (b, test) = train/a/1.png (a, train)") || !doc.Duplicates[0].LabelsVary {
		t.Errorf("got %+v", doc)
	}
	doc = experiment.DataDocument{}
	melo(t, "data", "--json", root, "--val-split", "0", "--allow-duplicates").want(t, exitDone).decode(t, &doc)
	if doc.Problem != "" || !strings.Contains(strings.Join(doc.Warnings, "\n"), "both sides of the given split") {
		t.Errorf("got %+v", doc)
	}
}

func TestDataFolds(t *testing.T) {
	t.Parallel()
	var doc experiment.DataDocument
	melo(t, "data", "--json", "../../dataset/testdata/grey.npz", "--folds", "3", "--val-split", "0").want(t, exitDone).decode(t, &doc)
	if len(doc.Folds) != 3 || doc.Folds[0].Held != 6 || doc.Folds[0].Train != 12 || !slices.Equal(doc.Folds[0].Counts, []int{3, 3}) || doc.Total.Test != 6 {
		t.Errorf("got %+v", doc)
	}
}

func TestDataRefuses(t *testing.T) {
	t.Parallel()
	root := dataFolder(t, map[string]string{"a/1.png": "#1", "a/2.png": "#2", "b/3.png": "#3", "b/4.png": "#4"})
	none := filepath.Join(root, "none")
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{none}, exitBadInput, none},
		{[]string{dataFolder(t, map[string]string{"a/1.png": "#1", "b/notes.txt": "x"})}, exitBadInput, "at least two labels are needed"},
		{[]string{root, "--folds", "1"}, exitUsage, "--folds 1"},
		{[]string{root, "--val-split", "0.6", "--test-split", "0.5"}, exitUsage, "--val-split"},
		{[]string{root, "--max-bad=-1"}, exitUsage, "--max-bad -1"},
		{[]string{root, "--per-label", "0"}, exitUsage, "--per-label 0"},
		{[]string{root, "--sheet", root}, exitFailed, "not a regular file"},
		{[]string{root, "--sheet", filepath.Join(root, "x.jpg")}, exitUsage, "ends in .png"},
		{[]string{root, "--sheet", filepath.Join(none, "x.png")}, exitFailed, none},
		{[]string{root, "--group-column", "patient"}, exitBadInput, "no table of labels"},
	} {
		r := melo(t, append([]string{"data"}, c.args...)...).want(t, c.status)
		if !strings.Contains(r.err, c.want) || strings.Count(r.err, "\n") > 2 {
			t.Errorf("%v: stderr %q does not say %q in a line", c.args, r.err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	meloContext(t, ctx, "data", root).want(t, exitInterrupted)
}

// TestDataTrainAgree: training sees the splits, the copies and the bad files that "melo data" shows.
func TestDataTrainAgree(t *testing.T) {
	t.Parallel()
	files := map[string]string{"a/broken.png": "x"}
	for i := range 24 {
		files[string(rune('a'+i%2))+"/"+string(rune('A'+i))+".png"] = "#" + string(rune('A'+i))
	}
	root := dataFolder(t, files)
	out := filepath.Join(t.TempDir(), "a.safetensors")
	base := trainArgs(root, out, "--json", "--epochs", "1")
	r := melo(t, base...).want(t, exitBadInput)
	if !strings.Contains(r.err, "1 of 25 images cannot be read, 0 are allowed") || !strings.Contains(r.err, "a/broken.png") {
		t.Errorf("stderr: %s", r.err)
	}
	for fold := range 3 {
		var trained experiment.Result
		var shown experiment.DataDocument
		options := []string{"--max-bad", "1", "--folds", "3", "--val-split", "0.2"}
		if fold > 0 {
			careful := slices.DeleteFunc(append(append([]string{}, base...), options...), func(a string) bool { return a == "--force" })
			r := melo(t, append(careful, "--fold", "1")...).want(t, exitUsage)
			if !strings.Contains(r.err, "--force is needed") {
				t.Errorf("a finished adapter: %s", r.err)
			}
		}
		melo(t, append(append(base, options...), "--fold", string(rune('1'+fold)))...).want(t, exitDone).decode(t, &trained)
		melo(t, append([]string{"data", "--json", root}, options...)...).want(t, exitDone).decode(t, &shown)
		f := shown.Folds[fold]
		if trained.Data.Train != f.Train || trained.Data.Val != f.Val || trained.Data.Test != f.Held || trained.Data.Digest != shown.Digest {
			t.Errorf("fold %d: trained on %+v, shown %+v", fold+1, trained.Data, f)
		}
		if len(trained.Data.Bad) != 1 || !strings.HasPrefix(trained.Data.Rule, "fold "+string(rune('1'+fold))+" of 3 folds") || trained.Settings.Fold != fold+1 {
			t.Errorf("got %+v", trained.Data)
		}
	}
	melo(t, append(base, "--folds", "3")...).want(t, exitUsage)
	melo(t, append(base, "--fold", "2")...).want(t, exitUsage)
	melo(t, append(base, "--folds", "3", "--fold", "4")...).want(t, exitUsage)
}
