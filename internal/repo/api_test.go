package repo

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// internalsAllowed are exported names outside internal/ that still take or return a type of internal/, with the reason. The
// list may only get shorter.
var internalsAllowed = map[string]string{}

// TestAPIHasNoInternalTypes: no exported function, method, field or interface outside internal/ takes or returns a type of
// internal/, which another module could neither name nor make.
func TestAPIHasNoInternalTypes(t *testing.T) {
	module := modulePath(t)
	seen := map[string]bool{}
	for _, pkg := range typesOf(t, module) {
		folder, _ := folderOf(pkg.Path(), module)
		if isInternal(pkg.Path()) || strings.HasPrefix(folder, "cmd/") || strings.HasPrefix(folder, "tools/") || pkg.Name() == "main" {
			continue
		}
		for _, use := range internalUses(pkg, module) {
			seen[use.name] = true
			if internalsAllowed[use.name] == "" {
				t.Errorf("%s shows %s: another module can neither name nor make it", use.name, use.typ)
			}
		}
	}
	for name := range internalsAllowed {
		if !seen[name] {
			t.Errorf("%s shows no internal type any more: take it off the list", name)
		}
	}
}

func isInternal(path string) bool {
	return strings.Contains(path+"/", "/internal/")
}

// typesOf returns the type-checked packages of the module, from the export data of the build cache.
func typesOf(t *testing.T, module string) []*types.Package {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export,Module", "./...")
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	exports, ours := map[string]string{}, []string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Export string
			Module             *struct{ Path string }
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if p.Module != nil && p.Module.Path == module {
			ours = append(ours, p.ImportPath)
		}
	}
	from := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	var list []*types.Package
	for _, path := range ours {
		if exports[path] == "" { // a command
			continue
		}
		pkg, err := from.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, pkg)
	}
	return list
}

// internalUse is an exported name that shows a type of internal/.
type internalUse struct{ name, typ string }

// internalUses looks at everything that a package exports.
func internalUses(pkg *types.Package, module string) []internalUse {
	var list []internalUse
	folder, _ := folderOf(pkg.Path(), module)
	check := func(name string, typ types.Type) {
		if found := internalType(typ, module, map[types.Type]bool{}); found != "" {
			list = append(list, internalUse{folder + "." + name, found})
		}
	}
	for _, name := range pkg.Scope().Names() {
		obj := pkg.Scope().Lookup(name)
		if !obj.Exported() {
			continue
		}
		typed, ok := obj.(*types.TypeName)
		if !ok {
			check(name, obj.Type())
			continue
		}
		if typed.IsAlias() {
			check(name, types.Unalias(typed.Type()))
			continue
		}
		named := typed.Type().(*types.Named)
		for m := range named.Methods() {
			if m.Exported() {
				check(name+"."+m.Name(), m.Type())
			}
		}
		switch under := named.Underlying().(type) {
		case *types.Struct:
			for f := range under.Fields() {
				if f.Exported() {
					check(name+"."+f.Name(), f.Type())
				}
			}
		case *types.Interface:
			for m := range under.Methods() { // also those that are not exported: nobody else can implement them
				check(name+"."+m.Name(), m.Type())
			}
		default:
			check(name, under)
		}
	}
	slices.SortFunc(list, func(a, b internalUse) int { return strings.Compare(a.name, b.name) })
	return list
}

// internalType returns the first named type of this module's internal/ that typ is made of, or "". Named types of other
// packages are looked at where they are declared.
func internalType(typ types.Type, module string, seen map[types.Type]bool) string {
	if seen[typ] {
		return ""
	}
	seen[typ] = true
	look := func(parts ...types.Type) string {
		for _, p := range parts {
			if found := internalType(p, module, seen); found != "" {
				return found
			}
		}
		return ""
	}
	switch x := typ.(type) {
	case *types.Alias:
		return look(types.Unalias(x))
	case *types.Named:
		if pkg := x.Obj().Pkg(); pkg != nil && isInternal(pkg.Path()) && strings.HasPrefix(pkg.Path(), module+"/") {
			return x.String()
		}
		for arg := range x.TypeArgs().Types() {
			if found := look(arg); found != "" {
				return found
			}
		}
	case *types.Pointer:
		return look(x.Elem())
	case *types.Slice:
		return look(x.Elem())
	case *types.Array:
		return look(x.Elem())
	case *types.Chan:
		return look(x.Elem())
	case *types.Map:
		return look(x.Key(), x.Elem())
	case *types.Signature:
		return look(x.Params(), x.Results())
	case *types.Tuple:
		for v := range x.Variables() {
			if found := look(v.Type()); found != "" {
				return found
			}
		}
	case *types.Struct:
		for f := range x.Fields() {
			if f.Exported() {
				if found := look(f.Type()); found != "" {
					return found
				}
			}
		}
	case *types.Interface:
		for m := range x.Methods() {
			if found := look(m.Type()); found != "" {
				return found
			}
		}
	}
	return ""
}
