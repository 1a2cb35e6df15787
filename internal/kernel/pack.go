package kernel

import "unsafe"

// packScratch is a worker's memory for matrix products.
type packScratch struct {
	b    []float32 // one panel of the right-hand side [k, panel]
	y    []float32 // rows of the product before the epilogue
	tile tile
	edge [maxRows * maxPanel]float32 // a tile that reaches over the edge of C
}

// Elem is the type of the elements of a Packed.
type Elem uint8

// The element types. bf16 and int8 follow.
const F32 Elem = iota

// Packed is a frozen weight [N, K], the right-hand side of Gemm, in panels of as many output columns as a
// tile of the kernel set in use is wide: panel j has the K rows w[j*panel .. (j+1)*panel][k], filled up
// with zeros.
type Packed struct {
	K, N int
	elem Elem
	data []float32
}

// Elem returns the type of the elements.
func (p *Packed) Elem() Elem { return p.elem }

// Bytes returns the memory that the elements take.
func (p *Packed) Bytes() int64 { return 4 * int64(len(p.data)) }

// packTask packs one panel per item.
type packTask struct {
	p      *Packed
	w      []float32
	unpack bool
}

// Pack lays out w [out, in] for Gemm, on all workers of ex.
func Pack(ex *Exec, w []float32, out, in int) *Packed {
	panels := (out + current.panel() - 1) / current.panel()
	p := &Packed{K: in, N: out, data: alignedFloats(panels * current.panel() * in)}
	p.Repack(ex, w)
	return p
}

// Repack replaces the values.
func (p *Packed) Repack(ex *Exec, w []float32) {
	if len(w) < p.N*p.K {
		panic("kernel: Repack: too few numbers")
	}
	ex.packing = packTask{p: p, w: w}
	ex.pool.Run((p.N+current.panel()-1)/current.panel(), &ex.packing)
}

// Unpack writes the weight [N, K] to dst.
func (p *Packed) Unpack(dst []float32) {
	for j := range (p.N + current.panel() - 1) / current.panel() {
		(&packTask{p: p, w: dst, unpack: true}).Do(0, j)
	}
}

func (t *packTask) Do(_, j int) {
	p, nr := t.p, current.panel()
	n0, n1 := j*nr, min((j+1)*nr, t.p.N)
	panel := p.panel(j)
	if t.unpack {
		for n := n0; n < n1; n++ {
			row := t.w[n*p.K : (n+1)*p.K]
			for k := range row {
				row[k] = panel[k*nr+n-n0]
			}
		}
		return
	}
	packTransposed(panel, nr, Mat{Data: t.w[n0*p.K : n1*p.K], Rows: n1 - n0, Cols: p.K, Stride: p.K}, nil)
}

// panel returns panel j, [K, panel width].
func (p *Packed) panel(j int) []float32 {
	n := p.K * current.panel()
	return p.data[j*n : (j+1)*n]
}

// packTransposed sets dst[k*ldd + i] = m[i][k] for all k and i < ldd, with zeros from m.Rows on.
// next, if not empty, is fetched meanwhile, as much as m has.
func packTransposed(dst []float32, ldd int, m Mat, next []float32) {
	i, k4 := 0, m.Cols&^3
	if current.id != setPortable && k4 > 0 {
		if len(next) == 0 {
			next = m.Data
		}
		for l := current.lanes; i+l <= min(m.Rows, ldd); i += l {
			asmTranspose(&dst[i], 4*ldd, &m.Data[i*m.Stride], 4*m.Stride, k4, &next[min(i*m.Stride, len(next)-1)])
			for k := k4; k < m.Cols; k++ {
				for r := i; r < i+l; r++ {
					dst[k*ldd+r] = m.Data[r*m.Stride+k]
				}
			}
		}
	}
	for ; i < ldd; i++ {
		if i >= m.Rows {
			for k := range m.Cols {
				dst[k*ldd+i] = 0
			}
			continue
		}
		for k, v := range m.Row(i) {
			dst[k*ldd+i] = v
		}
	}
}

// packRows copies the rows of m to dst, ldd elements apart, with zeros from m.Cols on.
func packRows(dst []float32, ldd int, m Mat) {
	for k := range m.Rows {
		row := dst[k*ldd : (k+1)*ldd]
		n := copy(row, m.Row(k))
		clear(row[n:])
	}
}

// scratch returns n floats in *buf, which grows if needed.
func scratch(buf *[]float32, n int) []float32 {
	if cap(*buf) < n {
		*buf = alignedFloats(n)
	}
	return (*buf)[:n]
}

// cacheLine is the alignment of large arrays in bytes.
const cacheLine = 64

// alignedFloats returns n zeros that begin at a cache line, so that no vector lies across two.
func alignedFloats(n int) []float32 {
	const extra = cacheLine / 4
	s := make([]float32, n+extra)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(s)))) & (cacheLine - 1) / 4
	return s[skip : skip+n : skip+n]
}
