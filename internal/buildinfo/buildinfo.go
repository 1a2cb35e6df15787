// Package buildinfo identifies the program: its version, and the commit it was built from.
package buildinfo

import (
	"runtime"
	"runtime/debug"
)

// Version is the release number. Change it together with CHANGELOG.md.
const Version = "0.1.0-dev"

// Notice is shown with every result.
const Notice = "research software, not a medical device"

// From is the commit of a release, set by package main, because the toolchain does not record it there.
var From string

// Program identifies the program in records and documents.
type Program struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // commit that the binary was built from
	Modified bool   `json:"modified"`           // the source differed from the commit
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// This describes the running program.
func This() Program {
	p := Program{Version: Version, Revision: From, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, v := range info.Settings {
			switch v.Key {
			case "vcs.revision":
				p.Revision = v.Value
			case "vcs.modified":
				p.Modified = v.Value == "true"
			}
		}
	}
	return p
}

// Short returns the first digits of the revision.
func (p Program) Short() string {
	if p.Revision == "" {
		return "(no revision)"
	}
	return p.Revision[:min(len(p.Revision), 12)]
}
