package text

import (
	"testing"
	"time"
)

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
