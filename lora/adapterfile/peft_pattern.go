package adapterfile

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// PEFT's patterns are Python regular expressions over module paths. Go's regular expressions have neither
// look-around nor back-references; patterns that use them are refused by name instead of being approximated.

// errPattern is the error for patterns that Go cannot express.
var errPattern = errors.New("is not a regular expression that this program knows (no look-around, no back-references)")

const (
	maxPatterns      = 1 << 12 // keys of rank_pattern or alpha_pattern
	maxPatternLength = 1 << 10
	// maxInstructions limits the total size of the compiled expressions of a folder, because matching takes
	// time in proportion to it.
	maxInstructions = 1 << 13
)

// expressions compiles the expressions of one folder within a common limit.
type expressions struct{ instructions int }

// compile translates a Python expression that must match a whole path to a Go one.
func (x *expressions) compile(text string) (*regexp.Regexp, error) {
	if len(text) > maxPatternLength {
		return nil, fmt.Errorf("pattern of %d characters, expected at most %d", len(text), maxPatternLength)
	}
	tree, err := syntax.Parse(`^(?:`+text+`)$`, syntax.Perl)
	if err != nil {
		return nil, errPattern
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, errPattern
	}
	if x.instructions += len(program.Inst); x.instructions > maxInstructions {
		return nil, errors.New("is one too many: the regular expressions of the folder are too large")
	}
	return regexp.Compile(`^(?:` + text + `)$`)
}

// pattern is a key of rank_pattern or alpha_pattern. It matches a whole path, or the part of it after a dot.
type pattern struct {
	key   string
	re    *regexp.Regexp // nil: the key has only letters, digits, "_" and ".", which matches any character
	value float64
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_.]*$`)

// compileKey implements PEFT's get_pattern_key: re.match(rf"(.*\.)?({key})$", path).
func (x *expressions) compileKey(key string, value float64) (pattern, error) {
	p := pattern{key: key, value: value}
	if plainKey.MatchString(key) && len(key) <= maxPatternLength {
		return p, nil
	}
	re, err := x.compile(`(?:.*\.)?(?:` + key + `)`)
	if err != nil {
		return p, fmt.Errorf("pattern %s %w", quote(key), err)
	}
	p.re = re
	return p, nil
}

func (p *pattern) matches(path string) bool {
	if p.re != nil {
		return p.re.MatchString(path)
	}
	at := len(path) - len(p.key)
	if at < 0 || at > 0 && path[at-1] != '.' {
		return false
	}
	for i := range len(p.key) {
		if p.key[i] != '.' && p.key[i] != path[at+i] {
			return false
		}
	}
	return true
}

// lookUpPattern returns the value of the first pattern that matches, in file order, or otherwise if none does.
func lookUpPattern(list []pattern, path string, otherwise float64) float64 {
	for i := range list {
		if list[i].matches(path) {
			return list[i].value
		}
	}
	return otherwise
}

// modulesList is target_modules or exclude_modules: an expression for whole paths, or a list of module names.
type modulesList struct {
	all   bool           // "all-linear"
	re    *regexp.Regexp // compiled expression
	err   error          // why the expression could not be compiled; whether modules match is then unknown
	names []string
}

// matches implements PEFT's check_target_module_exists.
func (l *modulesList) matches(path string) bool {
	switch {
	case l.all:
		return true
	case l.re != nil:
		return l.re.MatchString(path)
	}
	for _, name := range l.names {
		if path == name || strings.HasSuffix(path, "."+name) {
			return true
		}
	}
	return false
}

func (l *modulesList) empty() bool { return !l.all && l.re == nil && l.err == nil && len(l.names) == 0 }
