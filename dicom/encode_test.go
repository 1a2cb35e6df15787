package dicom

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEncode: what is written reads as it was.
func TestEncode(t *testing.T) {
	for _, syntax := range []UID{ImplicitLittleEndian, ExplicitLittleEndian, ExplicitBigEndian, DeflatedLittleEndian} {
		f := &File{Meta: &DataSet{}, Syntax: syntax, Data: &DataSet{bigEndian: syntax == ExplicitBigEndian}}
		inner := f.Data.Replaced([]Element{NewText(LUTExplanation, "LO", "LUNG")})
		f.Data = f.Data.Replaced([]Element{NewText(Modality, "CS", "MR"), {Tag: VOILUTSequence, VR: "SQ", Items: []*DataSet{inner}}, NewText(PatientName, "PN", "A^B")})
		data, err := Encode(f)
		if err != nil {
			t.Fatal(syntax, err)
		}
		got, err := Parse(data, "x", Limits{})
		if err != nil || got.Syntax != syntax || got.Data.Text(PatientName) != "A^B" || got.Data.Items(VOILUTSequence)[0].Text(LUTExplanation) != "LUNG" {
			t.Errorf("%s: %v %#v", syntax, err, got)
		}
	}
}

// TestEncodeCorpus writes every real object anew and compares what both say.
func TestEncodeCorpus(t *testing.T) {
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("no corpus")
	}
	err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".csv") {
			return err
		}
		f, err := Open(path)
		if err != nil {
			return nil
		}
		data, err := Encode(f)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		again, err := Parse(data, path, Limits{})
		if err != nil {
			t.Errorf("%v", err)
			return nil
		}
		var a, b bytes.Buffer
		_ = Dump(&a, &File{Meta: &DataSet{}, Data: f.Data.withoutLengths()})
		_ = Dump(&b, &File{Meta: &DataSet{}, Data: again.Data.withoutLengths()})
		if f.Syntax != again.Syntax || a.String() != b.String() {
			t.Errorf("%s: %s\nbecame %s\n%s", path, f.Syntax, again.Syntax, firstDifference(a.String(), b.String()))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// withoutLengths leaves out lengths of groups, which are not written again.
func (d *DataSet) withoutLengths() *DataSet {
	var list []Element
	for _, e := range d.elements {
		if e.Tag.Element() == 0 {
			continue
		}
		var items []*DataSet
		for _, i := range e.Items {
			items = append(items, i.withoutLengths())
		}
		e.Items = items
		list = append(list, e)
	}
	return d.Replaced(list)
}

func firstDifference(a, b string) string {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(la), len(lb)) {
		if la[i] != lb[i] {
			return la[i] + "\n" + lb[i]
		}
	}
	return "one is longer"
}
