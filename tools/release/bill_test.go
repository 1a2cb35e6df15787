package main

import (
	"encoding/json"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

func TestBill(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.8 X:something", Deps: []*debug.Module{
		{Path: "example.org/a/b", Version: "v1.2.3", Sum: "h1:x="},
		{Path: "example.org/old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/new", Version: "v2.0.0+incompatible", Sum: "h1:y="}},
	}, Settings: []debug.BuildSetting{{Key: "GOOS", Value: "linux"}}}
	digest := strings.Repeat("ab", 32)
	text, err := newBill(info, "1.0.0", "melo_x", digest, "2026-01-02T03:04:05Z").text()
	if err != nil {
		t.Fatal(err)
	}
	var b bill
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	var purls []string
	for _, c := range b.Components {
		purls = append(purls, c.PURL)
	}
	want := "pkg:golang/std@1.26.8 pkg:golang/example.org/a/b@v1.2.3 pkg:golang/example.org/new@v2.0.0+incompatible"
	if got := strings.Join(purls, " "); got != want {
		t.Errorf("components %s, want %s", got, want)
	}
	if len(b.Dependencies) != 4 || len(b.Dependencies[0].DependsOn) != 3 {
		t.Errorf("dependencies %+v", b.Dependencies)
	}
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(b.Serial) {
		t.Errorf("serial number %s", b.Serial)
	}
	again, err := newBill(info, "1.0.0", "melo_x", digest, "2026-01-02T03:04:05Z").text()
	if err != nil || string(again) != string(text) {
		t.Errorf("the bill is not the same again: %v", err)
	}
}
