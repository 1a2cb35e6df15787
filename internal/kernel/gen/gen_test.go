package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestCommittedFilesAreCurrent: what the generator writes is what is committed beside it.
func TestCommittedFilesAreCurrent(t *testing.T) {
	for name, want := range files() {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Error(err)
		} else if string(got) != want {
			t.Errorf("%s is not what the generator writes: run go run . in internal/kernel/gen", name)
		}
	}
}

func random(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// TestMicroKernels interprets every micro-kernel of every target and compares with the definition.
func TestMicroKernels(t *testing.T) {
	for _, target := range targets {
		for rows := 1; rows <= target.Rows; rows++ {
			for vectors := 1; vectors <= 2; vectors++ {
				f := micro(target, float32s, rows, vectors)
				for _, k := range []int{1, 3, 4, 5, 8, 9} {
					for _, transA := range []bool{false, true} {
						t.Run(fmt.Sprintf("%s/k=%d,transA=%v", f.Name, k, transA), func(t *testing.T) {
							checkMicro(t, f, rows, vectors*target.Lanes, k, transA, k%2 == 0)
						})
					}
				}
			}
		}
	}
}

func checkMicro(t *testing.T, f *Func, rows, cols, k int, transA, add bool) {
	rng := rand.New(rand.NewPCG(uint64(rows), uint64(k)))
	then, more := 0, k%3 // c = alpha*sum, or += if 1, or = sum if 2; and that many tiles more
	if add {
		then = 1
	} else if k > 4 {
		then = 2
	}
	all := cols * (1 + more)
	ldb, ldc, rs, cs := cols+3, all+1, k+2, 1
	if transA {
		rs, cs = 1, rows+2
	}
	sizeA := (rows-1)*rs + (k-1)*cs + 1
	a, b, c := random(rng, sizeA), random(rng, k*ldb*(1+more)), random(rng, (rows-1)*ldc+all)
	var m Machine
	pa, pb, pc, p := m.AllocFloats(a), m.AllocFloats(b), m.AllocFloats(c), m.Alloc(tileSize)
	alpha := 0.75
	for offset, x := range map[uint64]int{tileK: k, tileA: int(pa), tileRSA: 4 * rs, tileCSA: 4 * cs,
		tileB: int(pb), tileLDB: 4 * ldb, tileC: int(pc), tileLDC: 4 * ldc, tileAcc: then, tileMore: more} {
		m.Put64(p+offset, uint64(x))
	}
	m.Put32(p+tileAlpha, float32(alpha))
	if err := m.Run(f, p); err != nil {
		t.Fatal(err)
	}
	if then == 2 {
		alpha = 1
	}
	for i, got := range m.Floats(pc, len(c)) {
		row, col := i/ldc, i%ldc
		want, size := float64(c[i]), 1.0
		if col < all {
			if !add {
				want = 0
			}
			for l := range k {
				x := alpha * float64(a[row*rs+l*cs]) * float64(b[(col/cols*k+l)*ldb+col%cols])
				want += x
				size += math.Abs(x)
			}
		}
		if math.Abs(float64(got)-want) > 1e-6*size {
			t.Fatalf("element %d, %d: got %v, want %v", row, col, got, want)
		}
	}
}

func TestTranspose(t *testing.T) {
	for _, target := range targets {
		f := transpose(target)
		const n, lds = 12, 17
		ldd := target.Lanes + 3
		rng := rand.New(rand.NewPCG(1, 2))
		src, dst := random(rng, (target.Lanes-1)*lds+n), make([]float32, (n-1)*ldd+target.Lanes)
		var m Machine
		ps, pd := m.AllocFloats(src), m.AllocFloats(dst)
		if err := m.Run(f, pd, uint64(4*ldd), ps, 4*lds, n, ps); err != nil {
			t.Fatal(err)
		}
		got := m.Floats(pd, len(dst))
		for k := range n {
			for i := range target.Lanes {
				if got[k*ldd+i] != src[i*lds+k] {
					t.Fatalf("%s: element %d of row %d is wrong", f.Name, k, i)
				}
			}
		}
	}
}

// TestTransposeNarrow compares the transposing of narrow weights with their definitions.
func TestTransposeNarrow(t *testing.T) {
	for _, target := range targets {
		for _, e := range elements(target)[1:] {
			if e.per == 4 {
				checkTranspose(t, target, transposeI8F32(target), e, float32s)
			}
			if target.Lanes == 16 && e.per == 4 {
				checkTranspose(t, target, transposeI8(target), e, bfloat16)
			} else if e.per == 2 {
				checkTranspose(t, target, transposeBF16(target), e, bfloat16)
			}
		}
	}
}

// checkTranspose checks a kernel that transposes elements from to elements to.
func checkTranspose(t *testing.T, target *Target, f *Func, from, to element) {
	t.Helper()
	const n, lds, ldd = 8, 11, 37
	width := 2 * target.Lanes
	rng := rand.New(rand.NewPCG(3, 4))
	src, rows := from.words(rng, (target.Lanes-1)*lds+n, 1, false), target.Lanes*from.per
	var m Machine
	ps := m.AllocFloats(src)
	args := []uint64{4 * ldd, ps, 4 * lds, n, ps}
	var panels []uint64
	size := (n/to.per-1)*ldd + width
	for range rows / width {
		panels = append(panels, m.Alloc(4*size))
	}
	if err := m.Run(f, append(slices.Clone(panels), args...)...); err != nil {
		t.Fatal(err)
	}
	for k := range rows {
		got := m.Floats(panels[k/width], size)
		for col := range n {
			want := from.number(src[k/from.per*lds+col], k%from.per, false)
			if x := to.number(got[col/to.per*ldd+k%width], col%to.per, false); x != want {
				t.Fatalf("%s: k %d of column %d: got %v, want %v", f.Name, k, col, x, want)
			}
		}
	}
}

// TestNarrowing interprets the kernels that make narrow operands.
func TestNarrowing(t *testing.T) {
	for _, target := range targets {
		for _, e := range elements(target)[1:] {
			if e.per == 2 {
				checkRounding(t, target)
			} else {
				checkQuantizing(t, target)
			}
		}
	}
}

// narrowOperands returns a machine, random numbers in it with some that are not finite, and room for as many.
func narrowOperands() (m *Machine, a, b []float32, pa, pb, pd uint64) {
	rng := rand.New(rand.NewPCG(5, 6))
	a, b = random(rng, 48), random(rng, 48)
	a[7], a[9] = float32(math.NaN()), float32(math.Inf(-1))
	m = &Machine{}
	return m, a, b, m.AllocFloats(a), m.AllocFloats(b), m.Alloc(4 * len(a))
}

func same(t *testing.T, what string, i int, got, want float64) {
	t.Helper()
	if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
		t.Errorf("%s %d: got %v, want %v", what, i, got, want)
	}
}

func checkRounding(t *testing.T, target *Target) {
	m, a, b, pa, pb, pd := narrowOperands()
	n := len(a)
	bf := func(x float32) float64 { return float64(widen(uint32(roundBF16(math.Float32bits(x))))) }
	if err := m.Run(pairBF16(target), pd, pa, pb, uint64(n)); err != nil {
		t.Fatal(err)
	}
	for i, w := range m.Floats(pd, n) {
		same(t, "first of pair", i, bfloat16.number(w, 0, true), bf(a[i]))
		same(t, "second of pair", i, bfloat16.number(w, 1, true), bf(b[i]))
	}
	if err := m.Run(narrowBF16(target), pd, pa, uint64(n)); err != nil {
		t.Fatal(err)
	}
	for i, w := range m.Floats(pd, n/2) {
		same(t, "number", 2*i, bfloat16.number(w, 0, true), bf(a[2*i]))
		same(t, "number", 2*i+1, bfloat16.number(w, 1, true), bf(a[2*i+1]))
	}
}

func checkQuantizing(t *testing.T, target *Target) {
	m, _, b, pa, pb, pd := narrowOperands()
	n := len(b)
	lo, hi := m.Alloc(target.Bytes()), m.Alloc(target.Bytes())
	float := func(x float32) uint64 { return uint64(math.Float32bits(x)) }
	for _, run := range []struct {
		f    *Func
		args []uint64
	}{
		{quantize(target), []uint64{pd, pb, uint64(n), float(50), float(100), float(200)}},
		{rangeOf(target), []uint64{lo, hi, pb, uint64(n)}},
	} {
		if err := m.Run(run.f, run.args...); err != nil {
			t.Fatal(err)
		}
	}
	for i, x := range b {
		want := math.RoundToEven(float64(min(max(x*50+100, 0), 200)))
		same(t, "byte", i, bytes8.number(m.Floats(pd, n/4)[i/4], i%4, true), want)
	}
	same(t, "least", 0, float64(slices.Min(m.Floats(lo, target.Lanes))), float64(slices.Min(b)))
	same(t, "most", 0, float64(slices.Max(m.Floats(hi, target.Lanes))), float64(slices.Max(b)))
	if err := m.Run(rangeOf(target), lo, hi, pa, uint64(n)); err != nil {
		t.Fatal(err)
	}
	if least := slices.Min(m.Floats(lo, target.Lanes)); least == least {
		t.Errorf("least of numbers that are not all finite: got %v, want NaN", least)
	}
}

// TestMachineStopsAtTheEdge: the interpreter refuses what a guard page would.
func TestMachineStopsAtTheEdge(t *testing.T) {
	target := targets[0]
	f := NewFunc(target, "read", "", Arg{"p", "*float32"})
	p := f.Arg("p")
	v := f.V()
	f.Load(v, At(p, 4))
	f.Ret()
	var m Machine
	if err := m.Run(f, m.Alloc(target.Bytes())); err == nil {
		t.Fatal("a vector that begins inside and ends outside was read")
	}
}

// TestNarrowMicroKernels does the same for bfloat16 and bytes.
func TestNarrowMicroKernels(t *testing.T) {
	for _, target := range targets {
		for _, e := range elements(target)[1:] {
			for rows := 1; rows <= e.rows(target); rows++ {
				for vectors := 1; vectors <= 2; vectors++ {
					for _, k := range []int{1, 5} {
						checkNarrow(t, micro(target, e, rows, vectors), e, rows, vectors*target.Lanes, k*e.atOnce)
					}
				}
			}
		}
	}
}

// number returns number i of a word, as the left or the right operand has it.
func (e element) number(word float32, i int, left bool) float64 {
	bits := math.Float32bits(word)
	switch {
	case e.per == 1:
		return float64(word)
	case e.per == 2:
		return float64(widen(bits >> (16 * i)))
	case left:
		return float64(uint8(bits >> (8 * i)))
	}
	return float64(int8(bits >> (8 * i)))
}

// words returns n words of random numbers of type e, as the left or the right operand has them, which has cols columns.
func (e element) words(rng *rand.Rand, n, cols int, left bool) []float32 {
	x := make([]float32, n)
	for i := range x {
		bits := rng.Uint32()
		switch {
		case e.dot == VMulU8S8 && left:
			bits = sevenBits(rng)
		case e.per == 2:
			lo, hi := math.Float32bits(float32(rng.NormFloat64())), math.Float32bits(float32(rng.NormFloat64()))
			bits = lo>>16 | hi&0xffff0000
		}
		x[i] = math.Float32frombits(bits)
	}
	if e.dot == VMulU8S8 && !left {
		for i := 0; i+e.atOnce*cols <= n; i += e.atOnce * cols {
			for col := range cols {
				for word, bits := range boundedBytes(rng) {
					x[i+word*cols+col] = math.Float32frombits(bits)
				}
			}
		}
	}
	return x
}

// sevenBits returns a word of numbers up to 127, that often.
func sevenBits(rng *rand.Rand) (bits uint32) {
	for s := 0; s < 32; s += 8 {
		bits |= uint32(min(rng.IntN(190), 127)) << s
	}
	return bits
}

// boundedBytes returns what one step takes of one column: two sums of eight numbers with magnitudes of 258 together, of
// which some are 127, and often all have one sign.
func boundedBytes(rng *rand.Rand) (words [4]uint32) {
	for half := range 2 {
		left, sign := 258, 1-2*rng.IntN(2)
		for _, i := range rng.Perm(8) {
			b := min(rng.IntN(2*left+1), left, 127)
			left -= b
			words[i/2] |= uint32(uint8(int8(sign*b))) << (16*half + 8*(i%2))
			if half == 1 {
				sign = 1 - 2*rng.IntN(2)
			}
		}
	}
	return words
}

func checkNarrow(t *testing.T, f *Func, e element, rows, cols, k int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(rows), uint64(k)))
	a, b := e.words(rng, rows*k, cols, true), e.words(rng, k*cols, cols, false)
	rowQuant, sums, scales := random(rng, 2*rows), random(rng, cols), random(rng, cols)
	var m Machine
	pa, pb, pc, p := m.AllocFloats(a), m.AllocFloats(b), m.Alloc(4*rows*cols), m.Alloc(tileSize)
	for offset, x := range map[uint64]uint64{tileK: uint64(k / e.atOnce), tileA: pa, tileRSA: uint64(4 * k), tileCSA: 4, tileB: pb,
		tileLDB: uint64(4 * cols), tileC: pc, tileLDC: uint64(4 * cols), tileRowQuant: m.AllocFloats(rowQuant),
		tileColSum: m.AllocFloats(sums), tileColScale: m.AllocFloats(scales)} {
		m.Put64(p+offset, x)
	}
	m.Put32(p+tileAlpha, 1)
	if err := m.Run(f, p); err != nil {
		t.Fatal(err)
	}
	for i, got := range m.Floats(pc, rows*cols) {
		row, col := i/cols, i%cols
		var want, size float64
		for l := range k * e.per {
			x := e.number(a[row*k+l/e.per], l%e.per, true) * e.number(b[l/e.per*cols+col], l%e.per, false)
			want += x
			size += math.Abs(x)
		}
		if e.per == 4 {
			zero, scale := float64(rowQuant[2*row]), float64(rowQuant[2*row+1])*float64(scales[col])
			want = (want - zero*float64(sums[col])) * scale
			size = (size + math.Abs(zero*float64(sums[col]))) * math.Abs(scale)
		}
		if !(math.Abs(float64(got)-want) <= 1e-6*size) {
			t.Fatalf("%s, k=%d: element %d, %d: got %v, want %v", f.Name, k, row, col, got, want)
		}
	}
}

// TestEncodings compares instructions that are written as bytes with what GNU as 2.40 makes of them.
func TestEncodings(t *testing.T) {
	for _, c := range []struct {
		instruction string
		got, want   []byte
	}{
		{"vdpbf16ps zmm1, zmm2, zmm3", evex(2, 0x52, 1, 2, 3), []byte{0x62, 0xf2, 0x6e, 0x48, 0x52, 0xcb}},
		{"vdpbf16ps zmm30, zmm17, zmm9", evex(2, 0x52, 30, 17, 9), []byte{0x62, 0x42, 0x76, 0x40, 0x52, 0xf1}},
		{"vdpbf16ps zmm9, zmm31, zmm28", evex(2, 0x52, 9, 31, 28), []byte{0x62, 0x12, 0x06, 0x40, 0x52, 0xcc}},
		{"{vex} vpdpbusd ymm1, ymm2, ymm3", vex(0x50, 1, 2, 3), []byte{0xc4, 0xe2, 0x6d, 0x50, 0xcb}},
		{"{vex} vpdpbusd ymm15, ymm9, ymm12", vex(0x50, 15, 9, 12), []byte{0xc4, 0x42, 0x35, 0x50, 0xfc}},
		{"{vex} vpdpbusd ymm4, ymm15, ymm8", vex(0x50, 4, 15, 8), []byte{0xc4, 0xc2, 0x05, 0x50, 0xe0}},
		{"vcvtneps2bf16 ymm0, zmm0", evex(2, 0x72, 0, 0, 0), []byte{0x62, 0xf2, 0x7e, 0x48, 0x72, 0xc0}},
		{"vcvtneps2bf16 ymm27, zmm13", evex(2, 0x72, 27, 0, 13), []byte{0x62, 0x42, 0x7e, 0x48, 0x72, 0xdd}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: got % x, want % x", c.instruction, c.got, c.want)
		}
	}
}
