// Command licences writes the licence texts of everything that is linked into the program: of this project, of Go, and of
// each module, from the module cache. It fails if a module has none.
//
//	go run ./tools/licences > THIRD_PARTY_LICENCES.txt
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

func main() {
	log.SetFlags(0)
	text, err := Texts("./cmd/melo")
	if err != nil {
		log.Fatal("licences: ", err)
	}
	if _, err := os.Stdout.WriteString(text); err != nil {
		log.Fatal("licences: ", err)
	}
}

// linked is a module with code in the program.
type linked struct{ name, version, dir string }

// Texts returns the texts, one after the other, in the order of the modules' names. It is the same on every system: packages
// of all targets of a release count.
func Texts(pkg string) (string, error) {
	modules, err := modulesOf(pkg)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	out.WriteString("melo is licensed under Apache-2.0, see LICENSE. It contains the following software.\n")
	for _, m := range modules {
		files, err := textsIn(m.dir)
		if err != nil {
			return "", err
		}
		if len(files) == 0 {
			return "", fmt.Errorf("%s %s: no licence text in %s", m.name, m.version, m.dir)
		}
		for _, file := range files {
			text, err := os.ReadFile(filepath.Join(m.dir, file))
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&out, "\n%s\n%s %s: %s\n\n%s\n", strings.Repeat("=", 100), m.name, m.version, file, strings.TrimSpace(string(text)))
		}
	}
	return out.String(), nil
}

// modulesOf lists what is linked into the program on any system, Go itself first.
func modulesOf(pkg string) ([]linked, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	list := []linked{{"Go", runtime.Version(), strings.TrimSpace(string(root))}}
	for _, system := range []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"} {
		goos, arch, _ := strings.Cut(system, "/")
		cmd := exec.Command("go", "list", "-deps", "-json=Module", pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+arch)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("go list for %s: %w", system, err)
		}
		for dec := json.NewDecoder(bytes.NewReader(out)); ; {
			var p struct {
				Module *struct {
					Path, Version, Dir string
					Main               bool
				}
			}
			if err := dec.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
			if m := p.Module; m != nil && !m.Main {
				list = append(list, linked{m.Path, m.Version, m.Dir})
			}
		}
	}
	slices.SortFunc(list[1:], func(a, b linked) int { return strings.Compare(a.name, b.name) })
	return slices.Compact(list), nil
}

// textsIn lists the files of a folder with a licence or a notice.
func textsIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		upper := strings.ToUpper(e.Name())
		for _, begin := range []string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "PATENTS"} {
			if e.Type().IsRegular() && strings.HasPrefix(upper, begin) {
				files = append(files, e.Name())
				break
			}
		}
	}
	return files, nil
}
