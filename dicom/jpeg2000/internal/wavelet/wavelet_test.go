package wavelet

import (
	"math"
	"math/rand/v2"
	"testing"
)

// analyse does one level of the forward transform of a line, straight from the definition, T.800 annex F: steps on a line
// that is mirrored at both ends. It returns the low-pass samples and then the high-pass ones.
func analyse(line []float64, odd bool, steps []func(l, r float64) float64, low, high float64) []float64 {
	n := len(line)
	x := append([]float64(nil), line...)
	if n == 1 {
		if odd {
			x[0] *= 2
		}
		return x
	}
	o := 0
	if odd {
		o = 1
	}
	at := func(i int) float64 { // mirrored
		if i < 0 {
			i = -i
		}
		if i >= n {
			i = 2*(n-1) - i
		}
		return x[i]
	}
	for s, step := range steps { // the first is of high-pass samples
		for i := range n {
			if (i+o)&1 != s&1 {
				x[i] += step(at(i-1), at(i+1))
			}
		}
	}
	var a, b []float64
	for i, v := range x {
		if (i+o)&1 == 0 {
			a = append(a, v*low)
		} else {
			b = append(b, v*high)
		}
	}
	return append(a, b...)
}

var steps53 = []func(l, r float64) float64{
	func(l, r float64) float64 { return -math.Floor((l + r) / 2) },
	func(l, r float64) float64 { return math.Floor((l + r + 2) / 4) },
}

func lifted(k float64) func(l, r float64) float64 {
	return func(l, r float64) float64 { return k * (l + r) }
}

var steps97 = []func(l, r float64) float64{lifted(alpha), lifted(beta), lifted(gamma), lifted(delta)}

// forward transforms columns and then rows.
func forward(p []float64, w, h int, oddX, oddY bool, line func(x []float64, odd bool) []float64) {
	col := make([]float64, h)
	for x := range w {
		for y := range h {
			col[y] = p[y*w+x]
		}
		for y, v := range line(col, oddY) {
			p[y*w+x] = v
		}
	}
	for y := range h {
		copy(p[y*w:][:w], line(p[y*w:][:w], oddX))
	}
}

// each calls f for levels of all small sizes and origins.
func each(f func(w, h int, oddX, oddY bool)) {
	for w := 1; w < 12; w++ {
		for h := 1; h < 12; h++ {
			for o := range 4 {
				f(w, h, o&1 != 0, o&2 != 0)
			}
		}
	}
	f(67, 45, true, false)
}

// inverse does one level as a decoder does: the low-pass quarter in the last rows of what is made.
func inverse[T int32 | float32](p []float64, w, h int, oddX, oddY bool, do func(*Level[T])) []T {
	lw, _ := parts(w, oddX)
	lh, _ := parts(h, oddY)
	out, high := make([]T, w*h), make([]T, w*h)
	for i, v := range p {
		high[i] = T(v)
	}
	for y := range lh {
		copy(out[(h-lh+y)*w:][:lw], high[y*w:])
	}
	do(&Level[T]{W: w, H: h, OddX: oddX, OddY: oddY, Out: out, OutStride: w, Low: out[(h-lh)*w:], LowStride: w,
		High: high, HighStride: w})
	return out
}

func TestReversible(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	each(func(w, h int, oddX, oddY bool) {
		want := make([]float64, w*h)
		for i := range want {
			want[i] = float64(r.IntN(4096) - 2048)
		}
		p := append([]float64(nil), want...)
		forward(p, w, h, oddX, oddY, func(x []float64, odd bool) []float64 { return analyse(x, odd, steps53, 1, 1) })
		var rev Reversible[int32]
		for i, v := range inverse(p, w, h, oddX, oddY, rev.Inverse) {
			if float64(v) != want[i] {
				t.Fatalf("%d x %d, odd %v %v: sample %d is %d, want %v", w, h, oddX, oddY, i, v, want[i])
			}
		}
	})
}

func TestIrreversible(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	each(func(w, h int, oddX, oddY bool) {
		want := make([]float64, w*h)
		for i := range want {
			want[i] = float64(r.IntN(4096) - 2048)
		}
		p := append([]float64(nil), want...)
		forward(p, w, h, oddX, oddY, func(x []float64, odd bool) []float64 {
			return analyse(x, odd, steps97, 1.0/scale, 1.0/highScale)
		})
		var irr Irreversible
		for i, v := range inverse(p, w, h, oddX, oddY, irr.Inverse) {
			// Rounding in 24 bits, of values up to 2^13 in six steps of either direction.
			if math.Abs(float64(v)-want[i]) > 0.01 {
				t.Fatalf("%d x %d, odd %v %v: sample %d is %v, want %v", w, h, oddX, oddY, i, v, want[i])
			}
		}
	})
}
