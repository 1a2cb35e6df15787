package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/url"
	"runtime/debug"
	"strings"
)

// bill is a software bill of materials in CycloneDX 1.6, as JSON: what a binary was linked from, read off the binary
// itself.
type bill struct {
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     billMetadata `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type billMetadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	PURL       string     `json:"purl,omitempty"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Licenses   []licence  `json:"licenses,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type licence struct {
	License struct {
		ID string `json:"id"`
	} `json:"license"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn,omitempty"`
}

// newBill describes a binary: its modules, the standard library, and how it was built. Which module needs which is
// not in a binary, so all hang off the program.
func newBill(info *debug.BuildInfo, version, file, digest, stamp string) *bill {
	main := component{Type: "application", Ref: "melo", Name: "melo", Version: version, Hashes: []hash{{"SHA-256", digest}},
		Properties: []property{{"file", file}}}
	var apache licence
	apache.License.ID = "Apache-2.0"
	main.Licenses = []licence{apache}
	for _, s := range info.Settings {
		main.Properties = append(main.Properties, property{"go:build:" + s.Key, s.Value})
	}
	b := &bill{Format: "CycloneDX", SpecVersion: "1.6", Serial: serial(digest), Version: 1, Metadata: billMetadata{stamp, main}}
	goVersion, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ") // "go1.26.8 X:experiment"
	b.Components = append(b.Components, component{Type: "library", Ref: "std", Name: "std", Version: goVersion, PURL: "pkg:golang/std@" + goVersion})
	root := dependency{Ref: main.Ref, DependsOn: []string{"std"}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		purl := "pkg:golang/" + escaped(m.Path) + "@" + url.PathEscape(m.Version)
		b.Components = append(b.Components, component{Type: "library", Ref: purl, Name: m.Path, Version: m.Version, PURL: purl,
			Properties: []property{{"go:sum", m.Sum}}})
		root.DependsOn = append(root.DependsOn, purl)
	}
	b.Dependencies = append(b.Dependencies, root)
	for _, ref := range root.DependsOn {
		b.Dependencies = append(b.Dependencies, dependency{Ref: ref})
	}
	return b
}

// escaped is the path of a module in a package URL.
func escaped(path string) string {
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// serial is a UUID (version 8: of one's own making) that follows from the binary.
func serial(digest string) string {
	u := sha256.Sum256([]byte("melo bill " + digest))
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

func (b *bill) text() ([]byte, error) {
	text, err := json.MarshalIndent(b, "", "  ")
	return append(text, '\n'), err
}
