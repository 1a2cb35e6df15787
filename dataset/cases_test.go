package dataset

import (
	"archive/zip"
	"bytes"
	"fmt"
	"image"
	"image/color"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/dataset/parquet"
)

// summary is the task and "label/split=images" of a data set; several labels are joined by "+".
func summary(d *Dataset) string {
	count := map[string]int{}
	for i := range d.Samples {
		count[strings.TrimSuffix(d.LabelsOf(i)+"/"+d.Samples[i].Split, "/")]++
	}
	parts := []string{string(d.Task)}
	for _, k := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%s=%d", k, count[k]))
	}
	return strings.Join(parts, " ")
}

// words are all that a data set says about how it was read.
func words(d *Dataset) string {
	return strings.Join(slices.Concat([]string{d.Understood()}, d.Notes, d.Warnings, d.LeftOutWords()), "\n")
}

// many makes files: "a/x:3" are a/x0.png to a/x2.png, other names are files with their text.
func many(files map[string]string, specs ...string) map[string]string {
	out := map[string]string{}
	n := 0
	for _, s := range specs {
		stem, number, _ := strings.Cut(s, ":")
		count := 1
		fmt.Sscan(number, &count)
		for i := range count {
			n++
			out[fmt.Sprintf("%s%d.png", stem, i)] = fmt.Sprintf("#%d", n)
		}
	}
	maps.Copy(out, files)
	return out
}

// stencil is a picture of two levels.
func stencil(t testing.TB) string {
	m := image.NewGray(image.Rect(0, 0, 32, 32))
	for i := range 300 {
		m.Pix[i] = 255
	}
	return encode(t, m)
}

// rowsOf makes a table of images: for each row the name and the cells.
func tableText(header string, rows ...string) string {
	return header + "\n" + strings.Join(rows, "\n") + "\n"
}

// TestLayouts: what folders and tables as people have them must give.
func TestLayouts(t *testing.T) {
	mask := stencil(t)
	list := func(text string) string {
		file := filepath.Join(t.TempDir(), "list.txt")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for name, c := range map[string]struct {
		files map[string]string
		opt   Options
		want  string // of summary; an error's text where it begins with "!"
		says  string
	}{
		"splits and a third folder": {many(nil, "TRAIN/A/:3", "TRAIN/B/:3", "TEST/A/:2", "TEST/B/:2", "TEST_SIMPLE/A/:2"), Options{},
			"binary A/test=2 A/train=3 B/test=2 B/train=3", "folder TEST_SIMPLE"},
		"masks beside splits": {many(nil, "train/a/:3", "train/b/:3", "val/a/:2", "val/b/:2", "masks/:4"), Options{},
			"binary a/train=3 a/val=2 b/train=3 b/val=2", "4 left out, masks"},
		"masks by name": {many(map[string]string{"a/0_mask.png": mask, "b/0_mask.png": mask, "b/0_mask_1.png": mask}, "a/:3", "b/:3"), Options{},
			"binary a=3 b=3", "3 left out, masks"},
		"images and masks": {many(map[string]string{"a/masks/0.png": mask, "b/masks/0.png": mask}, "a/images/:2", "b/images/:2"), Options{},
			"binary a=2 b=2", "2 left out, masks"},
		"copies of two kinds": {many(map[string]string{"a/0.bmp": mask, "b/0.bmp": mask}, "a/:2", "b/:2"), Options{}, "binary a=2 b=2", "2 left out, masks"},
		"a table in the tree": {many(map[string]string{"masks/0.png": mask, "GroundTruth.csv": tableText("image,label", "0.png,a", "1.png,b")}, "images/:2"), Options{},
			"binary a=1 b=1", "by the table GroundTruth.csv"},
		"hidden": {many(nil, "a/:2", "b/:2", "a/.ipynb_checkpoints/:2", "__MACOSX/a/:2", "@eaDir/:1"), Options{}, "binary a=2 b=2", "5 left out, hidden"},
		"one label, two spellings": {many(nil, "train/NORMAL/:3", "train/SICK/:3", "test/Normal/:1", "test/Sick/:1"), Options{},
			"binary NORMAL/test=1 NORMAL/train=3 SICK/test=1 SICK/train=3", "are one label"},
		"findings": {many(map[string]string{"labels.csv": tableText("path,label,patient", "0.png,A|E,1", "1.png,No Finding,2", "2.png,E,3")}, ":3"), Options{},
			"multilabel A+E=1 E=1 no label=1", "several findings"},
		"findings with semicolons": {many(map[string]string{"labels.csv": tableText("path,label", "0.png,A;E", "1.png,A", "2.png,E")}, ":3"), Options{},
			"multilabel A=1 A+E=1 E=1", ""},
		"findings with commas": {many(map[string]string{"labels.csv": tableText("path,label", "0.png,\"A, E\"", "1.png,A", "2.png,E")}, ":3"), Options{},
			"multilabel A=1 A+E=1 E=1", ""},
		"one name or two": {many(map[string]string{"labels.csv": tableText("path,label", "0.png,\"A, x\"", "1.png,A", "2.png,E")}, ":3"), Options{},
			`!may be one label, or several`, ""},
		"numbers":  {many(map[string]string{"labels.csv": tableText("path,label", "0.png,0", "1.png,1.0", "2.png,0.0", "3.png,1")}, ":4"), Options{}, "binary 0=2 1=2", "are one label"},
		"spelling": {many(map[string]string{"labels.csv": tableText("path,label", "0.png,a", "1.png,b ", "2.png,A", "3.png,b")}, ":4"), Options{}, "binary A=2 b=2", "are one label"},
		"missing":  {many(map[string]string{"labels.csv": tableText("path,label", "0.png,a", "1.png,b", "2.png,nan", "3.png,?")}, ":4"), Options{}, "!2 of 4 rows have no label", ""},
		"missing, dropped": {many(map[string]string{"labels.csv": tableText("path,label", "0.png,a", "1.png,b", "2.png,nan", "3.png,")}, ":4"),
			Options{DropUnlabelled: true}, "binary a=1 b=1", "2 rows have no label"},
		"one-hot":            {many(map[string]string{"labels.csv": tableText("image,MEL,NV,BCC", "0,1.0,0.0,0.0", "1,0.0,1.0,0.0", "2,0.0,0.0,1.0")}, ":3"), Options{}, "multiclass BCC=1 MEL=1 NV=1", "exactly one column"},
		"uncertain":          {many(map[string]string{"labels.csv": tableText("Path,Sex,No Finding,Edema", "0.png,F,1.0,", "1.png,M,,-1.0", "2.png,M,,1.0")}, ":3"), Options{}, "!--uncertain ignore", ""},
		"uncertain ignored":  {many(map[string]string{"labels.csv": tableText("Path,Sex,No Finding,Edema", "0.png,F,1.0,", "1.png,M,,-1.0", "2.png,M,,1.0")}, ":3"), Options{Uncertain: UncertainIgnore}, "multilabel Edema=1 No Finding=1 no label=1", "not known"},
		"uncertain positive": {many(map[string]string{"labels.csv": tableText("Path,Sex,No Finding,Edema", "0.png,F,1.0,", "1.png,M,,-1.0", "2.png,M,,1.0")}, ":3"), Options{Uncertain: UncertainPositive, Task: MultiLabel}, "multilabel Edema=2 No Finding=1", "count as present"},
		"floats":             {many(map[string]string{"labels.csv": tableText("image,A,B", "0,1.000000,0e0", "1,0.00,1e0")}, ":2"), Options{}, "binary A=1 B=1", "exactly one column"},
		"truths":             {many(map[string]string{"labels.csv": tableText("image,A,B", "0,True,FALSE", "1,true,True", "2,False,nan")}, ":3"), Options{}, "multilabel A=1 A+B=1 no label=1", "1 blank cells"},
		"sex is no label":    {many(map[string]string{"labels.csv": tableText("image,male,A,B", "0,1,1,0", "1,1,0,1", "2,0,1,0")}, ":3"), Options{}, "binary A=2 B=1", "no labels by their names: male"},
		"sex is named":       {many(map[string]string{"labels.csv": tableText("image,male,A", "0,1,1", "1,1,0", "2,0,1")}, ":3"), Options{LabelColumns: []string{"male"}}, "multilabel male=2 no label=1", ""},
		"a flag of splits":   {many(map[string]string{"labels.csv": tableText("image,label,is_test", "0,a,0", "1,b,0", "2,a,1")}, ":3"), Options{}, "binary a/test=1 a/train=1 b/train=1", `"is_test": 1 is test, 0 train`},
		"folds by number":    {many(map[string]string{"labels.csv": tableText("image,label,fold", "0,a,0", "1,b,1", "2,a,2")}, ":3"), Options{}, "binary a=2 b=1", `"fold" is not taken for splits: its values are 0, 1, 2`},
		"no class":           {many(map[string]string{"labels.csv": tableText("image,label", "0,0", "1,1", "2,-1")}, ":3"), Options{}, `!has no label ("-1")`, ""},
		"no class, dropped":  {many(map[string]string{"labels.csv": tableText("image,label", "0,a", "1,b", "2,-")}, ":3"), Options{DropUnlabelled: true}, "binary a=1 b=1", "1 rows have no label"},
		"plus and minus":     {many(map[string]string{"labels.csv": tableText("image,label", "0,+", "1,-", "2,-")}, ":3"), Options{}, "binary +=1 -=2", ""},
		"perhaps no class":   {many(map[string]string{"labels.csv": tableText("image,label", "0,a", "1,b", "2,unknown")}, ":3"), Options{}, "multiclass a=1 b=1 unknown=1", `"unknown" (1 images) may say that none`},
		"yes and y":          {many(map[string]string{"labels.csv": tableText("image,label", "0,yes", "1,no", "2,N", "3,Y")}, ":4"), Options{}, "binary N=2 Y=2", "are one label"},
		"slashes":            {many(map[string]string{"labels.csv": tableText("image,label", "0,A/B", "1,A", "2,B")}, ":3"), Options{}, `!several with "/" between them`, ""},
		"slashes chosen":     {many(map[string]string{"labels.csv": tableText("image,label", "0,A/B", "1,A", "2,B")}, ":3"), Options{Separator: "/"}, "multilabel A=1 A+B=1 B=1", ""},
		"no findings at all": {many(map[string]string{"metadata.jsonl": `{"file_name": "0.png", "labels": ["a"]}` + "\n" + `{"file_name": "1.png", "labels": []}` + "\n" + `{"file_name": "2.png", "labels": ["a", "b"]}`}, ":3"), Options{},
			"multilabel a=1 a+b=1 no label=1", ""},
		"ids with a point":   {many(map[string]string{"labels.csv": tableText("id,label", "0.0,a", "1.0,b", "10.0,b"), "10.png": "#7"}, ":2"), Options{}, "binary a=1 b=2", ""},
		"two for one number": {many(map[string]string{"labels.csv": tableText("image,label", "p_1,a", "q_1,a", "p_0,b")}, ":2"), Options{}, "!both fit 1.png", ""},
		"masks of samples":   {many(map[string]string{"s0.cls": "0", "s1.cls": "1", "s0.mask.png": mask, "s1.mask.png": mask, "s0.img.png": "#1", "s1.img.png": "#2"}), Options{}, "binary 0=1 1=1", "2 left out, masks"},
		"two of a sample":    {many(map[string]string{"s0.cls": "0", "s1.cls": "1", "s0.left.png": "#1", "s0.right.png": "#3", "s1.left.png": "#2"}), Options{}, "!images of one sample", ""},
		"a sample without":   {many(map[string]string{"s0.cls": "0", "s1.cls": "1", "s0.png": "#1", "s1.png": "#2", "s2.png": "#3"}), Options{}, "!1 of 3 images have no label", ""},
		"lists of samples":   {many(map[string]string{"s0.json": `{"labels": [0, 1]}`, "s1.json": `{"labels": []}`, "s2.json": `{"labels": [1]}`}, "s:3"), Options{}, "multilabel 0+1=1 1=1 no label=1", ""},
		"boxes":              {many(map[string]string{"s0.txt": "0 0.5 0.5 0.1 0.1", "s1.txt": "1 0.5 0.5 0.1 0.1"}, "s:2"), Options{}, "!no label", ""},
		"structures":         {many(map[string]string{"metadata.jsonl": `{"file_name": "0.png", "label": {"name": "a"}}` + "\n" + `{"file_name": "1.png", "label": {"name": "b"}}`}, ":2"), Options{}, "!the label is a structure", ""},
		"COCO":               {many(map[string]string{"all.json": `{"images": [], "annotations": []}`}, ":2"), Options{}, "!annotations of objects (COCO) are not read", ""},
		"lists of splits": {many(nil, "a/:3", "b/:3"), Options{SplitFiles: []string{"train=" + list("a/0.png\na/1.png\nb/0\nb/1.png\n"), "test=" + list("a/2.png\nb/2.png\n")}},
			"binary a/test=1 a/train=2 b/test=1 b/train=2", "4 images are train"},
		"lists of splits, some": {many(nil, "a/:3", "b/:3"), Options{SplitFiles: []string{"train=" + list("a/0.png\nb/0.png\n"), "test=" + list("a/2.png\nb/2.png\n")}},
			"binary a/test=1 a/train=1 b/test=1 b/train=1", "2 left out, images in no list"},
		"images of no table": {many(nil, "a/:2", "b/:2"), Options{Images: "elsewhere"}, "!--images says where the images of a table are", ""},
		"Excel":              {many(map[string]string{"all.xlsx": "PK"}, ":2"), Options{}, "!Excel files are not read", ""},
		"names of ids":       {many(map[string]string{"labels.csv": tableText("image_name,patient_id,target", "x0,p0,0", "x1,p1,1", "x2,p1,0")}, "images/x:3"), Options{}, "binary 0=2 1=1", `column "target"`},
		"leading zeros":      {many(map[string]string{"labels.csv": tableText("id,label", "7,a", "8,b"), "images/007.png": "#1", "images/008.png": "#2"}), Options{}, "binary a=1 b=1", "leading zeros"},
		"backslashes":        {many(map[string]string{"labels.csv": tableText("path,label", `images\0.png,a`, `images\1.png,b`)}, "images/:2"), Options{}, "binary a=1 b=1", ""},
		"two files fit":      {many(map[string]string{"labels.csv": tableText("image,label", "0,a", "1,b")}, "x/:2", "y/:2"), Options{}, "!fits 2 files", ""},
		"Latin-1":            {many(map[string]string{"labels.csv": tableText("path,label", "0.png,caf\xe9", "1.png,b")}, ":2"), Options{}, "binary b=1 café=1", "Windows-1252"},
		"composed letters":   {many(map[string]string{"labels.csv": tableText("path,label", "caf\u00e9.png,a", "1.png,b"), "cafe\u0301.png": "#9"}, ":2"), Options{}, "binary a=1 b=1", ""},
		"tables of splits": {many(map[string]string{"train/_classes.csv": tableText("filename, cat, dog", "0.png,0,1", "1.png,1,0"), "valid/_classes.csv": tableText("filename, cat, dog", "0.png,0,1")}, "train/:2", "valid/:1"), Options{},
			"binary cat/train=1 dog/train=1 dog/val=1", ""},
		"lines of JSON":     {many(map[string]string{"metadata.jsonl": `{"file_name": "0.png", "label": "a"}` + "\n" + `{"file_name": "1.png", "label": "b"}`}, ":2"), Options{}, "binary a=1 b=1", ""},
		"table or folders":  {many(map[string]string{"t.csv": tableText("image,label", "0.png,x", "1.png,y", "2.png,x", "3.png,y"), "c/0.png": "#1", "c/1.png": "#2", "d/2.png": "#3", "d/3.png": "#4"}), Options{}, "!--layout table", ""},
		"folders chosen":    {many(map[string]string{"t.csv": tableText("image,label", "0.png,x", "1.png,y"), "c/0.png": "#1", "d/1.png": "#2"}), Options{Layout: "classes"}, "binary c=1 d=1", "is not used"},
		"table chosen":      {many(map[string]string{"t.csv": tableText("image,label", "0.png,x", "1.png,y"), "c/0.png": "#1", "d/1.png": "#2"}), Options{Layout: LayoutTable}, "binary x=1 y=1", ""},
		"two tables":        {many(map[string]string{"t.csv": tableText("image,label", "0.png,x", "1.png,y"), "u.csv": tableText("image,label,k", "0.png,y,1", "1.png,x,2")}, ":2"), Options{}, "!give the one that counts", ""},
		"where":             {many(map[string]string{"labels.csv": tableText("path,label,view", "0.png,a,PA", "1.png,b,PA", "2.png,b,AP")}, ":3"), Options{Where: []string{"view=PA"}}, "binary a=1 b=1", "without a row"},
		"other columns":     {many(map[string]string{"labels.csv": tableText("scan,verdict", "0.png,a", "1.png,b")}, ":2"), Options{LabelColumn: "verdict"}, "binary a=1 b=1", ""},
		"rows of one image": {many(map[string]string{"labels.csv": tableText("patientId,x,Target", "0,1,1", "0,2,1", "1,,0")}, ":2"), Options{}, "binary 0=1 1=1", "1 rows name an image"},
		"eyes":              {many(map[string]string{"t.csv": tableText("image,level", "10_left,0", "10_right,1"), "10_left.png": "#1", "10_right.png": "#2"}), Options{}, "binary 0=1 1=1", "1 patients"},
	} {
		d, err := Open(write(t, c.files), c.opt)
		if text, refused := strings.CutPrefix(c.want, "!"); refused {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v, expected %q", name, err, text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := summary(d); got != c.want {
			t.Errorf("%s: %s, expected %s", name, got, c.want)
		}
		if !strings.Contains(words(d), c.says) {
			t.Errorf("%s: %q does not say %q", name, words(d), c.says)
		}
	}
}

// TestDepthTellsLabels: labels that differ in the depth of their images are refused until somebody decides.
func TestDepthTellsLabels(t *testing.T) {
	deep := func(seed, most int) string {
		m := image.NewGray16(image.Rect(0, 0, 12, 12))
		for i := range 144 {
			m.SetGray16(i%12, i/12, color.Gray16{Y: uint16(mix(uint64(i+1000*seed)) % uint64(most+1))})
		}
		m.SetGray16(0, 0, color.Gray16{Y: uint16(most)})
		return encode(t, m)
	}
	for name, c := range map[string]struct {
		a, b    func(i int) string
		refused bool
		warned  string
	}{
		"8 and 12 bits":  {func(i int) string { return encode(t, mottled(12, 12, i)) }, func(i int) string { return deep(i, 4095) }, true, ""},
		"12 and 16 bits": {func(i int) string { return deep(i, 65535) }, func(i int) string { return deep(i+50, 4095) }, true, ""},
		"12 bits":        {func(i int) string { return deep(i, 4095) }, func(i int) string { return deep(i+50, 4000) }, false, "1/16 of the range"},
		"16 bits":        {func(i int) string { return deep(i, 65535) }, func(i int) string { return deep(i+50, 60000) }, false, ""},
	} {
		files := map[string]string{}
		for i := range 20 {
			files[fmt.Sprintf("a/%d.png", i)], files[fmt.Sprintf("b/%d.png", i)] = c.a(i), c.b(i)
		}
		d, err := scanned(t, files, ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, _, _, err = d.Split(SplitOptions{})
		if refused := err != nil && strings.Contains(err.Error(), "--depth"); refused != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, _, err := d.Split(SplitOptions{Depth: "max"}); err != nil {
			t.Errorf("%s, decided: %v", name, err)
		}
		if got := strings.Join(d.Warnings, "\n"); c.warned == "" && strings.Contains(got, "--depth") || !strings.Contains(got, c.warned) {
			t.Errorf("%s: warnings %q", name, got)
		}
	}
}

// TestArchives: a zip in a folder, and rows of a Parquet file, are read in place.
func TestArchives(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range 6 {
		f, err := w.Create(fmt.Sprintf("set/%s/%d.png", []string{"no", "yes"}[i%2], i))
		if err == nil {
			_, err = f.Write(picture(t, i, 8, 6))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var p bytes.Buffer
	images, labels := make([]string, 6), make([]string, 6)
	for i := range images {
		images[i], labels[i] = string(picture(t, i, 8, 6)), []string{"no", "yes"}[i%2]
	}
	if err := parquet.Write(&p, []string{"label", "photo"}, []any{labels, images}); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"set.zip": b.Bytes(), "train-00000-of-00001.parquet": p.Bytes()} {
		d, err := Open(write(t, map[string]string{name: string(data)}), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := summary(d); got != "binary no=3 yes=3" {
			t.Errorf("%s: %s", name, got)
		}
		if err := d.Scan(t.Context(), ScanOptions{Looks: true}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSharedCases reads the layouts that were read wrongly once.
func TestSharedCases(t *testing.T) {
	root := filepath.Join("..", "..", "shared", "cases", "data", "layouts")
	if _, err := os.Stat(root); err != nil {
		t.Skip("no shared cases")
	}
	for name, want := range map[string]string{
		"bccd_kaggle":      "multiclass EOSINOPHIL/test=5 EOSINOPHIL/train=5 LYMPHOCYTE/test=5 LYMPHOCYTE/train=5 MONOCYTE/test=5 MONOCYTE/train=5 NEUTROPHIL/test=5 NEUTROPHIL/train=5",
		"split_train_set":  "binary a/test=6 a/train=6 b/test=6 b/train=6",
		"split_plus_other": "binary a/test=5 a/train=5 a/val=5 b/test=5 b/train=5 b/val=5",
		"kermany_nomac":    "binary NORMAL/test=6 NORMAL/train=6 NORMAL/val=6 PNEUMONIA/test=6 PNEUMONIA/train=6 PNEUMONIA/val=6",
		"tworoot":          "binary a/train=8 b/train=8", "class_case": "binary NORMAL/test=8 NORMAL/train=8 SICK/test=8 SICK/train=8",
		"covid_real": "multiclass COVID=10 Normal=10 Viral Pneumonia=10", "busi_real": "binary benign=10 malignant=10",
		"csv_in_tree": "binary a=4 b=4", "ipynb": "binary a=8 b=8", "csv_nih_path": "multilabel Atelectasis=3 Atelectasis+Effusion=3 Effusion=3 no label=3",
		"csv_mixed01": "binary 0=6 1=6", "csv_trail": "binary A=6 b=6", "csv_nan": "!4 of 12 rows have no label", "csv_onehot": "multiclass BCC=4 MEL=4 NV=4",
		"csv_isic2018": "multiclass BCC=4 MEL=4 NV=4", "csv_chexpert": "!--uncertain", "csv_siim": "binary 0=6 1=6", "hf_metadata_jsonl": "binary a=4 b=4",
		"parquet": "binary 0=4 1=4", "wds": "!no label", "onefile_zip": "binary no=8 yes=8", "roboflow": "binary cat/train=4 cat/val=4 dog/train=4 dog/val=4",
		"csv_utf16": "binary a=6 b=6", "csv_latin1": "binary aé=6 bé=6", "csv_windows": "binary a=6 b=6", "csv_trailcomma": "binary a=6 b=6",
	} {
		d, err := Open(filepath.Join(root, name), Options{})
		if text, refused := strings.CutPrefix(want, "!"); refused {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v, expected %q", name, err, text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := summary(d); got != want {
			t.Errorf("%s: %s, expected %s", name, got, want)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
