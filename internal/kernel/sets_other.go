//go:build noasm || !(amd64 || arm64)

package kernel

func fastSets() []*set { return nil }

// asmVec and asmGrid are never called without assembly.
func asmVec(vecOp, *operands) { panic("kernel: no assembly in this build") }

func asmGrid(gridOp, *gridOperands) { panic("kernel: no assembly in this build") }

func asmPeakI8(int) { panic("kernel: no products of bytes in this kernel set") }
