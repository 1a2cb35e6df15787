package ui

import (
	"strings"
	"testing"
	"time"
)

func TestPlainOutputPrintsALineNowAndThen(t *testing.T) {
	var out strings.Builder
	p := New(&out, nil)
	clock := time.Unix(0, 0)
	p.now = func() time.Time { return clock }
	m := p.Start("training", 0, 100)
	m.Set(1, "loss 2.00") // too soon for a line
	clock = clock.Add(plainEvery)
	m.Set(25, "loss 1.00")
	clock = clock.Add(plainEvery / 2)
	m.Set(30, "loss 0.90")
	p.Printf("epoch %d", 1)
	m.Finish()
	p.Close()
	want := "training  25% ETA 30s  loss 1.00\nepoch 1\n"
	if out.String() != want {
		t.Errorf("got %q\nwant %q", out.String(), want)
	}
}

func TestEtaCountsOnlyFreshWork(t *testing.T) {
	p := New(&strings.Builder{}, nil)
	clock := time.Unix(0, 0)
	p.now = func() time.Time { return clock }
	m := p.Start("training", 50, 100)
	if _, ok := m.eta(); ok {
		t.Error("an ETA before anything was done")
	}
	clock = clock.Add(10 * time.Second)
	m.Set(60, "")
	if eta, ok := m.eta(); !ok || eta != 40*time.Second {
		t.Errorf("10 units in 10 s with 40 to go: got %v", eta)
	}
}

// screen is what a terminal of one width shows after text, without spaces at the ends of lines. It fails the test when
// a line that is written over is so wide that the terminal would have wrapped it.
func screen(t *testing.T, text string, width int) []string {
	t.Helper()
	lines, at := []string{""}, 0
	for _, c := range text {
		last := &lines[len(lines)-1]
		switch {
		case c == '\r':
			if at = 0; len(*last) >= width {
				t.Errorf("%d columns of %d are written over: %q", len(*last), width, *last)
			}
		case c == '\n':
			lines, at = append(lines, ""), 0
		case c < ' ' || c > '~':
			t.Fatalf("more than text and carriage returns in %q", text)
		default:
			*last = (*last)[:at] + string(c) + (*last)[min(at+1, len(*last)):]
			at++
		}
	}
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

func TestTerminal(t *testing.T) {
	for _, width := range []int{20, 40, 80, 160} {
		var out strings.Builder
		p := New(&out, func() int { return width })
		clock := time.Unix(0, 0)
		p.now = func() time.Time { return clock }
		m := p.Start("training", 0, 10)
		for i := range int64(10) {
			clock = clock.Add(time.Second)
			m.Set(i, "epoch 10/20  loss 0.6650  AUC 0.645  116.3 img/s  14% of peak")
			if i == 5 {
				p.Printf("epoch 1 done, with words enough for a line that is broken where the terminal is narrow")
			}
		}
		lines := screen(t, out.String(), width)
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, "training ") || strings.Contains(last, "[") != (width == 160) {
			t.Errorf("%d columns: the bar is %q", width, last)
		}
		if last := lines[len(lines)-1]; width == 80 && last != "training  90% ETA 1s  epoch 10/20  loss 0.6650  AUC 0.645  116.3 img/s" {
			t.Errorf("the bar of 80 columns is %q", last)
		}
		m.Finish()
		m.Finish()
		p.Printf("the last line is not lost")
		p.Close()
		lines = screen(t, out.String(), width)
		if n := len(lines); lines[n-1] != "" || strings.Join(strings.Fields(strings.Join(lines, " ")), " ") !=
			"epoch 1 done, with words enough for a line that is broken where the terminal is narrow the last line is not lost" {
			t.Errorf("%d columns: what stays is %q", width, lines)
		}
		for _, line := range lines {
			if len(line) > width {
				t.Errorf("%d columns: %q", width, line)
			}
		}
	}
}

// TestMetersStack draws the meter that was started last, and the one before when it is done.
func TestMetersStack(t *testing.T) {
	var out strings.Builder
	p := New(&out, func() int { return 80 })
	outer := p.Start("all", 1, 2)
	inner := p.Start("one", 0, 2)
	if lines := screen(t, out.String(), 80); len(lines) != 1 || !strings.HasPrefix(lines[0], "one ") {
		t.Errorf("the inner meter runs: %q", lines)
	}
	inner.Finish()
	if lines := screen(t, out.String(), 80); lines[0] != "all [=======-------]  50%" {
		t.Errorf("the outer meter runs: %q", lines)
	}
	p.Close()
	outer.Finish() // late, and in nobody's way
	if lines := screen(t, out.String(), 80); lines[0] != "" {
		t.Errorf("left behind: %q", lines)
	}
}
