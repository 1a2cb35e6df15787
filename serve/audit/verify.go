package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"
)

// Report describes the content of a log.
type Report struct {
	Entries   uint64
	First     uint64 // number of the first entry; above 1 if the log continues an earlier file
	Head      Head   // of the last entry
	From, To  time.Time
	Backwards uint64 // entries that are earlier than the previous one, because the clock was set
	Torn      int    // bytes after the last complete line: a crash while writing, or a write in progress
}

// BrokenError reports where a chain breaks.
type BrokenError struct {
	Name   string // of the log, if known
	Line   int    // counted from 1
	Seq    uint64 // of the entry, or the expected number if it cannot be parsed
	Reason string
}

// Error names the line, the entry and the problem.
func (e *BrokenError) Error() string {
	where := ""
	if e.Name != "" {
		where = e.Name + ": "
	}
	return fmt.Sprintf("audit: %sline %d, entry %d: %s", where, e.Line, e.Seq, e.Reason)
}

// Verify reads a log and checks every entry and the chain. If after is not nil, the first entry must follow it:
// the head of the previous file. Otherwise a log may start in the middle of a chain, as it does after the file
// has been moved, and Report.First says so. known lists heads noted earlier, which the log must contain if it
// reaches that far. The error is a *BrokenError, or an error of r; the report covers what was read before it.
func Verify(r io.Reader, after *Head, known ...Head) (Report, error) {
	var rep Report
	if after != nil {
		rep.Head = *after
	}
	lines := bufio.NewReaderSize(r, maxEntry+2)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			rep.Torn = len(line)
			return rep, nil
		}
		broken := func(seq uint64, format string, args ...any) error {
			return &BrokenError{Line: n, Seq: seq, Reason: fmt.Sprintf(format, args...)}
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			return rep, broken(rep.Head.Seq+1, "a line of more than %d bytes", maxEntry)
		}
		if err != nil {
			return rep, fmt.Errorf("audit: %w", err)
		}
		e, err := decode(line[:len(line)-1])
		if err != nil {
			return rep, broken(rep.Head.Seq+1, "%v", err)
		}
		if reason := rep.add(e, after != nil); reason != "" {
			return rep, broken(e.Seq, "%s", reason)
		}
		for _, k := range known {
			if k.Seq == e.Seq && k.Hash != e.Hash {
				return rep, broken(e.Seq, "its hash is %s, noted was %s: the log was written anew", e.Hash, k.Hash)
			}
		}
	}
}

// add counts an entry, or returns why it does not follow the previous one.
func (r *Report) add(e Entry, follows bool) string {
	switch {
	case r.Entries == 0 && !follows:
		if e.Seq == 1 && e.Prev != Start.Hash {
			return "it is the first, and yet says that there was one before"
		}
		r.First, r.From = e.Seq, e.Time
	case e.Seq != r.Head.Seq+1:
		return fmt.Sprintf("entry %d was expected here: entries were taken out, put in or moved", r.Head.Seq+1)
	case e.Prev != r.Head.Hash:
		return "it does not follow the entry before: that one was replaced"
	case r.Entries == 0:
		r.First, r.From = e.Seq, e.Time
	case e.Time.Before(r.To):
		r.Backwards++
	}
	r.Entries++
	r.Head, r.To = Head{e.Seq, e.Hash}, e.Time
	return ""
}
