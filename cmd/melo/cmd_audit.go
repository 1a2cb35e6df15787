package main

import (
	"context"

	"melo.example/melo/report/lines"
	"melo.example/melo/serve/audit"
	"melo.example/melo/serve/audit/witness"
)

// auditOptions holds the subcommands of "melo audit".
type auditOptions struct {
	Verify auditVerifyOptions `cmd:"" help:"Check that no entry of an audit log was changed, removed or inserted."`
}

// Help returns the long help text.
func (auditOptions) Help() string {
	return `Verifies audit logs written by "melo serve --audit-log".

Examples:

    melo audit verify audit.jsonl` + exitHelp
}

// auditVerifyOptions are the options of "melo audit verify".
type auditVerifyOptions struct {
	Head      []string `placeholder:"SEQ:HASH" help:"Head (entry number and hash) that was noted earlier; the log must contain it. The server logs its head when it starts and stops."`
	Anchor    string   `placeholder:"FILE" help:"File of heads that the server wrote (melo serve --audit-anchor); the log must contain them all."`
	TSACA     string   `name:"tsa-ca" placeholder:"FILE" help:"Certificates of time stamp authorities, PEM (melo serve --audit-tsa): every time stamp in the anchor file must come from one of them."`
	FromStart bool     `help:"Require that the log is complete from entry 1."`
	Files     []string `arg:"" name:"file" help:"The log; for a rotated log all its files, oldest first."`
}

// Help returns the long help text.
func (auditVerifyOptions) Help() string {
	return `Reads a log from beginning to end and reports the first entry that was changed. Each entry contains the hash of
the previous one.

A log that was truncated, or rewritten as a whole, is consistent in itself. Detecting this takes a head (entry number
and hash of the last entry) that was stored elsewhere: pass it with --head, or let the server append heads to a file
on another machine (melo serve --audit-anchor) and pass that file with --anchor. If a time stamp authority certified
the heads (melo serve --audit-tsa), --tsa-ca verifies its time stamps. --from-start detects a missing beginning.

Examples:

    melo audit verify audit.jsonl
    melo audit verify audit.jsonl.1 audit.jsonl --head 1204:5f0c...` + exitHelp
}

// Run verifies the log.
func (o *auditVerifyOptions) Run(_ context.Context, s *stdio) error {
	var known []audit.Head
	doc := audit.Document{Files: o.Files}
	for _, text := range o.Head {
		h, err := audit.ParseHead(text)
		if err != nil {
			return usage(err)
		}
		known = append(known, h)
	}
	if o.Anchor != "" {
		heads, err := audit.ReadAnchors(o.Anchor)
		if err != nil {
			return badInput(err)
		}
		for _, h := range heads {
			known = append(known, h.Head)
		}
		if doc.Witness, err = witness.Anchors(heads, o.TSACA); err != nil {
			return badInput(err)
		}
	}
	if err := doc.Verify(known, o.FromStart); err != nil {
		return badInput(err)
	}
	lines.Audit(s.lines(), &doc)
	return s.document(&doc)
}
