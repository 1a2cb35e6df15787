package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"melo.example/melo/internal/regular"
	"melo.example/melo/serve/audit"
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
	FromStart bool     `help:"The log must have its beginning: entry 1."`
	Files     []string `arg:"" name:"file" help:"Log, or the files of a log that was moved away now and then, the oldest first."`
}

// Help is the long help text.
func (auditVerifyOptions) Help() string {
	return `Reads a log from beginning to end and names the first entry that is not as it was written. A log that was
cut off at its end, or written anew as a whole, is found out only by a head that was noted elsewhere: give it with
--head, or let the server note heads in a file that others keep (--audit-anchor), and give that with --anchor. A log whose
beginning was taken away is found out by --from-start.

Examples:

    melo audit verify audit.jsonl
    melo audit verify audit.jsonl.1 audit.jsonl --head 1204:5f0c...` + exitHelp
}

// auditDocument is the --json document of "melo audit verify".
type auditDocument struct {
	Files     []string `json:"files"`
	Entries   uint64   `json:"entries"`
	First     uint64   `json:"first"`
	Head      string   `json:"head"`
	From      string   `json:"from"` // RFC 3339
	To        string   `json:"to"`
	Backwards uint64   `json:"backwards"`
	Torn      int      `json:"torn_bytes"`
}

// Run verifies.
func (o *auditVerifyOptions) Run(_ context.Context, s *stdio) error {
	var known []audit.Head
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
		known = append(known, heads...)
	}
	doc := auditDocument{Files: o.Files}
	var after *audit.Head
	if o.FromStart {
		start := audit.Start
		after = &start
	}
	for i, path := range o.Files {
		rep, err := verifyFile(path, after, known)
		if err == nil && rep.Torn > 0 && i < len(o.Files)-1 {
			err = fmt.Errorf("audit: %s: %d bytes after the last whole entry, and yet another file follows", path, rep.Torn)
		}
		if err != nil {
			return badInput(err)
		}
		if rep.Entries > 0 && doc.Entries == 0 {
			doc.First, doc.From = rep.First, rep.From.Format(time.RFC3339Nano)
		}
		if rep.Entries > 0 {
			doc.To = rep.To.Format(time.RFC3339Nano)
		}
		doc.Entries, doc.Backwards, doc.Torn = doc.Entries+rep.Entries, doc.Backwards+rep.Backwards, rep.Torn
		head := rep.Head
		if rep.Entries > 0 || after != nil {
			after, doc.Head = &head, head.String()
		}
	}
	for _, h := range known {
		if after == nil || after.Seq < h.Seq || after.Seq == 0 && h.Seq > 0 {
			return badInput(fmt.Errorf("audit: %s: ends before entry %d, whose head was noted: its end was cut off", o.Files[len(o.Files)-1], h.Seq))
		}
	}
	return doc.print(s)
}

func verifyFile(path string, after *audit.Head, known []audit.Head) (audit.Report, error) {
	f, err := regular.Open(path)
	if err != nil {
		return audit.Report{}, fmt.Errorf("audit: %w", err)
	}
	defer f.Close()
	rep, err := audit.Verify(f, after, known...)
	var broken *audit.BrokenError
	if errors.As(err, &broken) {
		broken.Name = path
	} else if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return rep, err
}

func (d *auditDocument) print(s *stdio) error {
	if d.Entries == 0 {
		s.printf("no entries")
	} else {
		s.printf("%d entries, %d to %s", d.Entries, d.First, d.Head)
		s.printf("from %s to %s", d.From, d.To)
	}
	if d.First > 1 {
		s.printf("note: it continues an earlier file: entries before %d are not here", d.First)
	}
	if d.Backwards > 0 {
		s.printf("note: the clock was set back before %d entries; their numbers have the order", d.Backwards)
	}
	if d.Torn > 0 {
		s.printf("note: %d bytes after the last whole entry: a server that writes now, or one that crashed", d.Torn)
	}
	if d.Entries > 0 {
		s.printf("every entry is as it was written, and follows the one before")
	}
	return s.document(d)
}
