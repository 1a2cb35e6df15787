package table

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

func utf16Of(text string, big bool) string {
	out := []byte{0xff, 0xfe}
	if big {
		out = []byte{0xfe, 0xff}
	}
	for _, u := range utf16.Encode([]rune(text)) {
		if big {
			out = append(out, byte(u>>8), byte(u))
		} else {
			out = append(out, byte(u), byte(u>>8))
		}
	}
	return string(out)
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

// TestParse: the same table in every dress.
func TestParse(t *testing.T) {
	for name, c := range map[string]struct{ file, text string }{
		"bars":           {"x.csv", "path|label\na.png|é\nb.png|n\n"},
		"old Mac":        {"x.csv", "path,label\ra.png,é\rb.png,n\r"},
		"emptied rows":   {"x.csv", "path,label\na.png,é\n,\n  \nb.png,n\n,,\n"},
		"plain":          {"x.csv", "path,label\na.png,é\nb.png,n\n"},
		"mark":           {"x.csv", "\xef\xbb\xbfpath,label\r\na.png,é\r\nb.png,n\r\n"},
		"semicolons":     {"x.csv", "path;label\na.png; é \nb.png;n"},
		"tabs":           {"x.tsv", "path\tlabel\na.png\té\nb.png\tn\n"},
		"little endian":  {"x.csv", utf16Of("path,label\na.png,é\nb.png,n\n", false)},
		"big endian":     {"x.csv", utf16Of("path,label\na.png,é\nb.png,n\n", true)},
		"Latin-1":        {"x.csv", "path,label\na.png,\xe9\nb.png,n\n"},
		"trailing":       {"x.csv", "path,label,,\na.png,é,,\nb.png,n,,\n"},
		"trailing below": {"x.csv", "path,label\na.png,é,,\nb.png,n,\n"},
		"trailing above": {"x.csv", "path,label,\na.png,é\nb.png,n\n"},
		"Excel":          {"x.csv", "sep=;\npath;label\na.png;é\nb.png;n\n"},
		"packed":         {"x.csv.gz", zipped("path,label\na.png,é\nb.png,n\n")},
		"lines":          {"x.jsonl", `{"path": "a.png", "label": "é"}` + "\n\n" + `{"label": "n", "path": "b.png"}`},
	} {
		tab, err := Parse([]byte(c.text), c.file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := fmt.Sprint(tab.Header, tab.Rows); got != "[path label] [[a.png é] [b.png n]]" {
			t.Errorf("%s: %s", name, got)
		}
		if dressed := strings.Contains(name, "endian") || name == "Latin-1"; dressed != (len(tab.Notes) == 1) {
			t.Errorf("%s: notes %q", name, tab.Notes)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"short row":   {"x.csv", "a,b\n1\n", "line 2 has 1 fields, the header 2"},
		"long row":    {"x.csv", "a,b\n1,2,3\n", "line 2 has 3 fields"},
		"two names":   {"x.csv", "a,a\n1,2\n", `two columns are named "a"`},
		"no rows":     {"x.csv", "a,b\n", "no rows"},
		"no code":     {"x.csv", "a,b\n\x81,\xff\n", "neither UTF-8 nor Windows-1252"},
		"GBK":         {"x.csv", "path,label\na.png,\xc1\xbc\xd0\xd4\nb.png,\xb6\xf1\xd0\xd4\n", "looks like neither Latin-1"},
		"one sign":    {"x.csv", "path,sex\na.png,\xc4\xd0\nb.png,\xc5\xae\n", "looks like neither Latin-1"},
		"Cyrillic":    {"x.csv", "path,label\na.png,\xed\xee\xf0\xec\xe0\n", "looks like neither Latin-1"},
		"Mac":         {"x.csv", "path,label\na.png,b\x8enin\nb.png,malin\n", "looks like neither Latin-1"},
		"DOS":         {"x.csv", "path,label\na.png,b\x82nin\nb.png,malin\n", "looks like neither Latin-1"},
		"binary":      {"x.csv", "a,b\n\x00,1\n", "zero bytes"},
		"no object":   {"x.jsonl", "[1]\n", "line 1: expected an object"},
		"half a line": {"x.jsonl", `{"a": 1`, "line 1"},
		"no gzip":     {"x.csv.gz", "a,b\n1,2\n", "gzip"},
	} {
		if _, err := Parse([]byte(c.text), c.file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
}

// TestSeparators: what all lines have equally often separates them, whatever the header has besides.
func TestSeparators(t *testing.T) {
	for text, want := range map[string]string{
		"file;label;size[w,h]\na.png;x;\"1,2\"\nb.png;y;\"3,4\"\n": `["file" "label" "size[w,h]"]`,
		"file\tlabel (x,y)\na.png\tx\nb.png\ty\n":                  `["file" "label (x,y)"]`,
		"file,a|b\na.png,x|y|z\nb.png,y\n":                         `["file" "a|b"]`,
		"file,label,\na.png,\"x;y\"\nb.png,y\n":                    `["file" "label"]`,
		"file\na.png\n":                                            `["file"]`,
	} {
		tab, err := Parse([]byte(text), "x.csv")
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got := fmt.Sprintf("%q", tab.Header); got != want {
			t.Errorf("%q: %s, expected %s", text, got, want)
		}
	}
}

// TestWestern: letters with marks as they stand in words of western languages are read.
func TestWestern(t *testing.T) {
	for _, word := range []string{"Gr\xf6\xdfe", "b\xe9nin", "na\xefve", "\xc9tat", "cr\xe9\xe9", "100 \xb0C", "l\x92\xe9tat", "\xb5m", "2\xd72", "a \x96 b"} {
		tab, err := Parse([]byte("file,label\na.png,"+word+"\n"), "x.csv")
		if err != nil || len(tab.Notes) != 1 {
			t.Errorf("%q: %v", word, err)
		}
	}
}

// TestLines: lists, numbers and what is not there.
func TestLines(t *testing.T) {
	tab, err := Parse([]byte(`{"a": ["x", "y"], "b": 1.50, "c": null}`+"\n"+`{"d": true, "a": []}`), "m.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%q %q", tab.Header, tab.Rows); got != `["a" "b" "c" "d"] [["x|y" "1.50" "" ""] ["[]" "" "" "true"]]` {
		t.Error(got)
	}
}

func TestWhere(t *testing.T) {
	parse := func() *Table {
		tab, err := Parse([]byte("view,site\nPA,1\nAP,1\nPA,2\n"), "x.csv")
		if err != nil {
			t.Fatal(err)
		}
		return tab
	}
	tab := parse()
	if err := tab.Where([]string{"view=PA", "site!=1"}); err != nil || len(tab.Rows) != 1 || tab.Lines[0] != 4 {
		t.Errorf("%v, %v", tab, err)
	}
	for _, c := range []struct{ condition, want string }{{"view", "expected COLUMN=VALUE"}, {"x=1", `no column "x"`}, {"view=LL", "the column has AP, PA"}} {
		if err := parse().Where([]string{c.condition}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.condition, err)
		}
	}
}

// TestWideTables: this takes a moment; where every name is compared with every other it takes minutes.
func TestWideTables(t *testing.T) {
	wide := func(n int) []byte {
		var b strings.Builder
		for _, cell := range []string{"c%d", "0%.0d", "1%.0d"} {
			for i := range n {
				fmt.Fprintf(&b, cell+",", i)
			}
			b.WriteString("\n")
		}
		return []byte(b.String())
	}
	tab, err := Parse(wide(200_000), "wide.csv")
	if err != nil || len(tab.Header) != 200_000 {
		t.Fatal(err)
	}
}

// FuzzParse demands rows that all fit the header, or an error.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"path,label\n1.png,a\n", "\xef\xbb\xbfa;b\n1;2\n", "a\tb\n\"x\ny\"\t1\n", ",,\n", "\"", "a\r\nb\r\n", "a,,\n1,,\n2,x,\n",
		utf16Of("a,b\n1,2\n", true), "a\n\xe9\n"} {
		f.Add([]byte(s), false)
	}
	f.Add([]byte(`{"a": [1, "x"]}`+"\n{}"), true)
	f.Fuzz(func(t *testing.T, data []byte, lines bool) {
		name := "x.csv"
		if lines {
			name = "x.jsonl"
		}
		tab, err := Parse(data, name)
		if err != nil {
			return
		}
		for i, row := range tab.Rows {
			if len(row) != len(tab.Header) || tab.Lines[i] < 1 {
				t.Fatalf("row %d: %q at %d under %q", i, row, tab.Lines[i], tab.Header)
			}
		}
	})
}
