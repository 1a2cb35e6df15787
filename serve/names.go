package serve

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"melo.example/melo/lora/ensemble"
)

// extension is the extension of adapter files. Folders with other names may be PEFT adapters.
const extension = ".safetensors"

// isFolder reports whether a path counts as a folder, judging by its name.
func isFolder(path string) bool { return filepath.Ext(path) != extension && !ensemble.Is(path) }

// maxName limits names and versions, in bytes.
const maxName = 200

// shortDigits is the number of hexadecimal digits in the short form of a digest.
const shortDigits = 12

// digestPrefix precedes the digits of a digest.
const digestPrefix = "sha256:"

// checkName returns an error if s cannot be the name of an adapter or an alias, which becomes part of file
// names and URLs.
func checkName(what, s string) error {
	bad := func(r rune) bool {
		return r == '/' || r == '\\' || r == '@' || r == ':' || !unicode.IsPrint(r)
	}
	switch {
	case s == "" || len(s) > maxName:
		return fmt.Errorf("serve: %s of %d bytes, expected 1 to %d", what, len(s), maxName)
	case s[0] == '.' || !utf8.ValidString(s) || strings.ContainsFunc(s, bad):
		return fmt.Errorf("serve: %s %.80q, expected printable characters without / \\ @ : and no dot in front", what, s)
	}
	return nil
}

// splitName splits "name@version".
func splitName(s string) (name, version string) {
	name, version, _ = strings.Cut(s, "@")
	return name, version
}

// fileName returns the name and the version of a file in the folder: "busi.safetensors" is busi,
// "busi@v2.safetensors" its version v2. A PEFT folder has a name without extension, an ensemble its own ending.
// ok is false for files that are not adapters.
func fileName(path string) (name, version string, ok bool) {
	base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), extension), ensemble.Ending)
	if strings.HasPrefix(base, ".") {
		return "", "", false
	}
	name, version, versioned := strings.Cut(base, "@")
	if checkName("name", name) != nil || versioned && checkName("version", version) != nil {
		return "", "", false
	}
	return name, version, true
}

// short returns the short form of a digest.
func short(digest string) string {
	digits := strings.TrimPrefix(digest, digestPrefix)
	return digits[:min(len(digits), shortDigits)]
}

// minPrefix is the minimum number of digits to abbreviate a digest.
const minPrefix = 6

// isPrefix reports whether s, with or without "sha256:", is a prefix of digest.
func isPrefix(s, digest string) bool {
	digits := strings.TrimPrefix(s, digestPrefix)
	return len(digits) >= minPrefix && strings.HasPrefix(digest[len(digestPrefix):], digits)
}
