package main

import "testing"

func TestRename(t *testing.T) {
	for _, c := range []struct {
		name      string
		do        func(text []byte, old, now string) ([]byte, error)
		text, now string
	}{
		{"imports", renameImports,
			"package p\n\nimport (\n\t\"fmt\"\n\n\t\"a.b/melo\"\n\tx \"a.b/melo/vit\"\n\t\"a.b/melody\"\n)\n\nvar s = \"a.b/melo\"\n",
			"package p\n\nimport (\n\t\"fmt\"\n\n\t\"a.b/melody\"\n\t\"c.d/e/melo\"\n\tx \"c.d/e/melo/vit\"\n)\n\nvar s = \"a.b/melo\"\n"},
		{"module", renameModule, "module a.b/melo/tools/x\n\ngo 1.26\n", "module c.d/e/melo/tools/x\n\ngo 1.26\n"},
		{"proto", renameProto, "option go_package = \"a.b/melo/serve\";\n", "option go_package = \"c.d/e/melo/serve\";\n"},
	} {
		got, err := c.do([]byte(c.text), "a.b/melo", "c.d/e/melo")
		if err != nil || string(got) != c.now {
			t.Errorf("%s: got %q, %v\nwant %q", c.name, got, err, c.now)
		}
	}
}

func TestRefusesPathsThatCannotBeImported(t *testing.T) {
	for _, p := range []string{"melo", "host.org/other", "nodot/melo", "host.org/melo/"} {
		if err := run(p); err == nil {
			t.Errorf("%q was taken", p)
		}
	}
}
