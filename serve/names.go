package serve

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// extension is that of adapter files. What has another name may be a folder of PEFT.
const extension = ".safetensors"

// isFolder tells by a path whether it is taken for a folder.
func isFolder(path string) bool { return filepath.Ext(path) != extension }

// maxName bounds names and versions, in bytes.
const maxName = 200

// shortDigits is how many hexadecimal digits of a digest make its short form.
const shortDigits = 12

// digestPrefix stands before the digits of a digest.
const digestPrefix = "sha256:"

// checkName returns an error if s cannot be the name of an adapter, or an alias: it becomes part of a file's name and
// of addresses.
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

// splitName takes "name@version" apart.
func splitName(s string) (name, version string) {
	name, version, _ = strings.Cut(s, "@")
	return name, version
}

// fileName returns the name and the version that a file in the folder stands for: "busi.safetensors" is busi,
// "busi@v2.safetensors" its version v2. A folder of PEFT has a name without the extension. ok is false for what is no
// adapter's file.
func fileName(path string) (name, version string, ok bool) {
	base := strings.TrimSuffix(filepath.Base(path), extension)
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

// minPrefix is the least number of digits that may stand for a digest.
const minPrefix = 6

// isPrefix reports whether s, with or without "sha256:", begins digest.
func isPrefix(s, digest string) bool {
	digits := strings.TrimPrefix(s, digestPrefix)
	return len(digits) >= minPrefix && strings.HasPrefix(digest[len(digestPrefix):], digits)
}
