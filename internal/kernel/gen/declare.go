package main

import (
	"fmt"
	"slices"
	"strings"
)

// declarations returns the Go file that declares the functions of one target and lists its micro-kernels.
func declarations(t *Target, funcs []*Func) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s//go:build !noasm\n\npackage kernel\n", header)
	for _, f := range funcs {
		fmt.Fprintf(&s, "\n//go:noescape\n%s\n", f.declaration())
	}
	for _, e := range elements(t) {
		fmt.Fprintf(&s, "\n// micro%[1]s%[2]s has the micro-kernels by rows and vectors, each less one.\nvar micro%[1]s%[2]s = [...][2]func(*tile){\n", e.name, t.Suffix)
		for rows := 1; rows <= e.rows(t); rows++ {
			fmt.Fprintf(&s, "{micro%[1]s%[2]dx1%[3]s, micro%[1]s%[2]dx2%[3]s},\n", e.name, rows, t.Suffix)
		}
		s.WriteString("}\n")
	}
	return s.String()
}

// named returns the base names of the functions that are called by name, and one target's version of each.
func named() (names []string, forms map[string]*Func) {
	forms = map[string]*Func{}
	for _, t := range targets {
		for _, f := range functions(t) {
			base := strings.TrimSuffix(f.Name, t.Suffix)
			if forms[base] == nil && !strings.HasPrefix(base, "micro") { // micro-kernels are called through a table
				names, forms[base] = append(names, base), f
			}
		}
	}
	return names, forms
}

// dispatch returns the Go file of one architecture (of all others if there are no targets) with one function
// per kernel, which calls the kernel of the set in use. A function with an if, rather than a table, keeps
// arguments off the heap.
func dispatch(constraint string, targets []*Target) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s//go:build %s\n\npackage kernel\n", header, constraint)
	names, forms := named()
	for _, base := range names {
		f := forms[base]
		var args []string
		for _, a := range f.Args {
			args = append(args, a.Name)
		}
		name := "asm" + strings.ToUpper(base[:1]) + base[1:]
		fmt.Fprintf(&s, "\nfunc %s {\n", strings.Replace(f.declaration(), "func "+f.Name, name, 1))
		has := slices.DeleteFunc(slices.Clone(targets), func(t *Target) bool {
			return !slices.ContainsFunc(functions(t), func(f *Func) bool { return f.Name == base+t.Suffix })
		})
		for _, t := range has {
			fmt.Fprintf(&s, "if current.id == %s {\n%s%s(%s)\nreturn\n}\n", setName(t), base, t.Suffix, strings.Join(args, ", "))
		}
		fmt.Fprintf(&s, "panic(\"kernel: %s is not in this kernel set\")\n}\n", base)
	}
	return s.String()
}

// setName returns the constant in package kernel for the kernel set of a target.
func setName(t *Target) string { return "set" + t.Suffix }

// family is a set of kernels with the same arguments, which Go calls by number.
type family struct {
	name     string // "vec": constants vecXxx of type vecOp, function asmVec
	operands string // type of the argument
	funcs    func(t *Target) []*Func
}

var families = []family{{"vec", "operands", vecFuncs}, {"grid", "gridOperands", gridFuncs}}

// constant returns the name of a kernel's number.
func (fam family) constant(t *Target, f *Func) string {
	base := strings.TrimPrefix(strings.TrimSuffix(f.Name, t.Suffix), fam.name)
	return fam.name + title(base)
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// familyNames returns the Go file with the constants of all families.
func familyNames() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%spackage kernel\n", header)
	for _, fam := range families {
		fmt.Fprintf(&s, "\n// %sOp is a kernel that takes %s.\ntype %sOp uint8\n\nconst (\n", fam.name, fam.operands, fam.name)
		names := map[string]bool{}
		for _, t := range targets {
			for _, f := range fam.funcs(t) {
				name := fam.constant(t, f)
				if names[name] {
					continue
				}
				if len(names) == 0 {
					fmt.Fprintf(&s, "%s %sOp = iota // %s\n", name, fam.name, f.Doc)
				} else {
					fmt.Fprintf(&s, "%s // %s\n", name, f.Doc)
				}
				names[name] = true
			}
		}
		s.WriteString(")\n")
	}
	return s.String()
}

// familyDispatch returns the Go file of one architecture that declares the kernels of all families and calls
// them by number. It calls each by name, because operands of a call through a table would escape to the heap.
func familyDispatch(targets []*Target) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s//go:build !noasm\n\npackage kernel\n", header)
	for _, fam := range families {
		fmt.Fprintf(&s, "\n// asm%s runs a kernel of the set in use.\nfunc asm%s(op %sOp, o *%s) {\n", title(fam.name), title(fam.name), fam.name, fam.operands)
		for _, t := range targets[1:] {
			fmt.Fprintf(&s, "if current.id == %s {\n%s%s(op, o)\nreturn\n}\n", setName(t), fam.name, t.Suffix)
		}
		fmt.Fprintf(&s, "%s%s(op, o)\n}\n", fam.name, targets[0].Suffix)
		for _, t := range targets {
			fmt.Fprintf(&s, "\nfunc %s%s(op %sOp, o *%s) {\nswitch op {\n", fam.name, t.Suffix, fam.name, fam.operands)
			for _, f := range fam.funcs(t) {
				fmt.Fprintf(&s, "case %s:\n%s(o)\n", fam.constant(t, f), f.Name)
			}
			fmt.Fprintf(&s, "default:\npanic(\"kernel: there is no such kernel in this set\")\n}\n}\n")
			for _, f := range fam.funcs(t) {
				fmt.Fprintf(&s, "\n//go:noescape\n%s\n", f.declaration())
			}
		}
	}
	return s.String()
}
