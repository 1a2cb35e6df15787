package vit

import (
	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit/arch"
)

// rotation holds the rotary position embedding of queries and keys. The zero value rotates nothing.
type rotation struct {
	cos, sin []float32 // [patches, HeadDim/2]
	half     bool      // as Config.RotaryHalf
}

// place precomputes the position-dependent values: the angles of the rotary embedding, and the relative
// position biases.
func (m *model) place() {
	m.rotation = rotation{half: m.RotaryHalf}
	if m.Rotary != arch.RotaryNone {
		cos, sin := m.Rotations()
		m.rotation.cos, m.rotation.sin = narrow(cos), narrow(sin)
	}
	m.biases = nil
	if m.RelBlocks || m.RelShared {
		m.biases = make([][]float32, m.Depth)
		for b := range m.biases {
			t := m.Tokens()
			m.biases[b] = make([]float32, m.Heads*t*t)
		}
		m.placeBiases()
	}
}

func narrow(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

// placeBiases fills the biases from the relative position tables.
func (m *model) placeBiases() {
	t := m.Tokens()
	for b, bias := range m.biases {
		m.eachPair(func(q, k, at int) {
			for h := range m.Heads {
				v := float32(0)
				for _, table := range [][]float32{m.Blocks[b].RelPos, m.RelPos} {
					if table != nil {
						v += table[at*m.Heads+h]
					}
				}
				bias[(h*t+q)*t+k] = v
			}
		})
	}
}

// eachPair calls do for each query and key with the index of the pair in a relative position table.
func (m *model) eachPair(do func(q, k, at int)) {
	t := m.Tokens()
	for q := range t {
		for k := range t {
			do(q, k, m.Distance(q, k))
		}
	}
}

// biasGrad adds the gradient of block b's position biases [Heads, T, T] to the gradients of the tables.
func (m *model) biasGrad(g *grads, b int, dbias []float32) {
	t := m.Tokens()
	m.eachPair(func(q, k, at int) {
		for h := range m.Heads {
			for _, table := range [][]float32{g.Blocks[b].RelPos, g.RelPos} {
				if table != nil {
					table[at*m.Heads+h] += dbias[(h*t+q)*t+k]
				}
			}
		}
	})
}

// rotateTask rotates the heads of rows of x by the positions of their tokens, or undoes that.
type rotateTask struct {
	rotation
	x      kernel.Mat
	each   int // rows per image
	prefix int // the first rows of each image, which are not rotated
	dim    int // width of a head
	back   bool
}

const rotateRows = 32

func (t *rotateTask) Do(_, i int) {
	for r := i * rotateRows; r < min((i+1)*rotateRows, t.x.Rows); r++ {
		if p := r%t.each - t.prefix; p >= 0 {
			n := t.dim / 2
			t.row(t.x.Row(r), t.cos[p*n:(p+1)*n], t.sin[p*n:(p+1)*n])
		}
	}
}

func (t *rotateTask) row(x, cos, sin []float32) {
	sign := float32(1)
	if t.back {
		sign = -1
	}
	for ; len(x) >= t.dim; x = x[t.dim:] {
		if t.half {
			a, b := x[:len(cos)], x[len(cos):2*len(cos)]
			for i, c := range cos {
				s, u, v := sign*sin[i], a[i], b[i]
				a[i], b[i] = u*c-v*s, v*c+u*s
			}
			continue
		}
		for i, c := range cos {
			s, u, v := sign*sin[i], x[2*i], x[2*i+1]
			x[2*i], x[2*i+1] = u*c-v*s, v*c+u*s
		}
	}
}

// rotate rotates queries or keys x, each rows per image, by their positions. With back it applies the inverse
// rotation.
func (e *engine) rotate(x kernel.Mat, each int, back bool) {
	if e.m.rotation.cos == nil || each <= e.m.Prefix() { // a class token alone has no position
		return
	}
	e.rot = rotateTask{rotation: e.m.rotation, x: x, each: each, prefix: e.m.Prefix(), dim: e.m.HeadDim(), back: back}
	e.ex.Pool().Run((x.Rows+rotateRows-1)/rotateRows, &e.rot)
}
