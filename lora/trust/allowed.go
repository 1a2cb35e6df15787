package trust

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Allowed maps each digest that may be used ("sha256:" and 64 hexadecimal digits) to the adapter names that it
// may have. An empty list allows any name.
type Allowed map[string][]string

const digestPrefix = "sha256:"

// ParseAllowed reads a list of digests, one per line, with or without "sha256:", optionally followed by the
// name of the adapter or of its file. So the output of "sha256sum *.safetensors" is a valid list. A digest
// without a name is allowed under any name. Empty lines and lines that begin with # are ignored. A list without
// a digest allows nothing.
func ParseAllowed(text []byte) (Allowed, error) {
	allowed, free := Allowed{}, map[string]bool{}
	err := eachLine(text, func(line string) error {
		field, rest := line, ""
		if i := strings.IndexAny(line, " \t"); i >= 0 {
			field, rest = line[:i], strings.TrimLeft(line[i:], " \t")
		}
		digest, err := parseDigest(field)
		if err != nil {
			return err
		}
		name := AdapterName(strings.ReplaceAll(strings.TrimPrefix(rest, "*"), `\`, "/"))
		switch {
		case rest == "":
			free[digest] = true
			allowed[digest] = nil
			return nil
		case name == "" || name == "." || name == "/":
			return fmt.Errorf("%.80q is no name of an adapter", rest)
		}
		if names := allowed[digest]; !free[digest] && !slices.Contains(names, name) {
			allowed[digest] = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return allowed, nil
}

// parseDigest reads a digest, with or without its prefix.
func parseDigest(s string) (string, error) {
	digits := strings.ToLower(strings.TrimPrefix(s, digestPrefix))
	if raw, err := hex.DecodeString(digits); err != nil || len(raw) != 32 {
		return "", fmt.Errorf("%.80q, expected a digest: 64 hexadecimal digits, with sha256: in front or not", s)
	}
	return digestPrefix + digits, nil
}

func isNotThere(err error) bool { return errors.Is(err, fs.ErrNotExist) }
