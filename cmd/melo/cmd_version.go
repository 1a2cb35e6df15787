package main

import "melo.example/melo/internal/buildinfo"

// versionOptions are the options of "melo version", which has none.
type versionOptions struct{}

// Help returns the long help text.
func (versionOptions) Help() string {
	return `Examples:

    melo version
    melo --json version` + exitHelp
}

// Run prints the version.
func (versionOptions) Run(s *stdio) error {
	doc := buildinfo.This()
	state := ""
	if doc.Modified {
		state = " (modified)"
	}
	s.printf("melo %s  %s%s  %s %s/%s", doc.Version, doc.Short(), state, doc.Go, doc.OS, doc.Arch)
	return s.document(doc)
}
