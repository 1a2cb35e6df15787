package main

import "slices"

// Offsets in the struct gridOperands of package kernel.
const (
	gridP    = 0 // six pointers
	gridLD   = 48
	gridN    = 96
	gridRows = 104
	gridS    = 112
	gridSize = 128
)

// grid is a kernel over the rows of matrices: a loop over rows around the loops of a vec. From row to row,
// operand i advances by ld[i] bytes.
type grid struct {
	*vec
	o, rows G
	still   []G // pointers that move with the rows only
	tmp     G
}

// newGrid starts a kernel. The first moving operands advance along a row, the still ones after them do not.
func newGrid(t *Target, name, doc string, moving, still, scalars, temps int) *grid {
	v := &vec{half: whole, Func: NewFunc(t, name, doc, Arg{"o", "*gridOperands"}), consts: map[uint32]V{}, loose: map[V]struct{}{}}
	g := &grid{vec: v, o: v.Arg("o")}
	for i := range moving + still {
		p := v.field(g.o, gridP+8*i)
		if i < moving {
			v.p = append(v.p, p)
		} else {
			g.still = append(g.still, p)
		}
	}
	v.n, g.rows, g.tmp = v.G(), v.field(g.o, gridRows), v.G()
	v.s = v.Vs(scalars)
	for i, r := range v.s {
		v.Dup(r, At(g.o, gridS+4*i))
	}
	if temps < len(v.freeV) {
		v.freeV, v.pool = slices.Clone(v.freeV[:temps]), v.freeV[temps:]
	}
	return g
}

// eachRow emits the loop over rows around body.
func (g *grid) eachRow(body func()) *Func {
	g.mark = len(g.Code)
	g.Label("row")
	body()
	g.rewind()
	for i, p := range slices.Concat(g.p, g.still) {
		g.LoadG(g.tmp, At(g.o, gridLD+8*i))
		g.AddG(p, g.tmp)
	}
	g.SubJumpNZ(g.rows, 1, "row")
	return g.end()
}

// columns emits a loop over the vectors of a row.
func (g *grid) columns(unroll int, body func(j int)) {
	g.LoadG(g.n, At(g.o, gridN))
	g.inner(unroll, body)
}

// rewind moves the moving operands back to the beginning of the row.
func (g *grid) rewind() {
	g.LoadG(g.tmp, At(g.o, gridN))
	if g.half == whole {
		g.ShlG(g.tmp, 2)
	} else {
		g.ShlG(g.tmp, 1)
		g.SubG(g.p[g.half], g.tmp)
		g.ShlG(g.tmp, 1)
	}
	for i, p := range g.p {
		if i != g.half {
			g.SubG(p, g.tmp)
		}
	}
}

// spread combines the lanes of acc pairwise, neighbours first, and sets every lane of acc to the result.
func (g *grid) spread(op Op, acc V) {
	other := g.V()
	for distance := 1; distance < g.T.Lanes; distance *= 2 {
		g.Swap(other, acc, distance)
		g.Op2(op, acc, acc, other)
	}
	g.FreeV(other)
}
