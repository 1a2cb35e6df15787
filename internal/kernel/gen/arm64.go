package main

import "fmt"

// arm64Registers leaves out R16 and R17 (linker, constants), R18 (platform) and R26 to R31 (assembler, goroutine, frame).
var arm64Registers = []string{"R0", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10", "R11", "R12",
	"R13", "R14", "R15", "R19", "R20", "R21", "R22", "R23", "R24", "R25"}

// arm64Words are instructions on four 32-bit lanes that the Go assembler does not know, as words with the
// registers Rm (bits 16-20), Rn (5-9) and Rd (0-4) left open. Arm Architecture Reference Manual, C7.2.
var arm64Words = map[Op]struct {
	word uint32
	name string
}{
	VAdd: {0x4E20D400, "FADD"}, VSub: {0x4EA0D400, "FSUB"}, VMul: {0x6E20DC00, "FMUL"}, VDiv: {0x6E20FC00, "FDIV"},
	VMax: {0x4E20F400, "FMAX"}, VMin: {0x4EA0F400, "FMIN"}, VFMA: {0x4E20CC00, "FMLA"}, VFMS: {0x4EA0CC00, "FMLS"},
	VFMAS: {0x4F801000, "FMLA"}, // by lane 0 of Rm
	VSqrt: {0x6EA1F800, "FSQRT"},
	VAnd:  {0x4E201C00, "AND"}, VOr: {0x4EA01C00, "ORR"}, VXor: {0x6E201C00, "EOR"},
	VAddI: {0x4EA08400, "ADD"}, VSubI: {0x6EA08400, "SUB"},
	VZipLo: {0x4E803800, "ZIP1"}, VZipHi: {0x4E807800, "ZIP2"}, VZipLo64: {0x4EC03800, "ZIP1"}, VZipHi64: {0x4EC07800, "ZIP2"},
	VShl: {0x4F005400, "SHL"}, VShr: {0x6F000400, "USHR"}, VSar: {0x4F000400, "SSHR"},
}

func printARM64(p *printer, f *Func, i Instr) {
	g := func(r G) string { return f.T.GNames[r] }
	switch i.Op {
	case LoadArg:
		p.ins("MOVD", f.argName(i.Name), g(i.D))
	case LoadG:
		p.ins("MOVD", arm64Mem(f, i.M), g(i.D))
	case StoreG:
		p.ins("MOVD", g(i.S), arm64Mem(f, i.M))
	case MovG:
		p.ins("MOVD", g(i.S), g(i.D))
	case AddG:
		p.ins("ADD", g(i.S), g(i.D))
	case SubG:
		p.ins("SUB", g(i.S), g(i.D))
	case AddI:
		p.ins("ADD", imm(i.Imm), g(i.D))
	case ShlG:
		p.ins("LSL", imm(i.Imm), g(i.D))
	case Label:
		p.label(i.Name)
	case Jump:
		p.ins("B", i.Name)
	case JumpZ:
		p.ins("CBZ", g(i.S), i.Name)
	case JumpLT:
		p.ins("CMP", imm(i.Imm), g(i.S))
		p.ins("BLT", i.Name)
	case JumpGE:
		p.ins("CMP", imm(i.Imm), g(i.S))
		p.ins("BGE", i.Name)
	case SubJumpNZ:
		p.ins("SUBS", imm(i.Imm), g(i.D))
		p.ins("BNE", i.Name)
	case VLoad, VIns:
		p.ins("FMOVQ", arm64Mem(f, i.M), fmt.Sprintf("F%d", i.V))
	case VStore:
		p.ins("FMOVQ", fmt.Sprintf("F%d", i.A), arm64Mem(f, i.M))
	case VScalar:
		p.ins("FMOVS", arm64Mem(f, i.M), fmt.Sprintf("F%d", i.V))
	case VDup:
		p.ins("FMOVS", arm64Mem(f, i.M), fmt.Sprintf("F%d", i.V))
		p.ins("VDUP", fmt.Sprintf("V%d.S[0]", i.V), fmt.Sprintf("V%d.S4", i.V))
	case VConst:
		p.ins("MOVW", fmt.Sprintf("$%#x", i.Bits), "R17")
		p.ins("VDUP", "R17", fmt.Sprintf("V%d.S4", i.V))
	case VZero:
		v := fmt.Sprintf("V%d.B16", i.V)
		p.ins("VEOR", v, v, v)
	case VMove:
		p.ins("VMOV", fmt.Sprintf("V%d.B16", i.A), fmt.Sprintf("V%d.B16", i.V))
	case Prefetch:
		p.ins("PRFM", arm64Mem(f, i.M), "PLDL2KEEP")
	case VSwap:
		p.word(arm64Swap(i))
	case Ret:
		p.ins("RET")
	default:
		p.word(arm64Word(i), arm64Text(i))
	}
}

// arm64Swap is the exchange of neighbours, or of halves.
func arm64Swap(i Instr) (word uint32, text string) {
	if i.Imm == 1 {
		return 0x4EA00800 | uint32(i.A)<<5 | uint32(i.V), fmt.Sprintf("REV64 V%d.4S, V%d.4S", i.V, i.A)
	}
	return 0x6E004000 | uint32(i.A)<<16 | uint32(i.A)<<5 | uint32(i.V), fmt.Sprintf("EXT V%[1]d.16B, V%[2]d.16B, V%[2]d.16B, #8", i.V, i.A)
}

// arm64Word returns the encoding of an instruction that is not left to the assembler.
func arm64Word(i Instr) uint32 {
	w := arm64Words[i.Op].word | uint32(i.A)<<5 | uint32(i.V)
	switch i.Op {
	case VShl:
		return w | uint32(32+i.Imm)<<16
	case VShr, VSar:
		return w | uint32(64-i.Imm)<<16
	case VSqrt:
		return w
	}
	return w | uint32(i.B)<<16
}

// arm64Text is the same instruction in Arm's syntax, for the comment.
func arm64Text(i Instr) string {
	name := arm64Words[i.Op].name
	switch i.Op {
	case VShl, VShr, VSar:
		return fmt.Sprintf("%s V%d.4S, V%d.4S, #%d", name, i.V, i.A, i.Imm)
	case VSqrt:
		return fmt.Sprintf("%s V%d.4S, V%d.4S", name, i.V, i.A)
	case VFMAS:
		return fmt.Sprintf("%s V%d.4S, V%d.4S, V%d.S[0]", name, i.V, i.A, i.B)
	case VAnd, VOr, VXor:
		return fmt.Sprintf("%s V%d.16B, V%d.16B, V%d.16B", name, i.V, i.A, i.B)
	case VZipLo64, VZipHi64:
		return fmt.Sprintf("%s V%d.2D, V%d.2D, V%d.2D", name, i.V, i.A, i.B)
	}
	return fmt.Sprintf("%s V%d.4S, V%d.4S, V%d.4S", name, i.V, i.A, i.B)
}

func arm64Mem(f *Func, m Mem) string {
	switch {
	case m.Base == frame:
		return f.argAt(m.Disp)
	case m.Index != none && (m.Disp != 0 || m.Scale > 1):
		panic(fmt.Sprintf("%s: no address %+v on arm64", f.Name, m))
	case m.Index != none:
		return fmt.Sprintf("(%s)(%s)", f.T.GNames[m.Base], f.T.GNames[m.Index])
	case m.Disp != 0:
		return fmt.Sprintf("%d(%s)", m.Disp, f.T.GNames[m.Base])
	}
	return fmt.Sprintf("(%s)", f.T.GNames[m.Base])
}
