// Command modulepath renames the module everywhere: in each go.mod, in the imports of each Go file, and in the options
// of the protocol's .proto file. Run it at the top of the repository, then write the protocol's code anew:
//
//	go run ./tools/modulepath example.org/you/melo
//	(cd tools/protogen && go run .)
//
// The last element of the new path must be "melo", because that is the name of the package at the top.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./tools/modulepath NEW/PATH/melo")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "modulepath:", err)
		os.Exit(1)
	}
}

// run renames the module whose go.mod lies in the current folder to now.
func run(now string) error {
	if path.Base(now) != "melo" || path.Clean(now) != now {
		return fmt.Errorf("%q: the path must end in /melo, the name of the package at the top", now)
	}
	if host, _, _ := strings.Cut(now, "/"); !strings.Contains(host, ".") {
		return fmt.Errorf("%q: the first element needs a dot, or other modules cannot require it", now)
	}
	old, err := modulePath()
	if err != nil {
		return err
	}
	files, err := tracked()
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := renameFile(name, old, now); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

var moduleLine = regexp.MustCompile(`(?m)^module[ \t]+(\S+)`)

// modulePath reads the path from go.mod.
func modulePath() (string, error) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		return "", err
	}
	m := moduleLine.FindSubmatch(text)
	if m == nil {
		return "", errors.New("go.mod: no module line")
	}
	return string(m[1]), nil
}

// tracked lists the files that git knows, and new ones that it does not ignore.
func tracked() ([]string, error) {
	out, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	return strings.Split(strings.TrimRight(string(out), "\x00"), "\x00"), nil
}

// renameFile rewrites one file where it names the module.
func renameFile(name, old, now string) error {
	var rename func(text []byte, old, now string) ([]byte, error)
	switch {
	case path.Base(name) == "go.mod":
		rename = renameModule
	case path.Ext(name) == ".go":
		rename = renameImports
	case path.Ext(name) == ".proto":
		rename = renameProto
	default:
		return nil
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) { // deleted, and not committed yet
		return nil
	}
	if err != nil {
		return err
	}
	changed, err := rename(text, old, now)
	if err != nil || bytes.Equal(changed, text) {
		return err
	}
	return os.WriteFile(name, changed, 0o644)
}

// renamed returns the new path of a package, and whether it belongs to the module.
func renamed(pkg, old, now string) (string, bool) {
	if rest, ok := strings.CutPrefix(pkg, old); ok && (rest == "" || rest[0] == '/') {
		return now + rest, true
	}
	return pkg, false
}

func renameModule(text []byte, old, now string) ([]byte, error) {
	return moduleLine.ReplaceAllFunc(text, func(line []byte) []byte {
		name, _ := renamed(string(moduleLine.FindSubmatch(line)[1]), old, now)
		return []byte("module " + name)
	}), nil
}

// renameImports replaces the quoted paths where they stand, so that nothing else of the file moves but the order of
// its imports.
func renameImports(text []byte, old, now string) ([]byte, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", text, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var out []byte
	done := 0
	for _, spec := range file.Imports {
		pkg, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		name, ours := renamed(pkg, old, now)
		if !ours {
			continue
		}
		at := set.Position(spec.Path.Pos()).Offset
		out = append(append(out, text[done:at]...), strconv.Quote(name)...)
		done = at + len(spec.Path.Value)
	}
	if done == 0 {
		return text, nil
	}
	return format.Source(append(out, text[done:]...))
}

var goPackage = regexp.MustCompile(`(option go_package = ")([^"]+)(")`)

func renameProto(text []byte, old, now string) ([]byte, error) {
	return goPackage.ReplaceAllFunc(text, func(line []byte) []byte {
		m := goPackage.FindSubmatch(line)
		name, _ := renamed(string(m[2]), old, now)
		return []byte(string(m[1]) + name + string(m[3]))
	}), nil
}
