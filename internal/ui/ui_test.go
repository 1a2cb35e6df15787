package ui

import (
	"strings"
	"testing"
	"time"
)

func TestPlainOutputPrintsALineNowAndThen(t *testing.T) {
	var out strings.Builder
	p := New(&out, false)
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
	p := New(&strings.Builder{}, false)
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

func TestTerminalDrawsABar(t *testing.T) {
	var out strings.Builder
	p := New(&out, true)
	m := p.Start("training", 0, 10)
	m.Set(5, "loss 0.50")
	p.Printf("epoch 1 done")
	m.Finish()
	p.Close()
	if !strings.Contains(out.String(), "epoch 1 done\n") {
		t.Errorf("the line that stays is missing in %q", out.String())
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                       "0s",
		1499 * time.Millisecond: "1s",
		200 * time.Second:       "3m20s",
		125 * time.Minute:       "2h05m",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestBytesAndCount(t *testing.T) {
	for n, want := range map[int64]string{999: "999 B", 591_000: "591.0 kB", 344_000_000: "344.0 MB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 147456: "147,456", 1000000: "1,000,000", -123456: "-123,456", 12: "12"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}
