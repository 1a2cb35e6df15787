package jpegls

import (
	"errors"
	"fmt"
)

// scan decodes the samples of one scan.
type scan struct {
	r       reader
	coder   *coder
	img     *Image
	places  []int // of the scan's components in a pixel
	restart int   // lines of a restart interval, 0 for none
}

var errCode = errors.New("a code that is too long")

// lines are the line at hand and the one above, each with a sample before and after. A line begins with the sample that
// stood above its first one.
type lines struct{ now, above []int32 }

func newLines(width int) *lines {
	return &lines{make([]int32, width+2), make([]int32, width+2)}
}

// next makes the line at hand the one above.
func (l *lines) next(width int) {
	l.now, l.above = l.above, l.now
	l.above[width+1] = l.above[width]
	l.now[0] = l.above[1]
}

// clear is the state before the first line.
func (l *lines) clear() {
	clear(l.now)
	clear(l.above)
}

// byLine decodes components one line each in turn.
func (s *scan) byLine() error {
	w := s.img.Width
	bufs, runs := make([]*lines, len(s.places)), make([]int, len(s.places))
	for i := range bufs {
		bufs[i] = newLines(w)
	}
	for y := range s.img.Height {
		if err := s.begin(y, func() {
			for i := range bufs {
				bufs[i].clear()
				runs[i] = 0
			}
		}); err != nil {
			return err
		}
		for i, l := range bufs {
			l.next(w)
			if err := s.line(l, &runs[i]); err != nil {
				return fmt.Errorf("line %d of %d: %w", y+1, s.img.Height, err)
			}
			s.store(y, s.places[i], l.now[1:w+1])
		}
	}
	return nil
}

// begin goes over a restart marker where one is due.
func (s *scan) begin(y int, reset func()) error {
	if s.r.missing() {
		return fmt.Errorf("%w: in line %d of %d", ErrTruncated, y, s.img.Height)
	}
	if s.restart == 0 || y == 0 || y%s.restart != 0 {
		return nil
	}
	d, want := s.r.data, 0xD0+byte((y/s.restart-1)&7)
	for s.r.pos+1 < len(d) && d[s.r.pos] != 0xFF {
		s.r.pos++
	}
	if s.r.pos+1 >= len(d) || d[s.r.pos+1] != want {
		return fmt.Errorf("%w: no restart marker FF %02X before line %d", ErrTruncated, want, y+1)
	}
	s.r.pos += 2
	s.r.align()
	s.coder.restartState()
	reset()
	return nil
}

func (s *scan) store(y, place int, line []int32) {
	step := s.img.Components
	out := s.img.Samples[y*s.img.Width*step+place:]
	for x, v := range line {
		out[x*step] = uint16(v)
	}
}

// line decodes one line of one component.
func (s *scan) line(l *lines, run *int) error {
	c, w := s.coder, s.img.Width
	now, above := l.now, l.above
	g := c.quantised
	for x := 1; x <= w; {
		ra, rb, rc, rd := now[x-1], above[x], above[x-1], above[x+1]
		q := (int(g[rd-rb+c.maxval])*9+int(g[rb-rc+c.maxval]))*9 + int(g[rc-ra+c.maxval])
		if q != 0 {
			v, ok := c.regular(&s.r, ra, rb, rc, q)
			if !ok {
				return errCode
			}
			now[x] = v
			x++
			continue
		}
		n, ended, err := s.run(w-x+1, run)
		if err != nil {
			return err
		}
		for i := range n {
			now[x+i] = ra
		}
		if x += n; !ended {
			continue
		}
		v, ok := c.interruption(&s.r, ra, above[x], runLengths[*run])
		if !ok {
			return errCode
		}
		now[x] = v
		x++
		if *run > 0 {
			*run--
		}
	}
	return nil
}

// run decodes the length of a run (A.7.1) among at most left samples, and whether another sample ends it.
func (s *scan) run(left int, index *int) (n int, ended bool, err error) {
	for s.r.bit() == 1 {
		step := 1 << runLengths[*index]
		if step > left-n {
			return left, false, s.short()
		}
		n += step
		if *index < 31 {
			*index++
		}
		if n == left {
			return n, false, s.short()
		}
	}
	if j := runLengths[*index]; j > 0 {
		n += int(s.r.take(j))
	}
	if n >= left {
		return 0, false, errors.New("a run that is longer than its line")
	}
	return n, true, s.short()
}

func (s *scan) short() error {
	if s.r.missing() {
		return ErrTruncated
	}
	return nil
}

// bySample decodes components pixel by pixel. A run holds for all of them at once.
func (s *scan) bySample() error {
	w, n := s.img.Width, len(s.places)
	bufs := make([]*lines, n)
	for i := range bufs {
		bufs[i] = newLines(w)
	}
	run := 0
	for y := range s.img.Height {
		if err := s.begin(y, func() {
			run = 0
			for _, l := range bufs {
				l.clear()
			}
		}); err != nil {
			return err
		}
		for _, l := range bufs {
			l.next(w)
		}
		if err := s.pixels(bufs, &run); err != nil {
			return fmt.Errorf("line %d of %d: %w", y+1, s.img.Height, err)
		}
		for i, l := range bufs {
			s.store(y, s.places[i], l.now[1:w+1])
		}
	}
	return nil
}

// pixels decodes one line of all components.
func (s *scan) pixels(bufs []*lines, run *int) error {
	c, w := s.coder, s.img.Width
	g := c.quantised
	var qs [4]int
	for x := 1; x <= w; {
		flat := true
		for i, l := range bufs {
			ra, rb, rc, rd := l.now[x-1], l.above[x], l.above[x-1], l.above[x+1]
			qs[i] = (int(g[rd-rb+c.maxval])*9+int(g[rb-rc+c.maxval]))*9 + int(g[rc-ra+c.maxval])
			flat = flat && qs[i] == 0
		}
		if !flat {
			for i, l := range bufs {
				v, ok := c.regular(&s.r, l.now[x-1], l.above[x], l.above[x-1], qs[i])
				if !ok {
					return errCode
				}
				l.now[x] = v
			}
			x++
			continue
		}
		n, ended, err := s.run(w-x+1, run)
		if err != nil {
			return err
		}
		for _, l := range bufs {
			for i := range n {
				l.now[x+i] = l.now[x-1]
			}
		}
		if x += n; !ended {
			continue
		}
		for _, l := range bufs {
			// Of a pixel that ends a run of all components the context is always of the first kind (A.7.2).
			v, ok := c.runEnd(&s.r, 0, l.now[x-1], l.above[x], runLengths[*run])
			if !ok {
				return errCode
			}
			l.now[x] = v
		}
		x++
		if *run > 0 {
			*run--
		}
	}
	return nil
}
