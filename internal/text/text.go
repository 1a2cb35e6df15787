// Package text writes errors, lists, times, sizes and counts for people, on one line.
package text

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// packages begin the messages of those that are ours: a hint for who uses the library.
var packages = []string{"access", "answer", "adapterfile", "atomicfile", "audit", "bases", "client", "dataset", "dicom", "experiment", "host", "hub", "imaging", "kernel", "lora", "melo",
	"memo", "metric", "phantom", "pixel", "plot", "pretrain", "report", "safetensors", "serve", "telemetry", "train", "vit"}

// OneLine writes an error without the packages that it went through, which say nothing to who runs the program, and
// without line breaks or control characters: messages quote names from files.
func OneLine(err error) string {
	line := err.Error()
	for {
		name, rest, _ := strings.Cut(line, ": ")
		if !slices.Contains(packages, name) || rest == "" {
			break
		}
		line = rest
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, line)
}

// List joins at most ten names.
func List(names []string) string {
	const most = 10
	list := ""
	for i, n := range names {
		if i == most {
			return fmt.Sprintf("%s and %d more", list, len(names)-most)
		}
		if i > 0 {
			list += ", "
		}
		list += n
	}
	return list
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
