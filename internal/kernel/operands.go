package kernel

import "unsafe"

// maxLanes is the most float32 in a vector of any kernel set.
const maxLanes = 16

// operands are the arguments of a kernel over slices: each takes those that its comment names. n is a positive
// multiple of the lanes. Assembly knows the layout of this struct.
type operands struct {
	p [5]*float32
	n int
	s [10]float32
}

// fast says that there is assembly for the kernel set in use.
func fast() bool { return current.id != setPortable }

// run applies op to n elements of each operand, of which the first outs are written. The elements that do
// not fill a vector are copied to one that they fill in part: every element is computed by the same
// instructions wherever it stands.
func (o *operands) run(op vecOp, n, outs int) {
	whole := n &^ (current.lanes - 1)
	if whole > 0 {
		o.n = whole
		asmVec(op, o)
	}
	if rest := n - whole; rest > 0 {
		var buf [5][maxLanes]float32
		o.last(op, &buf, whole, rest)
		for i := range outs {
			copy(unsafe.Slice(at(o.p[i], 4*whole), rest), buf[i][:])
		}
	}
}

// last applies op to copies of the elements from whole on.
func (o *operands) last(op vecOp, buf *[5][maxLanes]float32, whole, rest int) {
	t := operands{n: current.lanes, s: o.s}
	for i, p := range o.p {
		if p != nil {
			copy(buf[i][:], unsafe.Slice(at(p, 4*whole), rest))
			t.p[i] = &buf[i][0]
		}
	}
	asmVec(op, &t)
}

// sums is two sums lane by lane, which begin at multiples of maxLanes.
type sums [2 * maxLanes]float32

// reduce returns the sums of n elements. What fills up the last vector is pad, which must add nothing.
func (o *operands) reduce(op vecOp, n int, pad float32) (s sums) {
	whole := n &^ (current.lanes - 1)
	if whole > 0 {
		m := *o
		m.n, m.p[4] = whole, &s[0]
		asmVec(op, &m)
	}
	if rest := n - whole; rest > 0 {
		var buf [5][maxLanes]float32
		if pad != 0 {
			for i := range buf[0] {
				buf[0][i] = pad
			}
		}
		var t sums
		o.lastSums(op, &buf, whole, rest, &t)
		for i := range s {
			s[i] += t[i]
		}
	}
	return s
}

func (o *operands) lastSums(op vecOp, buf *[5][maxLanes]float32, whole, rest int, s *sums) {
	t := operands{n: current.lanes, s: o.s}
	for i, p := range o.p[:4] {
		if p != nil {
			copy(buf[i][:], unsafe.Slice(at(p, 4*whole), rest))
			t.p[i] = &buf[i][0]
		}
	}
	t.p[4] = &s[0]
	asmVec(op, &t)
}

// total adds up the lanes of sum i pairwise.
func (s *sums) total(i int) float64 {
	var t [maxLanes]float64
	for l, v := range s[i*maxLanes:][:maxLanes] {
		t[l] = float64(v)
	}
	for h := maxLanes / 2; h > 0; h /= 2 {
		for l := range h {
			t[l] += t[l+h]
		}
	}
	return t[0]
}

// ptr returns the address of the first element of a slice that must have n.
func ptr(x []float32, n int) *float32 {
	if len(x) < n {
		panic("kernel: an operand is too short")
	}
	return unsafe.SliceData(x)
}

// gridOperands are the arguments of a kernel over the rows of matrices: each takes those that its comment names,
// with the distances of their rows in bytes. n, the columns, is a positive multiple of the lanes, and rows
// is positive. Assembly knows the layout of this struct.
type gridOperands struct {
	p     [6]*float32
	ld    [6]int
	n     int
	rows  int
	s     [4]float32
	lanes [maxLanes]float32 //lint:ignore U1000 scratch of the assembly
}

// set makes operand i the matrix m, or a row that is the same for all.
func (o *gridOperands) set(i int, m Mat) { o.p[i], o.ld[i] = unsafe.SliceData(m.Data), 4*m.Stride }
