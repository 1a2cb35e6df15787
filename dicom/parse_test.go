package dicom

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

func TestSyntaxes(t *testing.T) {
	for _, syntax := range []UID{ImplicitLittleEndian, ExplicitLittleEndian, ExplicitBigEndian, JPEG2000} {
		b := newBuilder(syntax).text(Modality, "CS", "CT").word(Rows, "US", 512).text(RescaleSlope, "DS", "0.5")
		f, err := Parse(b.b, "x", Limits{})
		if err != nil {
			t.Fatalf("%s: %v", syntax, err)
		}
		rows, err1 := f.Data.Int(Rows)
		slope, err2 := f.Data.Float(RescaleSlope)
		if f.Syntax != syntax || f.Data.Text(Modality) != "CT" || rows != 512 || slope != 0.5 || err1 != nil || err2 != nil {
			t.Errorf("%s: %v %q %d %g %v %v", syntax, f.Syntax, f.Data.Text(Modality), rows, slope, err1, err2)
		}
		if len(f.Notes) != 0 {
			t.Errorf("%s: notes %q", syntax, f.Notes)
		}
	}
}

func TestSequences(t *testing.T) {
	for _, implicit := range []bool{false, true} {
		for _, open := range []bool{false, true} {
			syntax := ExplicitLittleEndian
			if implicit {
				syntax = ImplicitLittleEndian
			}
			inner := &builder{implicit: implicit, order: binary.LittleEndian}
			inner.text(LUTExplanation, "LO", "LUNG")
			b := newBuilder(syntax)
			if open {
				b.head(VOILUTSequence, "SQ", undefined)
				b.head(itemTag, "", undefined)
				b.b = append(b.b, inner.b...)
				b.head(itemEndTag, "", 0)
				b.head(sequenceEndTag, "", 0)
			} else {
				b.head(VOILUTSequence, "SQ", uint32(8+len(inner.b)))
				b.head(itemTag, "", uint32(len(inner.b)))
				b.b = append(b.b, inner.b...)
			}
			b.word(PixelData, "OW", 7)
			f, err := Parse(b.b, "x", Limits{})
			if err != nil {
				t.Fatal(implicit, open, err)
			}
			items := f.Data.Items(VOILUTSequence)
			if len(items) != 1 || items[0].Text(LUTExplanation) != "LUNG" || len(f.Data.Bytes(PixelData)) != 2 {
				t.Errorf("implicit %v, open %v: %+v", implicit, open, f.Data)
			}
		}
	}
}

func TestFragments(t *testing.T) {
	b := newBuilder(JPEGBaseline)
	b.head(PixelData, "OB", undefined)
	for _, frag := range []string{"", "abcd", "ef"} {
		b.head(itemTag, "", uint32(len(frag)))
		b.b = append(b.b, frag...)
	}
	b.head(sequenceEndTag, "", 0)
	f, err := Parse(b.b, "x", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got := f.Data.Find(PixelData).Fragments
	if len(got) != 3 || string(got[1]) != "abcd" || string(got[2]) != "ef" {
		t.Errorf("%q", got)
	}
	if _, err := Parse(b.b[:len(b.b)-9], "x", Limits{}); !errors.Is(err, ErrTruncated) {
		t.Errorf("cut inside a fragment: %v", err)
	}
}

// TestSalvaged: files that depart from the standard as real ones do are read, and the note says how.
func TestSalvaged(t *testing.T) {
	good := newBuilder(ExplicitLittleEndian).text(Modality, "CS", "MR").b
	claims := newBuilder(ExplicitLittleEndian)
	claims.implicit = true
	claims.text(Modality, "CS", "MR")
	bare := &builder{order: binary.BigEndian}
	bare.text(Modality, "CS", "MR")
	swapped := newBuilder(ExplicitLittleEndian).text(StudyInstanceUID, "UI", "1.2").text(Modality, "CS", "MR").b
	twice := newBuilder(ExplicitLittleEndian).text(Modality, "CS", "CT").text(Modality, "CS", "MR").b
	for name, data := range map[string][]byte{
		"no preamble": good[132:], "mark at the beginning": good[128:], "implicit under explicit": claims.b,
		"bare big endian": bare.b, "out of order": swapped, "twice": twice,
	} {
		f, err := Parse(data, "x", Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if f.Data.Text(Modality) != "MR" {
			t.Errorf("%s: modality %q", name, f.Data.Text(Modality))
		}
		if name != "out of order" && name != "twice" && len(f.Notes) == 0 {
			t.Errorf("%s: nothing was said", name)
		}
	}
}

func TestDeflated(t *testing.T) {
	plain := newBuilder(ExplicitLittleEndian)
	start := len(plain.b)
	plain.text(Modality, "CS", "US").put(PixelData, "OW", make([]byte, 1<<16))
	var z bytes.Buffer
	w, err := flate.NewWriter(&z, 9)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain.b[start:]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data := append(newBuilder(DeflatedLittleEndian).b, z.Bytes()...)
	f, err := Parse(data, "x", Limits{})
	if err != nil || f.Data.Text(Modality) != "US" || len(f.Data.Bytes(PixelData)) != 1<<16 {
		t.Fatal(err)
	}
	if _, err := Parse(data, "x", Limits{MaxInflatedBytes: 1 << 15}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a bomb: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	deep := newBuilder(ExplicitLittleEndian)
	for range 100 {
		deep.head(VOILUTSequence, "SQ", undefined)
		deep.head(itemTag, "", undefined)
	}
	many := newBuilder(ExplicitLittleEndian)
	for i := range 200 {
		many.put(Tag(0x00090000+i), "OB", nil)
	}
	for name, c := range map[string]struct {
		data []byte
		lim  Limits
		want error
	}{
		"empty":          {nil, Limits{}, ErrNotDICOM},
		"a PNG":          {[]byte("\x89PNG\r\n\x1a\n0000000000000000"), Limits{}, ErrNotDICOM},
		"depth":          {deep.b, Limits{MaxDepth: 16}, ErrTooLarge},
		"elements":       {many.b, Limits{MaxElements: 100}, ErrTooLarge},
		"file size":      {many.b, Limits{MaxFileBytes: 100}, ErrTooLarge},
		"claims 4 GB":    {newBuilder(ExplicitLittleEndian).b[:132:132], Limits{}, nil},
		"value too long": {binary.LittleEndian.AppendUint32(append(newBuilder(ExplicitLittleEndian).b, "\x09\x00\x10\x10OB\x00\x00"...), 0xFFFFFFF0), Limits{}, ErrTruncated},
	} {
		_, err := Parse(c.data, "the name", c.lim)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err != nil && !strings.Contains(err.Error(), "the name") {
			t.Errorf("%s: %v does not name the file", name, err)
		}
	}
}

func TestCharacterSets(t *testing.T) {
	for _, c := range []struct{ set, bytes, want string }{
		{"ISO_IR 100", "Buc^J\xe9r\xf4me", "Buc^Jérôme"},
		{"ISO_IR 144", "\xbb\xee\xda", "Люк"},
		{"ISO_IR 192", "Wang^XiaoDong=王^小東", "Wang^XiaoDong=王^小東"},
		{"GB18030", "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东"},
		{`\ISO 2022 IR 87`, "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou=山田^太郎"},
		{`\ISO 2022 IR 149`, "Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong^Gildong=洪^吉洞"},
		{"ISO 2022 IR 13\\ISO 2022 IR 87", "\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"},
	} {
		b := newBuilder(ExplicitLittleEndian).text(SpecificCharacterSet, "CS", c.set).text(PatientName, "PN", c.bytes)
		f, err := Parse(b.b, "x", Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Data.Text(PatientName); got != c.want {
			t.Errorf("%s: got %q, want %q", c.set, got, c.want)
		}
	}
}

func TestRegistry(t *testing.T) {
	if len(registry().exact) < 5000 || len(registry().repeating) < 50 {
		t.Fatal(len(registry().exact), len(registry().repeating))
	}
	for text, want := range map[string]Tag{"Rows": Rows, "00280010": Rows, "(7fe0,0010)": PixelData} {
		if got, ok := Keyword(text); !ok || got != want {
			t.Errorf("%s: %v %v", text, got, ok)
		}
	}
	if _, ok := Keyword("nothing"); ok {
		t.Error("an unknown keyword was found")
	}
	if Tag(0x60020010).Name() != "OverlayRows" || Tag(0x00091010).Name() != "Private" {
		t.Error(Tag(0x60020010).Name(), Tag(0x00091010).Name())
	}
	if JPEG2000.Name() == "" {
		t.Error("transfer syntaxes have no names")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(newBuilder(ExplicitLittleEndian).text(Modality, "CS", "CT").word(Rows, "US", 1).b)
	b := newBuilder(ImplicitLittleEndian)
	b.head(VOILUTSequence, "SQ", undefined)
	b.head(itemTag, "", undefined)
	b.head(sequenceEndTag, "", 0)
	f.Add(b.b)
	f.Add(newBuilder(ExplicitBigEndian).text(SpecificCharacterSet, "CS", `\ISO 2022 IR 87`).text(PatientName, "PN", "\x1b$B;3").b)
	e := newBuilder(JPEGBaseline)
	e.head(PixelData, "OB", undefined)
	e.head(itemTag, "", 0)
	e.head(sequenceEndTag, "", 0)
	f.Add(e.b)
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data, "x", Limits{MaxInflatedBytes: 1 << 20, MaxElements: 1 << 12})
		if err != nil && file != nil && !errors.Is(err, ErrTruncated) {
			t.Fatal("a file beside another error:", err)
		}
		if file == nil {
			return
		}
		var text bytes.Buffer
		if err := Dump(&text, file); err != nil {
			t.Fatal(err)
		}
		for _, e := range file.Data.Elements() {
			_, _ = file.Data.Floats(e.Tag)
			_, _ = file.Data.Ints(e.Tag)
		}
	})
}
