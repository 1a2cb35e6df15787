package dicom

import (
	"strings"
	"testing"
)

// records makes a DICOMDIR: records of what they name, with a minus before those that are not in use.
func records(names ...string) *File {
	f := &File{Meta: &DataSet{}, Data: &DataSet{}}
	seq := Element{Tag: DirectoryRecordSequence, VR: "SQ"}
	for _, name := range names {
		name, unused := strings.CutPrefix(name, "-")
		flag := []byte{0xFF, 0xFF}
		if unused {
			flag = []byte{0, 0}
		}
		item := &DataSet{elements: []Element{{Tag: RecordInUseFlag, VR: "US", Value: flag}}}
		if name != "" {
			item.elements = append(item.elements, Element{Tag: ReferencedFileID, VR: "CS", Value: []byte(name)})
		}
		seq.Items = append(seq.Items, item)
	}
	f.Data.elements = []Element{seq}
	return f
}

func TestListed(t *testing.T) {
	names, err := Listed(records("", `A\B\IM1 `, `A\B\IM2`, `-A\B\IM3`, `A\B\IM1`, "TOP"))
	if got := strings.Join(names, " "); err != nil || got != "A/B/IM1 A/B/IM2 TOP" {
		t.Errorf("%s, %v", got, err)
	}
	for _, name := range []string{`..\X`, `A\\B`, `A\.\B`, `C:\X`, `A/B`, ""} {
		if names, err := Listed(records(name)); err == nil {
			t.Errorf("%q: %q", name, names)
		}
	}
	if _, err := Listed(&File{Meta: &DataSet{}, Data: &DataSet{}}); err == nil {
		t.Error("an object that is no list")
	}
}
