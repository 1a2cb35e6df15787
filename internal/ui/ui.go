// Package ui shows the progress of work: a bar that is redrawn on a terminal, and otherwise plain lines from
// time to time, so that a log file stays readable.
//
// A bar consists of text, carriage returns and spaces. It uses neither colours nor escape sequences, so it
// works on every terminal and with every screen reader.
package ui

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"melo.example/melo/internal/text"
)

const (
	plainEvery = 10 * time.Second       // between lines of a meter if the output is not a terminal
	drawEvery  = 100 * time.Millisecond // between redraws of the bar
	barWidth   = 16
	minBar     = 6 // a shorter bar is omitted
	// spare columns remain empty after the bar: a terminal echoes ^C there, and a line that it wraps could not
	// be erased.
	spare = 3
)

// Progress is a set of meters on one output. It is safe for concurrent use. Close it after use.
type Progress struct {
	mu      sync.Mutex
	w       io.Writer
	columns func() int // nil if the output is not a terminal
	now     func() time.Time
	running []*Meter // the last one is shown
	shown   int      // columns of the bar on the current line; 0: no bar
	drawn   time.Time
}

// New returns a Progress on w. If w is a terminal, columns returns its present width, and bars are drawn. If
// columns is nil, lines are printed.
func New(w io.Writer, columns func() int) *Progress {
	return &Progress{w: w, columns: columns, now: time.Now}
}

// Printf prints a permanent line, above the bar if there is one. It adds the newline. On a terminal the line is
// wrapped at words.
func (p *Progress) Printf(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.columns != nil {
		line = text.Wrap(line, p.columns(), 2)
	}
	p.erase()
	p.write(line + "\n")
	p.draw()
}

// Close erases the bar. Meters that are still running are dropped.
func (p *Progress) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = nil
	p.erase()
}

// write writes text. p.mu must be held.
func (p *Progress) write(text string) {
	io.WriteString(p.w, text) // a lost progress line must not stop the work
}

// erase erases the bar, and a ^C that the terminal may have echoed after it. p.mu must be held.
func (p *Progress) erase() {
	if p.shown > 0 {
		p.write("\r" + strings.Repeat(" ", p.shown+spare-1) + "\r")
		p.shown = 0
	}
}

// draw draws the bar of the meter that was started last over the previous one. p.mu must be held.
func (p *Progress) draw() {
	if p.columns == nil || len(p.running) == 0 {
		return
	}
	text := p.running[len(p.running)-1].picture(p.columns() - spare)
	columns := utf8.RuneCountInString(text)
	if p.shown > 0 {
		text = "\r" + text + strings.Repeat(" ", max(0, p.shown-columns))
	}
	p.write(text)
	p.shown, p.drawn = max(columns, p.shown), p.now()
}

// Meter shows the progress of work of known length.
type Meter struct {
	p     *Progress // its mutex guards the other fields
	title string
	total int64

	done    int64
	first   int64 // done at the start, if work is resumed
	status  string
	started time.Time
	printed time.Time
}

// Start starts a meter of total units, of which done were completed earlier (resumed work).
func (p *Progress) Start(title string, done, total int64) *Meter {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	m := &Meter{p: p, title: title, total: total, done: done, first: done, started: now, printed: now}
	p.running = append(p.running, m)
	p.draw()
	return m
}

// Set says that done units are complete. status is a short text, which may be empty.
func (m *Meter) Set(done int64, status string) {
	p := m.p
	p.mu.Lock()
	defer p.mu.Unlock()
	m.done, m.status = done, status
	now := p.now()
	switch {
	case p.columns != nil:
		if now.Sub(p.drawn) >= drawEvery {
			p.draw()
		}
	case now.Sub(m.printed) >= plainEvery:
		m.printed = now
		p.write(m.title + " " + m.line() + "\n")
	}
}

// Finish removes the meter, whether or not all units are done. Calling it again does nothing.
func (m *Meter) Finish() {
	p := m.p
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.running, m)
	if i < 0 {
		return
	}
	p.running = slices.Delete(p.running, i, i+1)
	p.erase()
	p.draw()
}

// picture renders the meter in at most width columns: first the bar becomes shorter, then text is dropped from
// the end.
func (m *Meter) picture(width int) string {
	line := m.line()
	room := min(barWidth, width-utf8.RuneCountInString(m.title)-utf8.RuneCountInString(line)-2)
	text := m.title + " " + line
	if room >= minBar {
		text = m.title + " " + m.bar(room) + " " + line
	}
	r := []rune(text)
	if len(r) <= width {
		return text
	}
	text = string(r[:max(width, 0)])
	if i := strings.LastIndex(text, "  "); i > len(m.title)+len(" 100%") && r[width] != ' ' {
		text = text[:i] // not half a number
	}
	return text
}

// bar renders a bar of width columns, including brackets.
func (m *Meter) bar(width int) string {
	inside := width - 2
	full := inside
	if m.total > 0 {
		full = int(int64(inside) * min(max(m.done, 0), m.total) / m.total)
	}
	return "[" + strings.Repeat("=", full) + strings.Repeat("-", inside-full) + "]"
}

// line returns the text after the bar, or after the title in plain output. p.mu must be held.
func (m *Meter) line() string {
	percent := 100.0
	if m.total > 0 {
		percent = 100 * float64(m.done) / float64(m.total)
	}
	s := fmt.Sprintf("%3.0f%%", percent)
	if eta, ok := m.eta(); ok {
		s += " ETA " + text.Duration(eta)
	}
	if m.status != "" {
		s += "  " + m.status
	}
	return s
}

// eta estimates the remaining time from the average pace since the start. p.mu must be held.
func (m *Meter) eta() (time.Duration, bool) {
	elapsed := m.p.now().Sub(m.started)
	fresh := m.done - m.first
	if fresh <= 0 || elapsed <= 0 {
		return 0, false
	}
	return time.Duration(float64(elapsed) / float64(fresh) * float64(m.total-m.done)), true
}
