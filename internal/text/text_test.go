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

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text   string
		width  int
		indent int
		want   string
	}{
		{"short", 80, 2, "short"},
		{"exactly ten", 11, 2, "exactly ten"},
		{"one two three four", 10, 2, "one two\n  three\n  four"},
		{"one two three four", 9, 0, "one two\nthree\nfour"},
		{"an_unbreakable_word and more", 10, 0, "an_unbreakable_word\nand more"},
		{"    a command is copied as it is", 10, 2, "    a command is copied as it is"},
		{"größe über alles", 10, 0, "größe über\nalles"},
	} {
		if got := Wrap(c.text, c.width, c.indent); got != c.want {
			t.Errorf("Wrap(%q, %d, %d) = %q, want %q", c.text, c.width, c.indent, got, c.want)
		}
	}
}

func TestSeconds(t *testing.T) {
	for s, want := range map[float64]string{0.00671: "6.71ms", 0.99996: "1s", 12.34: "12.3s", 4.2e-9: "4.2ns", 1e-4: "100µs"} {
		if got := Seconds(s); got != want {
			t.Errorf("%g s: %s, expected %s", s, got, want)
		}
	}
}
