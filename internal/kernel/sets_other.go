//go:build noasm || !(amd64 || arm64)

package kernel

func fastSets() []*set { return nil }

// Kernels of the assembly, which are never called without it.

func asmTranspose(*float32, int, *float32, int, int, *float32) { panic("kernel: no assembly in this build") }

func asmPeak(int) { panic("kernel: no assembly in this build") }

func asmVec(vecOp, *operands) { panic("kernel: no assembly in this build") }
