package main

import "fmt"

// amd64Registers leaves out SP, BP (frame pointer) and R14 (goroutine).
var amd64Registers = []string{"AX", "BX", "CX", "DX", "SI", "DI", "R8", "R9", "R10", "R11", "R12", "R13", "R15"}

// amd64Ops are the mnemonics of lane-by-lane operations, which have the same form on both vector lengths.
var amd64Ops = map[Op]string{
	VAdd: "VADDPS", VSub: "VSUBPS", VMul: "VMULPS", VDiv: "VDIVPS", VMax: "VMAXPS", VMin: "VMINPS",
	VFMA: "VFMADD231PS", VFMAS: "VFMADD231PS", VFMS: "VFNMADD231PS",
	VAddI: "VPADDD", VSubI: "VPSUBD",
	VZipLo: "VUNPCKLPS", VZipHi: "VUNPCKHPS", VZipLo64: "VUNPCKLPD", VZipHi64: "VUNPCKHPD",
	VPairsI16: "VPMADDWD", VAddI16: "VPADDW",
	VShl: "VPSLLD", VShr: "VPSRLD", VSar: "VPSRAD",
}

// With 512-bit vectors, bit operations have an element type.
var (
	avx2Bits   = map[Op]string{VAnd: "VANDPS", VOr: "VORPS", VXor: "VXORPS"}
	avx512Bits = map[Op]string{VAnd: "VPANDD", VOr: "VPORD", VXor: "VPXORD"}
)

// swapWithin is what takes four elements with the neighbour, or the one after it, for each.
var swapWithin = map[int]int{1: 0xB1, 2: 0x4E}

func printAMD64(p *printer, f *Func, i Instr) {
	wide := f.T.Lanes == 16
	reg := func(v V) string {
		if wide {
			return fmt.Sprintf("Z%d", v)
		}
		return fmt.Sprintf("Y%d", v)
	}
	g := func(r G) string { return f.T.GNames[r] }
	mem := func(m Mem) string { return amd64Mem(f, m) }
	switch i.Op {
	case LoadArg:
		p.ins("MOVQ", f.argName(i.Name), g(i.D))
	case LoadG:
		p.ins("MOVQ", mem(i.M), g(i.D))
	case StoreG:
		p.ins("MOVQ", g(i.S), mem(i.M))
	case MovG:
		p.ins("MOVQ", g(i.S), g(i.D))
	case AddG:
		p.ins("ADDQ", g(i.S), g(i.D))
	case SubG:
		p.ins("SUBQ", g(i.S), g(i.D))
	case AddI:
		p.ins("ADDQ", imm(i.Imm), g(i.D))
	case ShlG:
		p.ins("SHLQ", imm(i.Imm), g(i.D))
	case Label:
		p.label(i.Name)
	case Jump:
		p.ins("JMP", i.Name)
	case JumpZ:
		p.ins("TESTQ", g(i.S), g(i.S))
		p.ins("JZ", i.Name)
	case JumpLT:
		p.ins("CMPQ", g(i.S), imm(i.Imm))
		p.ins("JLT", i.Name)
	case JumpGE:
		p.ins("CMPQ", g(i.S), imm(i.Imm))
		p.ins("JGE", i.Name)
	case SubJumpNZ:
		p.ins("SUBQ", imm(i.Imm), g(i.D))
		p.ins("JNZ", i.Name)
	case VLoad:
		p.ins("VMOVUPS", mem(i.M), reg(i.V))
	case VStore:
		p.ins("VMOVUPS", reg(i.A), mem(i.M))
	case VDup, VScalar:
		p.ins("VBROADCASTSS", mem(i.M), reg(i.V))
	case VConst:
		p.ins("VBROADCASTSS", p.constant(i.Bits), reg(i.V))
	case VZero:
		// The 256-bit form clears the whole register at no cost. It is not encodable for the upper half of the
		// registers.
		if i.V < 16 {
			y := fmt.Sprintf("Y%d", i.V)
			p.ins("VXORPS", y, y, y)
		} else {
			p.ins("VPXORD", reg(i.V), reg(i.V), reg(i.V))
		}
	case VMove:
		p.ins("VMOVAPS", reg(i.A), reg(i.V))
	case VIns:
		part := mem(i.M)
		switch {
		case i.Imm == 0:
			p.ins("VMOVUPS", part, fmt.Sprintf("X%d", i.V))
		case wide:
			p.ins("VINSERTF32X4", imm(i.Imm), part, reg(i.V), reg(i.V))
		default:
			p.ins("VINSERTF128", imm(i.Imm), part, reg(i.V), reg(i.V))
		}
	case Prefetch:
		p.ins("PREFETCHT1", mem(i.M))
	case VSqrt:
		p.ins("VSQRTPS", reg(i.A), reg(i.V))
	case VRoundI:
		p.ins("VCVTPS2DQ", reg(i.A), reg(i.V))
	case VFloat:
		p.ins("VCVTDQ2PS", reg(i.A), reg(i.V))
	case VDotU8S8:
		text := fmt.Sprintf("VPDPBUSD %s, %s, %s", reg(i.B), reg(i.A), reg(i.V))
		if wide {
			p.ins(text)
		} else {
			p.bytes(vex(0x50, i.V, i.A, i.B), text) // the assembler would emit a form that needs AVX-512
		}
	case VDotBF16:
		p.bytes(evex(2, 0x52, i.V, i.A, i.B), fmt.Sprintf("VDPBF16PS %s, %s, %s", reg(i.B), reg(i.A), reg(i.V)))
	case VRoundBF16:
		p.bytes(evex(2, 0x72, i.V, 0, i.A), fmt.Sprintf("VCVTNEPS2BF16 %s, Y%d", reg(i.A), i.V))
		p.ins("VPMOVZXWD", fmt.Sprintf("Y%d", i.V), reg(i.V))
	case VStoreBF16:
		// The converted register is not needed afterwards, so it is overwritten.
		p.bytes(evex(2, 0x72, i.A, 0, i.A), fmt.Sprintf("VCVTNEPS2BF16 %s, Y%d", reg(i.A), i.A))
		p.ins("VMOVUPS", fmt.Sprintf("Y%d", i.A), mem(i.M))
	case VStoreU8:
		if wide {
			p.ins("VPMOVDB", reg(i.A), mem(i.M))
			break
		}
		p.ins("VPACKUSDW", reg(i.A), reg(i.A), reg(i.A))
		p.ins("VPACKUSWB", reg(i.A), reg(i.A), reg(i.A))
		p.ins("VEXTRACTI128", "$1", reg(i.A), fmt.Sprintf("X%d", i.B))
		p.ins("VPUNPCKLDQ", fmt.Sprintf("X%d", i.B), fmt.Sprintf("X%d", i.A), fmt.Sprintf("X%d", i.A))
		p.ins("VMOVQ", fmt.Sprintf("X%d", i.A), mem(i.M))
	case VMulU8S8:
		b := reg(i.B)
		if i.B == none {
			b = mem(i.M)
		}
		p.ins("VPMADDUBSW", b, reg(i.A), reg(i.V))
	case VShl, VShr, VSar:
		p.ins(amd64Ops[i.Op], imm(i.Imm), reg(i.A), reg(i.V))
	case VAnd, VOr, VXor:
		op := avx2Bits[i.Op]
		if wide {
			op = avx512Bits[i.Op]
		}
		p.ins(op, reg(i.B), reg(i.A), reg(i.V))
	case VSwap:
		switch {
		case i.Imm <= 2:
			p.ins("VPERMILPS", imm(swapWithin[i.Imm]), reg(i.A), reg(i.V))
		case wide:
			p.ins("VSHUFF32X4", imm(swapWithin[i.Imm/4]), reg(i.A), reg(i.A), reg(i.V))
		default:
			p.ins("VPERM2F128", "$1", reg(i.A), reg(i.A), reg(i.V))
		}
	case Ret:
		p.ins("VZEROUPPER")
		p.ins("RET")
	default:
		p.ins(amd64Ops[i.Op], reg(i.B), reg(i.A), reg(i.V))
	}
}

func amd64Mem(f *Func, m Mem) string {
	if m.Base == frame {
		return f.argAt(m.Disp)
	}
	s := fmt.Sprintf("(%s)", f.T.GNames[m.Base])
	if m.Index != none {
		s += fmt.Sprintf("(%s*%d)", f.T.GNames[m.Index], max(m.Scale, 1))
	}
	if m.Disp != 0 {
		s = fmt.Sprint(m.Disp) + s
	}
	return s
}

// evex encodes an instruction on 512-bit registers of the map 0F38 with W = 0 and prefix pp (1: 66, 2: F3,
// 3: F2): destination d, first source a, second source b. The Go assembler has no AVX512_BF16. Intel SDM,
// volume 2, section 2.7.
func evex(pp, opcode byte, d, a, b V) []byte {
	inv := func(v V, bit uint) byte { return byte(^v>>bit) & 1 }
	p0 := inv(d, 3)<<7 | inv(b, 4)<<6 | inv(b, 3)<<5 | inv(d, 4)<<4 | 2
	p1 := inv(a, 3)<<6 | inv(a, 2)<<5 | inv(a, 1)<<4 | inv(a, 0)<<3 | 1<<2 | pp
	p2 := byte(2)<<5 | inv(a, 4)<<3
	return []byte{0x62, p0, p1, p2, opcode, 0xC0 | byte(d&7)<<3 | byte(b&7)}
}

// vex encodes an instruction of AVX-VNNI on 256-bit registers: map 0F38, W = 0, prefix 66. Intel SDM, volume 2,
// section 2.3.
func vex(opcode byte, d, a, b V) []byte {
	inv := func(v V) byte { return byte(^v>>3) & 1 }
	return []byte{0xC4, inv(d)<<7 | 1<<6 | inv(b)<<5 | 2, byte(^a&15)<<3 | 1<<2 | 1, opcode, 0xC0 | byte(d&7)<<3 | byte(b&7)}
}
