package main

import (
	"sync"

	"melo.example/melo/internal/text"
	"melo.example/melo/internal/ui"
	"melo.example/melo/report/lines"
)

// watcher prints the events of an experiment on standard error.
type watcher struct {
	lines.Watch
	screen screen
}

// watch returns a watcher. Close it before printing the result. With quiet it omits details, for commands with
// many runs.
func (s *stdio) watch(quiet bool) *watcher {
	w := &watcher{screen: screen{s: s}}
	w.Watch = lines.Watch{Screen: &w.screen, Quiet: quiet}
	return w
}

// close removes the progress bars.
func (w *watcher) close() { w.screen.close() }

// screen implements lines.Screen with progress bars.
type screen struct {
	s *stdio

	mu    sync.Mutex
	ui    *ui.Progress // nil: no progress bar was shown yet
	meter *ui.Meter
	title string // of meter
}

func (p *screen) close() {
	p.Finish()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ui != nil {
		p.ui.Close()
		p.ui = nil
	}
}

func (p *screen) Show(title string, done, total int64, status string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ui == nil {
		p.ui = p.s.progress()
	}
	if p.meter == nil || p.title != title {
		p.finish()
		p.meter, p.title = p.ui.Start(title, done, total), title
		return
	}
	p.meter.Set(done, status)
}

func (p *screen) Finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish()
}

func (p *screen) finish() {
	if p.meter != nil {
		p.meter.Finish()
		p.meter = nil
	}
}

func (p *screen) Remark(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ui == nil {
		p.s.notef("%s", line)
		return
	}
	p.ui.Printf("melo: %s", text.Visible(line))
}

func (p *screen) Print(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ui == nil {
		p.ui = p.s.progress()
	}
	p.ui.Printf("%s", line)
}
