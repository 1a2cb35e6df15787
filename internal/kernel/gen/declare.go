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
	fmt.Fprintf(&s, "\n// micro%s has the micro-kernels by rows and vectors, each less one.\nvar micro%s = [...][2]func(*tile){\n", t.Suffix, t.Suffix)
	for rows := 1; rows <= t.Rows; rows++ {
		fmt.Fprintf(&s, "{micro%dx1%s, micro%dx2%s},\n", rows, t.Suffix, rows, t.Suffix)
	}
	s.WriteString("}\n")
	return s.String()
}

// dispatch returns the Go file of one architecture with a function for each kernel, which calls that of
// the kernel set in use. A function of its own for each kernel, and an if in it, keeps arguments off the heap.
func dispatch(arch string, targets []*Target) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s//go:build !noasm\n\npackage kernel\n", header)
	for _, f := range functions(targets[0]) {
		base := strings.TrimSuffix(f.Name, targets[0].Suffix)
		if strings.HasPrefix(base, "micro") {
			continue // called through a table
		}
		name := "asm" + strings.ToUpper(base[:1]) + base[1:]
		var args []string
		for _, a := range f.Args {
			args = append(args, a.Name)
		}
		fmt.Fprintf(&s, "\nfunc %s {\n", strings.Replace(f.declaration(), "func "+f.Name, name, 1))
		call := func(t *Target) string { return fmt.Sprintf("%s%s(%s)", base, t.Suffix, strings.Join(args, ", ")) }
		rest := slices.Clone(targets)
		for len(rest) > 1 {
			t := rest[len(rest)-1]
			fmt.Fprintf(&s, "if current.id == %s {\n%s\nreturn\n}\n", setName(t), call(t))
			rest = rest[:len(rest)-1]
		}
		fmt.Fprintf(&s, "%s\n}\n", call(rest[0]))
	}
	return s.String()
}

// setName is the constant of package kernel for the kernel set of a target.
func setName(t *Target) string { return "set" + t.Suffix }

// vecNames returns the Go file with a constant for each kernel over slices.
func vecNames(funcs []*Func, suffix string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%spackage kernel\n\n// The kernels over slices.\nconst (\n", header)
	for i, f := range funcs {
		name := vecName(strings.TrimSuffix(f.Name, suffix))
		if i == 0 {
			name += " vecOp = iota"
		}
		fmt.Fprintf(&s, "%s // %s\n", name, f.Doc)
	}
	s.WriteString(")\n")
	return s.String()
}

func vecName(base string) string { return "vec" + strings.ToUpper(base[:1]) + base[1:] }

// vecDispatch returns the Go file of one architecture that declares the kernels over slices and calls
// them by number. They are called by name, since the operands of a call through a table would escape.
func vecDispatch(targets []*Target) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s//go:build !noasm\n\npackage kernel\n", header)
	fmt.Fprintf(&s, "\n// asmVec runs a kernel of the set in use.\nfunc asmVec(op vecOp, o *operands) {\n")
	for _, t := range targets[1:] {
		fmt.Fprintf(&s, "if current.id == %s {\nvec%s(op, o)\nreturn\n}\n", setName(t), t.Suffix)
	}
	fmt.Fprintf(&s, "vec%s(op, o)\n}\n", targets[0].Suffix)
	for _, t := range targets {
		fmt.Fprintf(&s, "\nfunc vec%s(op vecOp, o *operands) {\nswitch op {\n", t.Suffix)
		for _, f := range vecFuncs(t) {
			fmt.Fprintf(&s, "case %s:\n%s(o)\n", vecName(strings.TrimSuffix(f.Name, t.Suffix)), f.Name)
		}
		s.WriteString("}\n}\n")
		for _, f := range vecFuncs(t) {
			fmt.Fprintf(&s, "\n//go:noescape\n%s\n", f.declaration())
		}
	}
	return s.String()
}
