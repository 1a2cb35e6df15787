package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"melo.example/melo/internal/regular"
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
	// Witness is about the time stamps of the anchor file, if there are any.
	Witness *witnessDocument `json:"witness,omitempty"`
}

// witnessDocument is what an authority attested.
type witnessDocument struct {
	Stamps    int    `json:"stamps"`
	Checked   bool   `json:"checked"` // they come from one of --tsa-ca
	Head      string `json:"head"`    // the last that was attested
	Time      string `json:"time"`    // when, RFC 3339, by the authority's clock
	Authority string `json:"authority"`
}

// witnessed checks time stamps. Without authorities to check them with, what they say of themselves is all that is known.
func (d *auditDocument) witnessed(noted []audit.Anchored, authorities string) error {
	var roots *x509.CertPool
	if authorities != "" {
		text, err := regular.ReadFile(authorities, 1<<20)
		if err != nil {
			return fmt.Errorf("audit: --tsa-ca: %w", err)
		}
		if roots, err = witness.Roots(text); err != nil {
			return fmt.Errorf("audit: --tsa-ca: %s: %w", authorities, err)
		}
	}
	for _, x := range noted {
		if x.Token == nil {
			continue
		}
		stamp, err := witness.Check(x.Token, []byte(x.Head.String()), roots)
		if err != nil {
			return fmt.Errorf("audit: anchor of entry %d: %w", x.Seq, err)
		}
		if d.Witness == nil {
			d.Witness = &witnessDocument{Checked: roots != nil}
		}
		d.Witness.Stamps++
		d.Witness.Head, d.Witness.Time, d.Witness.Authority = x.Head.String(), stamp.Time.Format(time.RFC3339), stamp.Authority
	}
	if d.Witness == nil && authorities != "" {
		return errors.New("audit: the anchor file has no time stamp, and --tsa-ca asks for them")
	}
	return nil
}

// Run verifies.
func (o *auditVerifyOptions) Run(_ context.Context, s *stdio) error {
	var known []audit.Head
	doc := auditDocument{Files: o.Files}
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
		if err := doc.witnessed(heads, o.TSACA); err != nil {
			return badInput(err)
		}
	}
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
	if w := d.Witness; w != nil {
		s.printf("time stamps: %d; the last is of %s, %s, about %.20s...", w.Stamps, w.Time, w.Authority, w.Head)
		if !w.Checked {
			s.printf("note: whether that authority is to be trusted was not checked: give its certificate with --tsa-ca")
		}
	}
	if d.Entries > 0 {
		s.printf("every entry is as it was written, and follows the one before")
	}
	return s.document(d)
}
