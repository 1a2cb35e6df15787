package main

import (
	"context"

	"melo.example/melo/report/lines"
	"melo.example/melo/serve/audit"
	"melo.example/melo/serve/audit/witness"
)

// auditOptions are the commands about audit logs.
type auditOptions struct {
	Verify auditVerifyOptions `cmd:"" help:"Check that nothing in an audit log was changed, taken out or put in."`
}

// Help is the long help text.
func (auditOptions) Help() string {
	return `Looks after the audit logs of "melo serve --audit-log".

Examples:

    melo audit verify audit.jsonl` + exitHelp
}

// auditVerifyOptions are the options of "melo audit verify".
type auditVerifyOptions struct {
	Head      []string `placeholder:"SEQ:HASH" help:"A head that was noted earlier; the log must have it. The server logs its head when it starts and stops."`
	Anchor    string   `placeholder:"FILE" help:"Heads that the server noted (melo serve --audit-anchor); the log must have them all."`
	TSACA     string   `name:"tsa-ca" placeholder:"FILE" help:"Authorities of time stamps (melo serve --audit-tsa), PEM: every time stamp of the anchor file must come from one of them."`
	FromStart bool     `help:"The log must have its beginning: entry 1."`
	Files     []string `arg:"" name:"file" help:"Log, or the files of a log that was moved away now and then, the oldest first."`
}

// Help is the long help text.
func (auditVerifyOptions) Help() string {
	return `Reads a log from beginning to end and names the first entry that is not as it was written. A log that was
cut off at its end, or written anew as a whole, is found out only by a head that was noted elsewhere: give it with
--head, or let the server note heads in a file that others keep (--audit-anchor), and give that with --anchor. Where a time
stamp authority attested heads (--audit-tsa), --tsa-ca checks what it said: nobody can attest yesterday's log today. A log whose
beginning was taken away is found out by --from-start.

Examples:

    melo audit verify audit.jsonl
    melo audit verify audit.jsonl.1 audit.jsonl --head 1204:5f0c...` + exitHelp
}

// Run verifies.
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
