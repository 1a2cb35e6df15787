package kernel

import "unsafe"

// maxLanes is the largest number of float32 values in a vector of any kernel set.
const maxLanes = 16

// operands are the arguments of a kernel over slices. Each kernel uses those that its comment names. n is a
// positive multiple of the lanes. Assembly depends on the layout of this struct.
type operands struct {
	p [5]*float32
	n int
	s [10]float32
}

// fast reports whether the kernel set in use has assembly.
func fast() bool { return current.id != setPortable }

// run applies op to n elements of each operand; the first outs operands are written. Elements that do not fill
// a vector are copied to a padded vector, so that every element is computed by the same instructions wherever
// it is.
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

// sums holds two sums per lane; they start at multiples of maxLanes.
type sums [2 * maxLanes]float32

// reduce returns the sums over n elements. The last vector is filled up with pad, which must not change the
// sums.
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

// ptr returns the address of the first element of a slice, which must have at least n elements.
func ptr(x []float32, n int) *float32 {
	if len(x) < n {
		panic("kernel: an operand is too short")
	}
	return unsafe.SliceData(x)
}

// gridOperands are the arguments of a kernel over the rows of matrices, with the row strides in bytes. Each
// kernel uses those that its comment names. n, the number of columns, is a positive multiple of the lanes, and
// rows is positive. Assembly depends on the layout of this struct.
type gridOperands struct {
	p    [6]*float32
	ld   [6]int
	n    int
	rows int
	s    [4]float32
}

// set makes m operand i. A matrix with stride 0 is the same row for all.
func (o *gridOperands) set(i int, m Mat) { o.p[i], o.ld[i] = unsafe.SliceData(m.Data), 4*m.Stride }
