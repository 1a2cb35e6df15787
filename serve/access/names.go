package access

import (
	"fmt"
	"net/url"
	"strings"
)

// Names are the adapters that a client may know of: names, in which * stands for any text. nil is all of them. A name is
// written with %XX for a space, a comma, a percent sign or a star of its own.
// Without a pattern it is none of them.
type Names struct{ patterns []string }

// ParseNames parses comma-separated patterns.
func ParseNames(s string) (*Names, error) {
	list := strings.Split(s, ",")
	for _, pattern := range list {
		if pattern == "" || strings.ContainsAny(pattern, "@/\\: \t") {
			return nil, fmt.Errorf("%.60q is no name of an adapter", pattern)
		}
		for part := range strings.SplitSeq(pattern, "*") {
			if _, err := url.PathUnescape(part); err != nil {
				return nil, fmt.Errorf("%.60q: %% and two hexadecimal digits expected", pattern)
			}
		}
	}
	return &Names{list}, nil
}

// ParseNamesOf reads a map to names; it is nil if there is nothing in it.
func ParseNamesOf(lists map[string]string) (map[string]*Names, error) {
	if len(lists) == 0 {
		return nil, nil
	}
	of := make(map[string]*Names, len(lists))
	for key, list := range lists {
		names, err := ParseNames(list)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		of[key] = names
	}
	return of, nil
}

// EscapeName writes a name, in which stars stand for any text, as ParseNames reads it.
func EscapeName(name string) string {
	return strings.NewReplacer("%", "%25", ",", "%2C", " ", "%20").Replace(name)
}

// May reports whether a client with these names may use the adapter with the given name, without version.
func (n *Names) May(name string) bool {
	if n == nil {
		return true
	}
	for _, pattern := range n.patterns {
		if matches(pattern, name) {
			return true
		}
	}
	return false
}

// matches reports whether name matches a pattern.
func matches(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i], _ = url.PathUnescape(parts[i]) // cannot fail: ParseNames has checked it
	}
	last := len(parts) - 1
	if last == 0 {
		return name == parts[0]
	}
	name, ok := strings.CutPrefix(name, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1:last] {
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return strings.HasSuffix(name, parts[last])
}
