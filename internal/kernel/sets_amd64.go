//go:build !noasm

package kernel

import "golang.org/x/sys/cpu"

func fastSets() (s []*set) {
	if cpu.X86.HasAVX512F {
		a := &set{id: setAVX512, name: "avx512", lanes: 16, chain: 1024, mostLeft: 255, mostRight: 127, wordStep: 1}
		a.micro[F32] = microAVX512[:]
		if cpu.X86.HasAVX512BF16 {
			a.micro[BF16] = microBFAVX512[:]
		}
		if cpu.X86.HasAVX512VNNI {
			a.micro[I8] = microU8AVX512[:]
		}
		s = append(s, a)
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		a := &set{id: setAVX2, name: "avx2", lanes: 8, chain: 384, mostLeft: 127, mostRight: 127, mostSum: 258, wordStep: 4}
		a.micro[F32], a.micro[I8] = microAVX2[:], microU7AVX2[:]
		if cpu.X86.HasAVXVNNI {
			a.micro[I8], a.mostLeft, a.mostSum, a.wordStep = microU8AVX2[:], 255, 0, 1
		}
		s = append(s, a)
	}
	return s
}

// asmPeakI8 runs the loop that measures int8 products.
func asmPeakI8(n int) {
	if current.wordStep == 1 {
		asmPeakU8(n)
	} else {
		asmPeakU7(n)
	}
}
