package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"melo.example/melo/convert"
	"melo.example/melo/demo"
	"melo.example/melo/experiment"
	"melo.example/melo/inspect"
	"melo.example/melo/internal/buildinfo"
	config "melo.example/melo/internal/settings"
	"melo.example/melo/predictions"
	"melo.example/melo/report/card"
	"melo.example/melo/serve/access"
	"melo.example/melo/serve/audit"
	"melo.example/melo/serve/host"
	"melo.example/melo/train/pretrain"
)

// documents are the types that commands print with --json, by the heading in docs/json.md.
var documents = map[string]any{
	"Errors":                    errorDocument{},
	"melo version":              buildinfo.Program{},
	"melo demo":                 demo.Document{},
	"melo data":                 experiment.DataDocument{},
	"melo train":                experiment.Result{},
	"melo sweep":                experiment.SweepResult{},
	"melo eval":                 experiment.EvaluationDocument{},
	"melo compare --shots":      experiment.ShotsDocument{},
	"melo card":                 card.Document{},
	"melo compare":              experiment.ComparisonDocument{},
	"melo compare --adapters":   experiment.ExistingDocument{},
	"melo predict":              predictions.Document{},
	"melo ensemble":             ensembleDocument{},
	"melo explain":              explainDocument{},
	"melo features":             featuresDocument{},
	"melo serve":                host.Document{},
	"melo serve --print-config": config.Document{},
	"melo token new":            access.Issued{},
	"melo audit verify":         audit.Document{},
	"melo inspect":              inspect.Document{},
	"melo convert":              convert.Document{},
	"melo pretrain":             pretrain.Record{},
	"melo bench":                benchDocument{},
	"melo doctor":               doctorDocument{},
	"melo completion":           completionDocument{},
}

// fields lists the paths of a document's fields: "machine.cores", "rows[].name".
func fields(t reflect.Type, prefix string) []string {
	switch t.Kind() {
	case reflect.Pointer:
		return fields(t.Elem(), prefix)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return fields(t.Elem(), prefix+"[]")
		}
	case reflect.Struct:
		var all []string
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() && !f.Anonymous { // fields of an embedded struct are printed whatever its name
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			if f.Anonymous && name == "" {
				all = append(all, fields(f.Type, prefix)...)
				continue
			}
			if prefix != "" {
				name = prefix + "." + name
			}
			all = append(all, fields(f.Type, name)...)
		}
		return all
	}
	return []string{prefix}
}

// documented returns the names in backquotes of the section under a heading, and whether it refers to
// another document for a field.
func documented(t *testing.T, heading string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Errorf("docs/json.md has no section %q", heading)
		return nil
	}
	section, _, _ = strings.Cut(section, "\n## ")
	names := map[string]bool{}
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cell, _, _ := strings.Cut(line[1:], "|")
		for i, part := range strings.Split(cell, "`") {
			if i%2 == 1 {
				names[part] = true
			}
		}
	}
	return names
}

// covered reports whether a field, or the document it is part of, is listed.
func covered(names map[string]bool, field string) bool {
	for {
		if names[field] {
			return true
		}
		i := strings.LastIndexByte(field, '.')
		if i < 0 {
			return false
		}
		field = strings.TrimSuffix(field[:i], "[]")
	}
}

func TestJSONDocumentsAreDocumented(t *testing.T) {
	for heading, doc := range documents {
		names := documented(t, heading)
		all := fields(reflect.TypeOf(doc), "")
		for _, f := range all {
			if !covered(names, f) {
				t.Errorf("docs/json.md, section %q, does not list the field %q", heading, f)
			}
		}
		for name := range names {
			found := false
			for _, f := range all {
				found = found || f == name || strings.HasPrefix(f, name+".") || strings.HasPrefix(f, name+"[]")
			}
			if !found {
				t.Errorf("docs/json.md, section %q, lists %q, which is not printed", heading, name)
			}
		}
	}
}
