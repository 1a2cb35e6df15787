//go:build !noasm

package kernel

// Every arm64 CPU has the vector instructions that the kernels use.
func fastSets() []*set {
	return []*set{{id: setNEON, name: "neon", lanes: 4, micro: [elems]tiles{F32: microNEON[:]}, chain: 512}}
}

func asmPeakI8(int) { panic("kernel: no products of bytes in this kernel set") }
