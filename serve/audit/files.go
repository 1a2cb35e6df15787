package audit

import (
	"errors"
	"fmt"
	"time"

	"melo.example/melo/internal/regular"
)

// Document is the result of verifying the files of a log, oldest first, and the --json document of "melo audit
// verify".
type Document struct {
	Files     []string `json:"files"`
	Entries   uint64   `json:"entries"`
	First     uint64   `json:"first"`
	Head      string   `json:"head"`
	From      string   `json:"from"` // RFC 3339
	To        string   `json:"to"`
	Backwards uint64   `json:"backwards"`
	Torn      int      `json:"torn_bytes"`
	// Witness describes the time stamps in the anchor file, if there are any.
	Witness *Attestation `json:"witness,omitempty"`
}

// Attestation is what a time stamp authority attested.
type Attestation struct {
	Stamps    int    `json:"stamps"`
	Checked   bool   `json:"checked"` // the authority's certificate was issued by one of --tsa-ca
	Head      string `json:"head"`    // the last attested head
	Time      string `json:"time"`    // its time, RFC 3339, by the authority's clock
	Authority string `json:"authority"`
}

// Verify verifies the files of the document and fills in the result. The log must contain the known heads and,
// with fromStart, its first entry. The error names the first entry that was changed.
func (d *Document) Verify(known []Head, fromStart bool) error {
	var after *Head
	if fromStart {
		start := Start
		after = &start
	}
	for i, path := range d.Files {
		rep, err := verifyFile(path, after, known)
		if err == nil && rep.Torn > 0 && i < len(d.Files)-1 {
			err = fmt.Errorf("audit: %s: %d bytes after the last whole entry, and yet another file follows", path, rep.Torn)
		}
		if err != nil {
			return err
		}
		if rep.Entries > 0 && d.Entries == 0 {
			d.First, d.From = rep.First, rep.From.Format(time.RFC3339Nano)
		}
		if rep.Entries > 0 {
			d.To = rep.To.Format(time.RFC3339Nano)
		}
		d.Entries, d.Backwards, d.Torn = d.Entries+rep.Entries, d.Backwards+rep.Backwards, rep.Torn
		head := rep.Head
		if rep.Entries > 0 || after != nil {
			after, d.Head = &head, head.String()
		}
	}
	for _, h := range known {
		if after == nil || after.Seq < h.Seq || after.Seq == 0 && h.Seq > 0 {
			return fmt.Errorf("audit: %s: ends before entry %d, whose head was noted: its end was cut off", d.Files[len(d.Files)-1], h.Seq)
		}
	}
	return nil
}

func verifyFile(path string, after *Head, known []Head) (Report, error) {
	f, err := regular.Open(path)
	if err != nil {
		return Report{}, fmt.Errorf("audit: %w", err)
	}
	defer f.Close()
	rep, err := Verify(f, after, known...)
	var broken *BrokenError
	if errors.As(err, &broken) {
		broken.Name = path
	} else if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return rep, err
}
