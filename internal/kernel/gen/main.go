// Command gen writes the assembly of package kernel: for each target one .s file and the declarations of
// its functions, from one description per kernel. Run it in its own folder; it takes no arguments.
package main

import (
	"fmt"
	"go/format"
	"log"
	"os"
	"path/filepath"
)

// functions returns the kernels for one target that are called by name or through the table of micro-kernels;
// families are the others.
func functions(t *Target) []*Func {
	return gemmFuncs(t)
}

func main() {
	log.SetFlags(0)
	for name, text := range files() {
		if err := os.WriteFile(filepath.Join("..", name), []byte(text), 0o666); err != nil {
			log.Fatal(err)
		}
	}
}

// files returns every generated file by name.
func files() map[string]string {
	out := map[string]string{}
	byArch := map[string][]*Target{}
	for _, t := range targets {
		fs := functions(t)
		out[fmt.Sprintf("zz_%s_%s.s", t.Name, t.Arch)] = assembly(t, fs)
		out[fmt.Sprintf("zz_%s_%s.go", t.Name, t.Arch)] = gofmt(declarations(t, fs))
		var numbered []*Func
		for _, fam := range families {
			numbered = append(numbered, fam.funcs(t)...)
		}
		out[fmt.Sprintf("zz_vec_%s_%s.s", t.Name, t.Arch)] = assembly(t, numbered)
		byArch[t.Arch] = append(byArch[t.Arch], t)
	}
	out["zz_vec.go"] = gofmt(familyNames())
	for arch, ts := range byArch {
		out["zz_dispatch_"+arch+".go"] = gofmt(dispatch(arch+" && !noasm", ts))
		out["zz_vec_"+arch+".go"] = gofmt(familyDispatch(ts))
	}
	out["zz_dispatch_none.go"] = gofmt(dispatch("noasm || !(amd64 || arm64)", nil))
	return out
}

func gofmt(text string) string {
	out, err := format.Source([]byte(text))
	if err != nil {
		log.Fatalf("%v in\n%s", err, text)
	}
	return string(out)
}
