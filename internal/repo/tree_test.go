package repo

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// source is one Go file of the main module.
type source struct {
	path  string // relative to the repository root, with slashes
	lines int
	file  *ast.File
}

// pkg returns the folder of the file's package, relative to the repository root: "." for the one at the top.
func (s source) pkg() string { return path.Dir(s.path) }

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// under reports whether the file lies in one of the folders.
func (s source) under(folders ...string) bool {
	for _, f := range folders {
		if strings.HasPrefix(s.path, f+"/") {
			return true
		}
	}
	return false
}

var fset = token.NewFileSet()

// root is the repository root, where go.mod is.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatalf("the repository root is expected two folders up: %v", err)
	}
	return dir
}

// modulePath reads the module's path from go.mod.
func modulePath(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	name, ok := strings.CutPrefix(line, "module ")
	if !ok {
		t.Fatalf("go.mod begins with %q, want the module's path", line)
	}
	return strings.TrimSpace(name)
}

// skipped are folders whose content is not the project's own Go code.
func skipped(dir, name string) bool {
	if name == "testdata" || name == "node_modules" || (strings.HasPrefix(name, ".") && name != ".") {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod")) // another module
	return err == nil
}

// sources parses every Go file of the main module.
func sources(t *testing.T) []source {
	t.Helper()
	top := root(t)
	var all []source
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != top && skipped(p, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(p) != ".go" {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(fset, p, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		all = append(all, source{filepath.ToSlash(rel), strings.Count(string(text), "\n"), file})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
