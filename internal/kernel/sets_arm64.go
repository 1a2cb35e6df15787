//go:build !noasm

package kernel

// Every arm64 CPU has the vector instructions that the kernels use.
func fastSets() []*set { return []*set{{setNEON, "neon", 4, microNEON[:], 512}} }
