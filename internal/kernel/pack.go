package kernel

import (
	"fmt"
	"math"
	"sync/atomic"
	"unsafe"
)

// packScratch is a worker's memory for matrix products.
type packScratch struct {
	b    []float32 // one panel of the right-hand side [k, panel]
	left []float32 // a left-hand side rounded to a narrow type
	y    []float32 // rows of the product before the epilogue
	tile tile
	edge [maxRows * maxPanel]float32 // a tile that extends beyond the edge of C
}

// Packed is a frozen weight [N, K], the right-hand side of Gemm. It is stored in panels, each as wide as a tile
// of the kernel set in use. Panel j has a row for each k (or for two or four neighbours along k, if elements
// are narrow) with the columns j*panel, j*panel+1 and so on, padded with zeros.
type Packed struct {
	K, N int
	elem Elem
	data []float32 // [panels][words of a row of K][panel], in 32-bit words

	scale, sum []float32 // for I8: scale of each output and sum of its bytes, padded to whole panels
	odd        atomic.Bool
	fixed      bool // the memory must not be written
}

// Elem returns the type of the elements.
func (p *Packed) Elem() Elem { return p.elem }

// Finite reports whether all values that were packed last are finite. Packing checks it while the values are in
// the cache.
func (p *Packed) Finite() bool { return !p.odd.Load() }

// Bytes returns the memory of the elements in bytes.
func (p *Packed) Bytes() int64 { return 4 * int64(len(p.data)) }

// packTask packs one panel per item.
type packTask struct {
	p       *Packed
	w       []float32
	workers []*Worker
}

// Pack lays out w [out, in] as float32 for Gemm, on all workers of ex.
func Pack(ex *Exec, w []float32, out, in int) *Packed { return PackAs(ex, F32, w, out, in) }

// PackAs lays out w [out, in] for Gemm as elements of type e, which the kernel set must have.
func PackAs(ex *Exec, e Elem, w []float32, out, in int) *Packed {
	if !Has(e) {
		panic("kernel: PackAs: no kernels for " + e.String())
	}
	columns := (out + current.panel() - 1) / current.panel() * current.panel()
	p := &Packed{K: in, N: out, elem: e, data: alignedFloats(columns * e.words(in))}
	if e == I8 {
		p.scale, p.sum = alignedFloats(columns), alignedFloats(columns)
	}
	p.Repack(ex, w)
	return p
}

// Layout identifies how the kernel set in use packs weights. Packed weights can be read only under the same
// Layout.
func Layout() string {
	return fmt.Sprintf("%s-%d-%v-%v-%v-%d", current.name, current.panel(), current.mostLeft, current.mostRight, current.mostSum, current.wordStep)
}

// Parts returns the memory of a Packed, which must not be modified: the words of its elements and, for I8,
// scales and sums of the outputs. Laid is the inverse.
func (p *Packed) Parts() (data, scale, sum []float32) { return p.data, p.scale, p.sum }

// Laid returns a weight [out, in] from the Parts of one that was packed with the same Layout. It keeps using
// that memory, which should start at a cache line. The error says which size does not fit.
func Laid(e Elem, out, in int, data, scale, sum []float32) (*Packed, error) {
	columns := (out + current.panel() - 1) / current.panel() * current.panel()
	scales := 0
	if e == I8 {
		scales = columns
	}
	if len(data) != columns*e.words(in) || len(scale) != scales || len(sum) != scales {
		return nil, fmt.Errorf("kernel: a weight [%d, %d] in %v of %d words, %d scales and %d sums", out, in, e, len(data), len(scale), len(sum))
	}
	return &Packed{K: in, N: out, elem: e, data: data, scale: scale, sum: sum, fixed: true}, nil
}

// Repack replaces the values. It panics for a weight from Laid, whose memory is read-only.
func (p *Packed) Repack(ex *Exec, w []float32) {
	if p.fixed {
		panic("kernel: Repack: the weight lies in memory that is read-only")
	}
	if len(w) < p.N*p.K {
		panic("kernel: Repack: too few numbers")
	}
	p.odd.Store(false)
	ex.packing = packTask{p: p, w: w, workers: ex.workers}
	ex.pool.Run(p.panels(), &ex.packing)
	ex.packing = packTask{}
}

// Unpack writes the weight [N, K], as rounded, to dst in float32.
func (p *Packed) Unpack(dst []float32) {
	nr, per := current.panel(), p.elem.perWord()
	for j := range p.panels() {
		panel := p.panel(j)
		for n := j * nr; n < min((j+1)*nr, p.N); n++ {
			row := dst[n*p.K : (n+1)*p.K]
			for k := range row {
				row[k] = p.number(panel[k/per*nr+n-j*nr], k%per)
				if p.elem == I8 {
					row[k] *= p.scale[n]
				}
			}
		}
	}
}

// number returns element i of a word, for I8 without the scale of its output.
func (p *Packed) number(word float32, i int) float32 {
	bits := math.Float32bits(word)
	switch p.elem {
	case BF16:
		return math.Float32frombits(bits >> (16 * i) << 16)
	case I8:
		return float32(int8(bits >> (8 * i)))
	}
	return word
}

func (p *Packed) panels() int { return (p.N + current.panel() - 1) / current.panel() }

// panel returns panel j, [words per row, panel width].
func (p *Packed) panel(j int) []float32 {
	n := p.elem.words(p.K) * current.panel()
	return p.data[j*n : (j+1)*n]
}

// Do packs panel j.
func (t *packTask) Do(worker, j int) {
	p, nr := t.p, current.panel()
	n0, n1 := j*nr, min((j+1)*nr, p.N)
	rows := Mat{Data: t.w[n0*p.K : n1*p.K], Rows: n1 - n0, Cols: p.K, Stride: p.K}
	if !AllFinite(rows.Data) {
		p.odd.Store(true)
	}
	switch p.elem {
	case F32:
		packTransposed(p.panel(j), nr, rows, nil)
	case BF16:
		t.workers[worker].narrowWeight(BF16, p.panel(j), rows, nil, nil)
	case I8:
		t.workers[worker].narrowWeight(I8, p.panel(j), rows, p.scale[n0:], p.sum[n0:n0+nr])
	}
}

// packTransposed sets dst[k*ldd + i] = m[i][k] for all k and i < ldd, with zeros from m.Rows on. Meanwhile it
// prefetches next, if not empty, as much as m has.
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
	n := 0
	if fast() && m.Rows > 0 {
		n = m.Cols &^ (current.lanes - 1)
	}
	if n > 0 {
		o := gridOperands{n: n, rows: m.Rows}
		o.set(0, Mat{Data: dst, Stride: ldd})
		o.set(1, m)
		asmGrid(gridCopy, &o)
	}
	for k := 0; k < m.Rows && n < ldd; k++ {
		row := dst[k*ldd+n : (k+1)*ldd]
		clear(row[copy(row, m.Row(k)[n:]):])
	}
}

// scratch returns n floats in *buf, growing it if needed.
func scratch(buf *[]float32, n int) []float32 {
	if cap(*buf) < n {
		*buf = alignedFloats(n)
	}
	return (*buf)[:n]
}

// cacheLine is the alignment of large arrays in bytes.
const cacheLine = 64

// alignedFloats returns n zeros that start at a cache line, so that no vector crosses two lines.
func alignedFloats(n int) []float32 {
	const extra = cacheLine / 4
	s := make([]float32, n+extra)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(s)))) & (cacheLine - 1) / 4
	return s[skip : skip+n : skip+n]
}
