package main

import (
	"fmt"
	"math"
)

// Op is an operation of the small instruction set that every target can print and the interpreter can run.
// Vectors hold 32-bit lanes; arithmetic is on float32 unless the name says otherwise.
type Op uint8

const (
	// General registers (64 bit). D is the destination.
	LoadArg   Op = iota // D = argument Name
	LoadG               // D = 64-bit word at M
	StoreG              // 64-bit word at M = S
	MovG                // D = S
	AddG                // D += S
	SubG                // D -= S
	AddI                // D += Imm
	ShlG                // D <<= Imm
	Label               // Name:
	Jump                // to Name
	JumpZ               // if S == 0, to Name
	JumpLT              // if S < Imm (signed), to Name
	JumpGE              // if S >= Imm (signed), to Name
	SubJumpNZ           // D -= Imm; if D != 0, to Name

	// Memory and constants.
	VLoad  // V = lanes at M
	VStore // lanes at M = A
	VDup   // V = float32 at M in every lane
	VConst // V = Bits in every lane
	VZero  // V = 0
	VMove  // V = A
	VIns   // 128-bit part Imm of V = four lanes at M; part 0 clears the others
	// VScalar makes V the right operand of VFMAS: float32 at M in every lane, or in the first lane only if the
	// target can multiply by one lane.
	VScalar
	Prefetch // the cache line at M, into the second-level cache

	// Lane by lane: V = A op B. Max and Min return B if either is NaN.
	VAdd
	VSub
	VMul
	VDiv
	VMax
	VMin
	VFMA  // V += A*B, rounded once
	VFMS  // V -= A*B, rounded once
	VFMAS // V += A*B with B from VScalar, rounded once
	VSqrt // V = sqrt(A)

	// Bits and 32-bit integers.
	VAnd
	VOr
	VXor
	VAddI
	VSubI
	VShl // V = A << Imm
	VShr // V = A >> Imm, unsigned
	VSar // V = A >> Imm, signed

	// Narrow values, two or four per lane.
	VDotBF16   // V += A0*B0 + A1*B1 for bfloat16 pairs
	VDotU8S8   // V += A0*B0 + ... + A3*B3 for unsigned bytes of A and signed bytes of B, in int32
	VMulU8S8   // V = A0*B0 + A1*B1 for pairs of unsigned bytes of A and signed bytes of B (or at M), in int16
	VPairsI16  // V = A0*B0 + A1*B1 for pairs of int16, in int32
	VAddI16    // V = A + B in int16
	VRoundI    // V = int32 nearest to float32 A, ties to even
	VFloat     // V = float32 of int32 A
	VRoundBF16 // V = bfloat16 of float32 A, rounded to nearest even, in the lower half of the lane
	VStoreBF16 // bfloat16 of every lane of A, rounded to nearest even, at M
	VStoreU8   // low byte of every lane of A at M; A and B are overwritten

	// Within each 128-bit part, of A = a0 a1 a2 a3 and B = b0 b1 b2 b3.
	VZipLo   // a0 b0 a1 b1
	VZipHi   // a2 b2 a3 b3
	VZipLo64 // a0 a1 b0 b1
	VZipHi64 // a2 a3 b2 b3

	VSwap // V = A with lane l where lane l^Imm was, Imm a power of two

	Ret
)

// G is a general register and V a vector register, numbered from 0 as the target has them.
type (
	G int
	V int
)

// none marks an unused register field.
const none = -1

// Mem is an address: Base + Index*Scale + Disp bytes.
type Mem struct {
	Base  G
	Index G // none, or a register
	Scale int
	Disp  int
}

// At is the address base + disp bytes.
func At(base G, disp int) Mem { return Mem{Base: base, Index: none, Disp: disp} }

// Instr is one instruction. Which fields count follows from Op.
type Instr struct {
	Op      Op
	V, A, B V
	D, S    G
	M       Mem
	Imm     int
	Bits    uint32
	Name    string
}

// Arg is one argument of a function, with its Go type: a pointer, int or float32.
type Arg struct{ Name, Type string }

func (a Arg) size() int {
	if a.Type == "float32" {
		return 4
	}
	return 8
}

// offset returns the position of an argument in the argument area.
func (f *Func) offset(name string) int {
	at := 0
	for _, a := range f.Args {
		at = (at + a.size() - 1) &^ (a.size() - 1)
		if a.Name == name {
			return at
		}
		at += a.size()
	}
	if name != "" {
		panic(f.Name + ": no argument " + name)
	}
	return at
}

func (f *Func) frameSize() int { return f.offset("") }

// Func is one function for one target, instruction by instruction.
type Func struct {
	T    *Target
	Name string
	Doc  string
	Args []Arg
	Code []Instr

	freeG, freeV []int
	labels       int
}

// NewFunc starts a function. All registers are free.
func NewFunc(t *Target, name, doc string, args ...Arg) *Func {
	f := &Func{T: t, Name: name + t.Suffix, Doc: doc, Args: args}
	for i := range t.GNames {
		f.freeG = append(f.freeG, i)
	}
	for i := range t.Vectors {
		f.freeV = append(f.freeV, i)
	}
	return f
}

// G takes a free general register.
func (f *Func) G() G {
	if len(f.freeG) == 0 {
		panic(fmt.Sprintf("%s: out of general registers", f.Name))
	}
	r := f.freeG[0]
	f.freeG = f.freeG[1:]
	return G(r)
}

// V takes a free vector register.
func (f *Func) V() V {
	if len(f.freeV) == 0 {
		panic(fmt.Sprintf("%s: out of vector registers", f.Name))
	}
	r := f.freeV[0]
	f.freeV = f.freeV[1:]
	return V(r)
}

// Vs takes n free vector registers.
func (f *Func) Vs(n int) []V {
	vs := make([]V, n)
	for i := range vs {
		vs[i] = f.V()
	}
	return vs
}

// FreeG releases general registers.
func (f *Func) FreeG(gs ...G) {
	for _, g := range gs {
		f.freeG = append(f.freeG, int(g))
	}
}

// FreeV releases vector registers.
func (f *Func) FreeV(vs ...V) {
	for _, v := range vs {
		f.freeV = append(f.freeV, int(v))
	}
}

func (f *Func) emit(i Instr) { f.Code = append(f.Code, i) }

// Arg loads an argument into a new register.
func (f *Func) Arg(name string) G {
	g := f.G()
	f.emit(Instr{Op: LoadArg, D: g, Name: name})
	return g
}

// ArgAddr returns the address of an argument, for float32 arguments that are loaded as vectors.
func (f *Func) ArgAddr(name string) Mem {
	return Mem{Base: frame, Index: none, Disp: f.offset(name)}
}

// frame, as a base register, is the argument area of the function.
const frame G = -2

// NewLabel returns a label name that is free.
func (f *Func) NewLabel(what string) string {
	f.labels++
	return fmt.Sprintf("%s%d", what, f.labels)
}

// Instructions by name, destination first.

func (f *Func) LoadG(d G, m Mem)            { f.emit(Instr{Op: LoadG, D: d, M: m}) }
func (f *Func) StoreG(m Mem, s G)           { f.emit(Instr{Op: StoreG, S: s, M: m}) }
func (f *Func) MovG(d, s G)                 { f.emit(Instr{Op: MovG, D: d, S: s}) }
func (f *Func) AddG(d, s G)                 { f.emit(Instr{Op: AddG, D: d, S: s}) }
func (f *Func) SubG(d, s G)                 { f.emit(Instr{Op: SubG, D: d, S: s}) }
func (f *Func) AddI(d G, n int)             { f.emit(Instr{Op: AddI, D: d, Imm: n}) }
func (f *Func) ShlG(d G, n int)             { f.emit(Instr{Op: ShlG, D: d, Imm: n}) }
func (f *Func) Label(l string)              { f.emit(Instr{Op: Label, Name: l}) }
func (f *Func) Jump(l string)               { f.emit(Instr{Op: Jump, Name: l}) }
func (f *Func) JumpZ(s G, l string)         { f.emit(Instr{Op: JumpZ, S: s, Name: l}) }
func (f *Func) JumpLT(s G, n int, l string) { f.emit(Instr{Op: JumpLT, S: s, Imm: n, Name: l}) }
func (f *Func) JumpGE(s G, n int, l string) { f.emit(Instr{Op: JumpGE, S: s, Imm: n, Name: l}) }
func (f *Func) SubJumpNZ(d G, n int, l string) {
	f.emit(Instr{Op: SubJumpNZ, D: d, Imm: n, Name: l})
}
func (f *Func) Load(v V, m Mem)            { f.emit(Instr{Op: VLoad, V: v, M: m}) }
func (f *Func) Store(m Mem, a V)           { f.emit(Instr{Op: VStore, A: a, M: m}) }
func (f *Func) Dup(v V, m Mem)             { f.emit(Instr{Op: VDup, V: v, M: m}) }
func (f *Func) Zero(v V)                   { f.emit(Instr{Op: VZero, V: v}) }
func (f *Func) Move(v, a V)                { f.emit(Instr{Op: VMove, V: v, A: a}) }
func (f *Func) Ins(v V, part int, m Mem)   { f.emit(Instr{Op: VIns, V: v, Imm: part, M: m}) }
func (f *Func) Scalar(v V, m Mem)          { f.emit(Instr{Op: VScalar, V: v, M: m}) }
func (f *Func) Prefetch(m Mem)             { f.emit(Instr{Op: Prefetch, M: m}) }
func (f *Func) Op2(op Op, v, a, b V)       { f.emit(Instr{Op: op, V: v, A: a, B: b}) }
func (f *Func) Op1(op Op, v, a V)          { f.emit(Instr{Op: op, V: v, A: a}) }
func (f *Func) Shift(op Op, v, a V, n int) { f.emit(Instr{Op: op, V: v, A: a, Imm: n}) }
func (f *Func) Swap(v, a V, distance int)  { f.emit(Instr{Op: VSwap, V: v, A: a, Imm: distance}) }
func (f *Func) Ret()                       { f.emit(Instr{Op: Ret}) }

func (f *Func) StoreBF16(m Mem, a V)  { f.emit(Instr{Op: VStoreBF16, A: a, M: m}) }
func (f *Func) StoreU8(m Mem, a, b V) { f.emit(Instr{Op: VStoreU8, A: a, B: b, M: m}) }

// MulU8S8 multiplies unsigned bytes by signed bytes in memory. The CPU saturates sums at 16 bits, so operands
// must be small enough.
func (f *Func) MulU8S8(v, a V, m Mem) { f.emit(Instr{Op: VMulU8S8, V: v, A: a, B: none, M: m}) }

// Const sets v to a float32 in every lane.
func (f *Func) Const(v V, x float32) { f.ConstBits(v, math.Float32bits(x)) }

// ConstBits sets v to a bit pattern in every lane.
func (f *Func) ConstBits(v V, bits uint32) { f.emit(Instr{Op: VConst, V: v, Bits: bits}) }

// NewConst is Const on a new register.
func (f *Func) NewConst(x float32) V {
	v := f.V()
	f.Const(v, x)
	return v
}

// NewConstBits is ConstBits on a new register.
func (f *Func) NewConstBits(bits uint32) V {
	v := f.V()
	f.ConstBits(v, bits)
	return v
}

// Target is a machine with vectors of float32.
type Target struct {
	Name    string // "avx512", "avx2", "neon": file names and messages
	Suffix  string // of function names
	Arch    string // GOARCH
	Lanes   int    // float32 in a vector
	Vectors int    // vector registers
	GNames  []string
	Rows    int // of the micro-kernel's tile: Rows x 2 vectors
	// Indexed says that an address may be base + index*scale + disp; else it is base + index or base + disp.
	Indexed bool
	print   func(p *printer, f *Func, i Instr)
}

// Bytes is the size of a vector.
func (t *Target) Bytes() int { return 4 * t.Lanes }

var targets = []*Target{
	{Name: "avx2", Suffix: "AVX2", Arch: "amd64", Lanes: 8, Vectors: 16, GNames: amd64Registers, Rows: 6, Indexed: true, print: printAMD64},
	{Name: "avx512", Suffix: "AVX512", Arch: "amd64", Lanes: 16, Vectors: 32, GNames: amd64Registers, Rows: 14, Indexed: true, print: printAMD64},
	{Name: "neon", Suffix: "NEON", Arch: "arm64", Lanes: 4, Vectors: 32, GNames: arm64Registers, Rows: 12, print: printARM64},
}
