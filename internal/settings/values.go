package settings

import (
	"fmt"
	"strconv"
	"strings"
)

// Lines are values of which a file of settings and the environment have one a line, as names with commas in them.
type Lines []string

// SplitLines takes such values apart. Empty lines are none.
func SplitLines(s string) (list []any) {
	for line := range strings.Lines(s) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			list = append(list, line)
		}
	}
	return list
}

// Size is a number of bytes, also written as 512KiB, 64MiB, 2GiB.
type Size int64

var units = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}

// UnmarshalText reads a size.
func (b *Size) UnmarshalText(text []byte) error {
	number, unit := strings.TrimSpace(string(text)), int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(n), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return fmt.Errorf("%.40q is no size, expected a number of bytes, or one with KiB, MiB or GiB", text)
	}
	*b = Size(n * unit)
	return nil
}

// MarshalText writes a size as it is read.
func (b Size) MarshalText() ([]byte, error) {
	for _, u := range units[:3] {
		if b != 0 && int64(b)%u.bytes == 0 {
			return fmt.Appendf(nil, "%d%s", int64(b)/u.bytes, u.name), nil
		}
	}
	return strconv.AppendInt(nil, int64(b), 10), nil
}
