package main

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Machine interprets a Func instruction by instruction, so that a kernel can be checked on a CPU that cannot
// run it. Memory is a set of blocks. An access outside them stops the run with an error.
type Machine struct {
	blocks []block
	next   uint64
	g      map[G]uint64
	v      map[V][]uint32
	args   []byte
	steps  int
}

type block struct {
	base uint64
	data []byte
}

// guard is the distance between blocks. It ensures that an access beside an operand cannot reach another one.
const guard = 1 << 20

// Alloc allocates a block of n bytes and returns its address.
func (m *Machine) Alloc(n int) uint64 {
	m.next += guard
	m.blocks = append(m.blocks, block{m.next, make([]byte, n)})
	addr := m.next
	m.next += uint64(n)
	return addr
}

// AllocFloats allocates a block that holds x.
func (m *Machine) AllocFloats(x []float32) uint64 {
	addr := m.Alloc(4 * len(x))
	b := m.at(addr, 4*len(x))
	for i, v := range x {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
	return addr
}

// Floats returns n float32 values at addr.
func (m *Machine) Floats(addr uint64, n int) []float32 {
	b, x := m.at(addr, 4*n), make([]float32, n)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return x
}

// Put64 stores a 64-bit word.
func (m *Machine) Put64(addr, x uint64) { binary.LittleEndian.PutUint64(m.at(addr, 8), x) }

// Put32 stores a float32.
func (m *Machine) Put32(addr uint64, x float32) {
	binary.LittleEndian.PutUint32(m.at(addr, 4), math.Float32bits(x))
}

func (m *Machine) at(addr uint64, n int) []byte {
	for _, b := range m.blocks {
		if addr >= b.base && addr+uint64(n) <= b.base+uint64(len(b.data)) {
			return b.data[addr-b.base : addr-b.base+uint64(n)]
		}
	}
	panic(fmt.Errorf("access to %d bytes at %#x, outside of every block", n, addr))
}

// Run executes f with the given arguments (pointers and integers as they are, float32 as bits).
func (m *Machine) Run(f *Func, args ...uint64) (err error) {
	pc := 0
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s, instruction %d: %v", f.Name, pc, r)
		}
	}()
	if len(args) != len(f.Args) {
		return fmt.Errorf("%s: %d arguments, expected %d", f.Name, len(args), len(f.Args))
	}
	m.g, m.v, m.steps = map[G]uint64{}, map[V][]uint32{}, 0
	m.args = make([]byte, f.frameSize()+8)
	for i, a := range args {
		binary.LittleEndian.PutUint64(m.args[f.offset(f.Args[i].Name):], a)
	}
	labels := map[string]int{}
	for i, ins := range f.Code {
		if ins.Op == Label {
			labels[ins.Name] = i
		}
	}
	for ; ; pc++ {
		if m.steps++; m.steps > 50_000_000 {
			return fmt.Errorf("%s: does not end", f.Name)
		}
		ins := f.Code[pc]
		if ins.Op == Ret {
			return nil
		}
		if to := m.step(f, ins); to != "" {
			target, ok := labels[to]
			if !ok {
				return fmt.Errorf("%s: no label %s", f.Name, to)
			}
			pc = target
		}
	}
}

// step executes one instruction and returns the label to jump to, or "".
func (m *Machine) step(f *Func, i Instr) string {
	switch i.Op {
	case LoadArg:
		m.g[i.D] = binary.LittleEndian.Uint64(m.args[f.offset(i.Name):])
	case LoadG:
		m.g[i.D] = binary.LittleEndian.Uint64(m.mem(i.M, 8))
	case StoreG:
		binary.LittleEndian.PutUint64(m.mem(i.M, 8), m.get(i.S))
	case MovG:
		m.g[i.D] = m.get(i.S)
	case AddG:
		m.g[i.D] = m.get(i.D) + m.get(i.S)
	case SubG:
		m.g[i.D] = m.get(i.D) - m.get(i.S)
	case AddI:
		m.g[i.D] = m.get(i.D) + uint64(i.Imm)
	case ShlG:
		m.g[i.D] = m.get(i.D) << i.Imm
	case Label, Prefetch:
	case Jump:
		return i.Name
	case JumpZ:
		if m.get(i.S) == 0 {
			return i.Name
		}
	case JumpLT:
		if int64(m.get(i.S)) < int64(i.Imm) {
			return i.Name
		}
	case JumpGE:
		if int64(m.get(i.S)) >= int64(i.Imm) {
			return i.Name
		}
	case SubJumpNZ:
		m.g[i.D] = m.get(i.D) - uint64(i.Imm)
		if m.g[i.D] != 0 {
			return i.Name
		}
	default:
		m.vector(f.T, i)
	}
	return ""
}

func (m *Machine) get(r G) uint64 {
	x, ok := m.g[r]
	if !ok {
		panic(fmt.Errorf("general register %d is read before it is set", r))
	}
	return x
}

func (m *Machine) mem(a Mem, n int) []byte {
	if a.Base == frame {
		return m.args[a.Disp : a.Disp+n]
	}
	addr := m.get(a.Base) + uint64(a.Disp)
	if a.Index != none {
		addr += m.get(a.Index) * uint64(max(a.Scale, 1))
	}
	return m.at(addr, n)
}

func (m *Machine) vec(v V) []uint32 {
	x, ok := m.v[v]
	if !ok {
		panic(fmt.Errorf("vector register %d is read before it is set", v))
	}
	return x
}

// vector executes an instruction on vectors.
func (m *Machine) vector(t *Target, i Instr) {
	out := make([]uint32, t.Lanes)
	fill := func(bits uint32) {
		for l := range out {
			out[l] = bits
		}
	}
	switch i.Op {
	case VLoad:
		b := m.mem(i.M, t.Bytes())
		for l := range out {
			out[l] = binary.LittleEndian.Uint32(b[4*l:])
		}
	case VStore:
		b := m.mem(i.M, t.Bytes())
		for l, x := range m.vec(i.A) {
			binary.LittleEndian.PutUint32(b[4*l:], x)
		}
		return
	case VDup, VScalar:
		fill(binary.LittleEndian.Uint32(m.mem(i.M, 4)))
	case VConst:
		fill(i.Bits)
	case VStoreBF16:
		b := m.mem(i.M, 2*t.Lanes)
		for l, x := range m.vec(i.A) {
			binary.LittleEndian.PutUint16(b[2*l:], roundBF16(x))
		}
		delete(m.v, i.A) // the instruction overwrites its operand
		return
	case VMulU8S8:
		b := m.v[i.B]
		if i.B == none {
			m.vector(t, Instr{Op: VLoad, V: none, M: i.M})
			b = m.v[none]
		}
		for l, x := range m.vec(i.A) {
			out[l] = mulPairs(x, b[l])
		}
	case VStoreU8:
		b := m.mem(i.M, t.Lanes)
		for l, x := range m.vec(i.A) {
			b[l] = byte(x)
		}
		delete(m.v, i.A)
		return
	case VZero:
	case VMove:
		copy(out, m.vec(i.A))
	case VIns:
		if i.Imm > 0 {
			copy(out, m.vec(i.V))
		}
		b := m.mem(i.M, 16)
		for l := range 4 {
			out[4*i.Imm+l] = binary.LittleEndian.Uint32(b[4*l:])
		}
	case VSwap:
		for l := range out {
			out[l] = m.vec(i.A)[l^i.Imm]
		}
	case VZipLo, VZipHi, VZipLo64, VZipHi64:
		zip(out, m.vec(i.A), m.vec(i.B), i.Op)
	default:
		m.lanes(out, i)
	}
	m.v[i.V] = out
}

// zip interleaves within 128-bit parts.
func zip(out, a, b []uint32, op Op) {
	for p := 0; p < len(out); p += 4 {
		a, b, o := a[p:p+4], b[p:p+4], out[p:p+4]
		switch op {
		case VZipLo:
			o[0], o[1], o[2], o[3] = a[0], b[0], a[1], b[1]
		case VZipHi:
			o[0], o[1], o[2], o[3] = a[2], b[2], a[3], b[3]
		case VZipLo64:
			o[0], o[1], o[2], o[3] = a[0], a[1], b[0], b[1]
		case VZipHi64:
			o[0], o[1], o[2], o[3] = a[2], a[3], b[2], b[3]
		}
	}
}

// lanes executes an operation lane by lane.
func (m *Machine) lanes(out []uint32, i Instr) {
	a := m.vec(i.A)
	var b, c []uint32
	switch i.Op {
	case VSqrt, VShl, VShr, VSar, VRoundI, VFloat, VRoundBF16:
		b = a
	default:
		b = m.vec(i.B)
	}
	c = out
	switch i.Op {
	case VFMA, VFMS, VFMAS, VDotBF16, VDotU8S8:
		c = m.vec(i.V)
	}
	for l := range out {
		out[l] = lane(i, a[l], b[l], c[l])
	}
}

func lane(i Instr, a, b, c uint32) uint32 {
	x, y, z := math.Float32frombits(a), math.Float32frombits(b), math.Float32frombits(c)
	var f float32
	switch i.Op {
	case VAdd:
		f = x + y
	case VSub:
		f = x - y
	case VMul:
		f = x * y
	case VDiv:
		f = x / y
	case VMax:
		if f = y; x > y {
			f = x
		}
	case VMin:
		if f = y; x < y {
			f = x
		}
	case VFMA, VFMAS:
		f = float32(math.FMA(float64(x), float64(y), float64(z)))
	case VFMS:
		f = float32(math.FMA(-float64(x), float64(y), float64(z)))
	case VSqrt:
		f = float32(math.Sqrt(float64(x)))
	case VDotBF16:
		f = z + widen(a>>16)*widen(b>>16)
		f += widen(a) * widen(b)
	case VDotU8S8:
		for s := 0; s < 32; s += 8 {
			c += uint32(int32(byte(a>>s)) * int32(int8(b>>s)))
		}
		return c
	case VRoundI:
		return uint32(int32(math.RoundToEven(float64(x))))
	case VPairsI16:
		return uint32(int32(int16(a))*int32(int16(b)) + int32(int16(a>>16))*int32(int16(b>>16)))
	case VAddI16:
		return addPairs(a, b)
	case VRoundBF16:
		return uint32(roundBF16(a))
	case VFloat:
		f = float32(int32(a))
	case VAnd:
		return a & b
	case VOr:
		return a | b
	case VXor:
		return a ^ b
	case VAddI:
		return a + b
	case VSubI:
		return a - b
	case VShl:
		return a << i.Imm
	case VShr:
		return a >> i.Imm
	case VSar:
		return uint32(int32(a) >> i.Imm)
	default:
		panic(fmt.Errorf("no meaning for operation %d", i.Op))
	}
	return math.Float32bits(f)
}

// widen returns the float32 of the bfloat16 in the lower half of x.
func widen(x uint32) float32 { return math.Float32frombits(x << 16) }

// roundBF16 rounds to nearest even, as the processor does: a subnormal becomes 0, a NaN quiet.
func roundBF16(x uint32) uint16 {
	switch exponent := x >> 23 & 0xff; {
	case exponent == 0:
		return uint16(x>>16) & 0x8000
	case exponent == 0xff && x<<9 != 0:
		return uint16(x>>16) | 0x40
	}
	return uint16((x + 0x7fff + x>>16&1) >> 16)
}

// mulPairs multiplies unsigned by signed bytes and adds pairs in int16. The CPU saturates. A kernel that
// saturates is wrong, so the interpreter stops.
func mulPairs(a, b uint32) uint32 {
	var out uint32
	for s := 0; s < 32; s += 16 {
		x := int(byte(a>>s))*int(int8(b>>s)) + int(byte(a>>(s+8)))*int(int8(b>>(s+8)))
		if x != int(int16(x)) {
			panic(fmt.Errorf("sum of two byte products %d does not fit into 16 bits", x))
		}
		out |= uint32(uint16(x)) << s
	}
	return out
}

// addPairs adds in int16. A sum that does not fit stops the interpreter, as in mulPairs.
func addPairs(a, b uint32) uint32 {
	var out uint32
	for s := 0; s < 32; s += 16 {
		x := int(int16(a>>s)) + int(int16(b>>s))
		if x != int(int16(x)) {
			panic(fmt.Errorf("sum of byte products %d does not fit into 16 bits", x))
		}
		out |= uint32(uint16(x)) << s
	}
	return out
}
