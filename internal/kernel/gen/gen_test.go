package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
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
				f := micro(target, rows, vectors)
				for _, k := range []int{1, 3, 4, 9} {
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
	ldb, ldc, rs, cs := cols+3, cols+1, k+2, 1
	if transA {
		rs, cs = 1, rows+2
	}
	sizeA := (rows-1)*rs + (k-1)*cs + 1
	a, b, c := random(rng, sizeA), random(rng, (k-1)*ldb+cols), random(rng, (rows-1)*ldc+cols)
	var m Machine
	pa, pb, pc, p := m.AllocFloats(a), m.AllocFloats(b), m.AllocFloats(c), m.Alloc(88)
	const alpha = 0.75
	for offset, x := range map[uint64]int{tileK: k, tileA: int(pa), tileRSA: 4 * rs, tileCSA: 4 * cs,
		tileB: int(pb), tileLDB: 4 * ldb, tileC: int(pc), tileLDC: 4 * ldc} {
		m.Put64(p+offset, uint64(x))
	}
	m.Put32(p+tileAlpha, alpha)
	if add {
		m.Put64(p+tileAcc, 1)
	}
	if err := m.Run(f, p); err != nil {
		t.Fatal(err)
	}
	for i, got := range m.Floats(pc, len(c)) {
		row, col := i/ldc, i%ldc
		want, size := float64(c[i]), 1.0
		if col < cols {
			if !add {
				want = 0
			}
			for l := range k {
				x := alpha * float64(a[row*rs+l*cs]) * float64(b[l*ldb+col])
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
