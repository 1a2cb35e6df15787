//go:build !noasm

package kernel

import "golang.org/x/sys/cpu"

func fastSets() (s []*set) {
	if cpu.X86.HasAVX512F {
		s = append(s, &set{setAVX512, "avx512", 16, microAVX512[:], 1024})
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		s = append(s, &set{setAVX2, "avx2", 8, microAVX2[:], 384})
	}
	return s
}
