package main

import (
	"runtime"
	"runtime/debug"
)

// version is the number of the release, changed with CHANGELOG.md.
const version = "0.1.0-dev"

// builtFrom is the commit of a release, which its build sets: there the toolchain stamps nothing.
var builtFrom string

// versionOptions are the options of "melo version": none.
type versionOptions struct{}

// Help is the long help text.
func (versionOptions) Help() string {
	return `Examples:

    melo version
    melo --json version` + exitHelp
}

// versionDocument is the --json document of "melo version".
type versionDocument struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // commit that the binary was built from
	Modified bool   `json:"modified"`           // the tree had changes beyond the commit
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Run prints the version.
func (versionOptions) Run(s *stdio) error {
	doc := versionNow()
	state := ""
	if doc.Modified {
		state = " (modified)"
	}
	s.printf("melo %s  %s%s  %s %s/%s", doc.Version, shortRevision(doc.Revision), state, doc.Go, doc.OS, doc.Arch)
	return s.document(doc)
}

func versionNow() versionDocument {
	doc := versionDocument{Version: version, Revision: builtFrom, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, v := range info.Settings {
			switch v.Key {
			case "vcs.revision":
				doc.Revision = v.Value
			case "vcs.modified":
				doc.Modified = v.Value == "true"
			}
		}
	}
	return doc
}

func shortRevision(r string) string {
	if r == "" {
		return "(no revision)"
	}
	return r[:min(len(r), 12)]
}
