// Package buildinfo says which program this is: its version, and the commit that it was built from.
package buildinfo

import (
	"runtime"
	"runtime/debug"
)

// Version is the number of the release, changed with CHANGELOG.md.
const Version = "0.1.0-dev"

// Notice stands wherever a result is shown.
const Notice = "research software, not a medical device"

// From is the commit of a release, which package main sets: there the toolchain stamps nothing.
var From string

// Program is what stands about the program in records and documents.
type Program struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // commit that the binary was built from
	Modified bool   `json:"modified"`           // the tree had changes beyond the commit
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// This returns the running program.
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
