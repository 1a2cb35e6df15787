// Package ui shows how long work is getting on: bars that redraw themselves on a terminal, plain lines
// now and then everywhere else, so that a log file stays readable.
package ui

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// plainEvery is the time between two lines of one meter when the output is not a terminal.
const plainEvery = 10 * time.Second

// barWidth leaves room for what stands behind the bar. A line that fills the terminal could not be taken off
// again once the terminal has echoed ^C.
const barWidth = 16

// Progress is a set of meters on one output. It is safe for concurrent use. Close it when done.
type Progress struct {
	mu   sync.Mutex
	w    io.Writer
	bars *mpb.Progress // nil when the output is not a terminal
	now  func() time.Time
}

// New returns a Progress on w. With terminal set it draws bars, otherwise it prints lines.
func New(w io.Writer, terminal bool) *Progress {
	p := &Progress{w: w, now: time.Now}
	if terminal {
		p.bars = mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh(), mpb.WithWidth(barWidth))
	}
	return p
}

// Printf prints a line that stays, above the bars if there are any. The newline is added.
func (p *Progress) Printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := fmt.Sprintf(format, args...) + "\n"
	if p.bars != nil {
		if _, err := io.WriteString(p.bars, line); err == nil {
			return
		}
	}
	io.WriteString(p.w, line) // a lost progress line is no reason to stop the work
}

// Close takes the bars off the terminal. Meters that are still running are dropped.
func (p *Progress) Close() {
	if p.bars != nil {
		p.bars.Shutdown()
	}
}

// Meter shows one piece of work of known length.
type Meter struct {
	p     *Progress
	title string
	total int64
	bar   *mpb.Bar

	mu      sync.Mutex
	done    int64
	first   int64 // done at the start, when work is resumed
	status  string
	started time.Time
	printed time.Time
}

// Start begins a meter of total units, of which done are behind us already (resumed work).
func (p *Progress) Start(title string, done, total int64) *Meter {
	now := p.now()
	m := &Meter{p: p, title: title, total: total, done: done, first: done, started: now, printed: now}
	if p.bars != nil {
		m.bar = p.bars.AddBar(total,
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(title+" ")),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + m.line() })))
		m.bar.SetCurrent(done)
	}
	return m
}

// Set says that done units are finished, with a short text on how things stand (may be empty).
func (m *Meter) Set(done int64, status string) {
	m.mu.Lock()
	m.done, m.status = done, status
	due := m.p.now().Sub(m.printed) >= plainEvery
	if due {
		m.printed = m.p.now()
	}
	m.mu.Unlock()
	switch {
	case m.bar != nil:
		m.bar.SetCurrent(done)
	case due:
		m.p.Printf("%s %s", m.title, m.line())
	}
}

// Finish takes the meter away, whether or not all units are done.
func (m *Meter) Finish() {
	if m.bar != nil {
		m.bar.Abort(true)
		m.bar.Wait()
	}
}

// line is what stands behind the bar, and after the title in plain output.
func (m *Meter) line() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	percent := 100.0
	if m.total > 0 {
		percent = 100 * float64(m.done) / float64(m.total)
	}
	s := fmt.Sprintf("%3.0f%%", percent)
	if eta, ok := m.eta(); ok {
		s += " ETA " + Duration(eta)
	}
	if m.status != "" {
		s += "  " + m.status
	}
	return s
}

// eta estimates the time left from the pace since the start; m.mu is held.
func (m *Meter) eta() (time.Duration, bool) {
	elapsed := m.p.now().Sub(m.started)
	fresh := m.done - m.first
	if fresh <= 0 || elapsed <= 0 {
		return 0, false
	}
	return time.Duration(float64(elapsed) / float64(fresh) * float64(m.total-m.done)), true
}

// Duration writes d for people: "45s", "3m20s", "2h05m".
func Duration(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	}
	return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
}

// Bytes writes n for people in powers of ten, as file sizes are quoted: "591.0 kB".
func Bytes(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for f >= unit && i < 4 {
		f /= unit
		i++
	}
	return fmt.Sprintf("%.1f %cB", f, "kMGTP"[i])
}

// Count writes n with thin groups of three digits: "147,456".
func Count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
