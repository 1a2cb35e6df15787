package repo

import (
	"go/ast"
	"go/token"
	"path"
	"strings"
	"testing"
)

// maxLines keeps a file readable in one sitting. Generated files and tables (*_table.go) are exempt.
const maxLines = 600

func TestFilesAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if ast.IsGenerated(s.file) || strings.HasSuffix(s.path, "_table.go") {
			continue
		}
		if s.lines > maxLines {
			t.Errorf("%s has %d lines, the limit is %d: split it by idea", s.path, s.lines, maxLines)
		}
	}
}

func TestEveryPackageIsDocumented(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		has := s.file.Doc != nil && len(strings.TrimSpace(s.file.Doc.Text())) > 0
		documented[path.Dir(s.path)] = documented[path.Dir(s.path)] || has
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package in %s has no doc comment: say what it is for above its package clause", dir)
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || s.file.Name.Name == "main" || ast.IsGenerated(s.file) {
			continue
		}
		for _, d := range s.file.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s: %s has no doc comment: shapes, units, errors and sources belong there",
					fset.Position(d.Pos()), name)
			}
		}
	}
}

// undocumented returns the exported names that a declaration leaves without a comment. A comment above
// a group counts for the whole group.
func undocumented(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		if d.Doc != nil || d.Tok == token.IMPORT {
			return nil
		}
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && spec.Doc == nil {
					names = append(names, spec.Name.Name)
				}
			case *ast.ValueSpec:
				if spec.Names[0].IsExported() && spec.Doc == nil && spec.Comment == nil {
					names = append(names, spec.Names[0].Name)
				}
			}
		}
	}
	return names
}

// exportedReceiver reports whether d is a function or a method of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

// kept is a use of another package that has its own place.
type kept struct {
	uses  []string // "package.Name", or "package." for all of the package
	where []string // folders in which it may stand
	why   string
}

var keptCalls = []kept{
	{
		[]string{"os.Create", "os.WriteFile", "os.Rename", "ioutil.WriteFile"},
		[]string{"internal/atomicfile", "tools", "bench"},
		"durable output goes through internal/atomicfile (temporary file, fsync, rename, fsync of the folder), " +
			"so that a crash or a full disk leaves the old file whole",
	},
	{
		[]string{"os.Open", "os.ReadFile", "ioutil.ReadFile"},
		[]string{"internal/regular", "internal/atomicfile", "internal/sysinfo", "internal/golden", "serve/servetest", "tools", "bench"},
		"files are opened by internal/regular, which looks first: a named pipe with the name of a file would be waited for for ever",
	},
	{
		[]string{"os.Getenv", "os.LookupEnv", "os.Environ", "os.Exit", "os.Args", "flag.", "log.Fatal", "log.Fatalf",
			"log.Fatalln", "log.Print", "log.Printf", "log.Println", "fmt.Print", "fmt.Printf", "fmt.Println"},
		[]string{"cmd", "tools", "bench"},
		"flags, environment, exit codes and printing belong to cmd/melo alone: a library returns values",
	},
	{
		[]string{"os.Stdout", "os.Stderr", "os.Stdin", "signal."},
		[]string{"cmd", "tools", "bench"},
		"only cmd/melo knows the terminal: pass an io.Writer or a context",
	},
}

func TestCallsKeepTheirPlace(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, k := range keptCalls {
			if s.under(k.where...) {
				continue
			}
			for use, pos := range uses(s.file) {
				if used(k.uses, use) {
					t.Errorf("%s: %s: %s", fset.Position(pos), use, k.why)
				}
			}
		}
	}
}

// uses returns every "package.Name" that stands in a file, with one position each.
func uses(f *ast.File) map[string]token.Pos {
	imported := map[string]bool{}
	for _, spec := range f.Imports {
		name := path.Base(strings.Trim(spec.Path.Value, `"`))
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imported[name] = true
	}
	found := map[string]token.Pos{}
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && imported[x.Name] {
				found[x.Name+"."+sel.Sel.Name] = sel.Pos()
			}
		}
		return true
	})
	return found
}

func used(patterns []string, use string) bool {
	for _, p := range patterns {
		if p == use || (strings.HasSuffix(p, ".") && strings.HasPrefix(use, p)) {
			return true
		}
	}
	return false
}

func TestNoWorkInInit(t *testing.T) {
	for _, s := range sources(t) {
		if ast.IsGenerated(s.file) { // code of protocol buffers registers its messages
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" && !s.test() {
				t.Errorf("%s: func init: importing a package must do nothing that can fail, wait or be tested only once",
					fset.Position(f.Pos()))
			}
		}
	}
}
