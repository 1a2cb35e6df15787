//go:build !noasm

package kernel

import "golang.org/x/sys/cpu"

func fastSets() (s []*set) {
	if cpu.X86.HasAVX512F {
		a := &set{id: setAVX512, name: "avx512", lanes: 16, chain: 1024}
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
		s = append(s, &set{id: setAVX2, name: "avx2", lanes: 8, micro: [elems]tiles{F32: microAVX2[:]}, chain: 384})
	}
	return s
}
