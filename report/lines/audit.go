package lines

import "melo.example/melo/serve/audit"

// Audit shows what was found in an audit log.
func Audit(l Writer, d *audit.Document) {
	if d.Entries == 0 {
		l.Printf("no entries")
	} else {
		l.Printf("%d entries, %d to %s", d.Entries, d.First, d.Head)
		l.Printf("from %s to %s", d.From, d.To)
	}
	if d.First > 1 {
		l.Entry("note: ", "it continues an earlier file: entries before %d are not here", d.First)
	}
	if d.Backwards > 0 {
		l.Entry("note: ", "the clock was set back before %d entries; their numbers have the order", d.Backwards)
	}
	if d.Torn > 0 {
		l.Entry("note: ", "%d bytes after the last whole entry: a server that writes now, or one that crashed", d.Torn)
	}
	if w := d.Witness; w != nil {
		l.Printf("time stamps: %d; the last is of %s, %s, about %.20s...", w.Stamps, w.Time, w.Authority, w.Head)
		if !w.Checked {
			l.Entry("note: ", "whether that authority is to be trusted was not checked: give its certificate with --tsa-ca")
		}
	}
	if d.Entries > 0 {
		l.Printf("every entry is as it was written, and follows the one before")
	}
}
