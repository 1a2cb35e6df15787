package dataset

import (
	"fmt"
	"strings"
	"testing"
)

// scans are images of a folder for each label, whose names hold a patient and a number.
func scans(t *testing.T, format string) string {
	t.Helper()
	files := map[string]string{}
	for p := range 12 {
		for n := range 2 {
			label := []string{"benign", "malignant"}[p%2]
			files[label+"/"+fmt.Sprintf(format, p, n)] = fmt.Sprintf("#%d", p*2+n)
		}
	}
	return write(t, files)
}

func TestGroupPattern(t *testing.T) {
	root := scans(t, "case%02d-%d.png")
	d, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if text := words(d); !strings.Contains(text, "may be of one patient: --group-pattern") {
		t.Errorf("names with a patient and a number are not pointed out: %s", text)
	}
	for pattern, want := range map[string]int{`case(\d+)`: 12, `/case\d`: 2, `([^/]*)[-_. ][0-9]+[.][^.]*$`: 12, `^(\w+)/case0(\d)`: 0, `(`: -1} {
		d, err := Open(root, Options{GroupPattern: pattern})
		if want <= 0 {
			if err == nil || want == 0 && !strings.Contains(err.Error(), "4 of 24 images do not match it: ") {
				t.Errorf("%s: %v, expected an error", pattern, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		groups := map[string]bool{}
		for i := range d.Samples {
			groups[d.Samples[i].Group] = true
		}
		if len(groups) != want {
			t.Errorf("%s: %d groups, expected %d: %v", pattern, len(groups), want, groups)
		}
	}
}

// Numbers behind the name of a label are no patients.
func TestGroupPatternNotHinted(t *testing.T) {
	files := map[string]string{}
	for n := range 12 {
		files[fmt.Sprintf("benign/benign (%d).png", n)] = fmt.Sprintf("#%d", n)
		files[fmt.Sprintf("malignant/x1-%d.png", n)] = fmt.Sprintf("#%d", n+20)
	}
	d, err := Open(write(t, files), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if text := words(d); strings.Contains(text, "group-pattern") {
		t.Errorf("hinted at: %s", text)
	}
}

// A column whose name says labels, beside columns of 0 and 1: either may be meant.
func TestRivalColumns(t *testing.T) {
	root := write(t, map[string]string{"data.csv": "image_id,adjudicated_dr_grade,adjudicated_dme,gradable\n1,0,0,1\n2,2,1,1\n3,0,0,0\n4,2,1,1\n",
		"images/1.png": "#1", "images/2.png": "#2", "images/3.png": "#3", "images/4.png": "#4"})
	if _, err := Open(root, Options{}); err == nil || !strings.Contains(err.Error(), `may be the column "adjudicated_dr_grade", or the columns of 0 and 1 adjudicated_dme, gradable`) {
		t.Errorf("got %v", err)
	}
	for want, opt := range map[string]Options{"binary 0=2 2=2": {LabelColumn: "adjudicated_dr_grade"}, "multilabel adjudicated_dme=2 no label=2": {LabelColumns: []string{"adjudicated_dme"}}} {
		d, err := Open(root, opt)
		if err != nil {
			t.Fatal(err)
		}
		if got := summary(d); got != want {
			t.Errorf("%+v: %s, expected %s", opt, got, want)
		}
	}
}
