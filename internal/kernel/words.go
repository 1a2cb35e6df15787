package kernel

// Words are rows of numbers as products with weights of a narrow type read them: bfloat16, two a word, or bytes, four a
// word, each row with its zero point and scale. What makes the numbers also makes their words, while a row is in the
// cache, and every product that reads them uses the same. The zero value has none.
type Words struct {
	elem  Elem
	words Mat     // in memory of type float32, so that packing and tiles are the same for all element types
	quant []quant // of each row, for I8
}

// NewWords returns room for rows x cols numbers of type e; none for F32, whose products read numbers where they lie.
func NewWords(e Elem, rows, cols int) Words {
	if e == F32 {
		return Words{}
	}
	w := Words{elem: e, words: NewBuffer(rows, e.words(cols))}
	if e == I8 {
		w.quant = make([]quant, rows)
	}
	return w
}

// WordsIn is NewWords in the memory of m: its numbers are lost.
func WordsIn(e Elem, m Mat) Words {
	if e != BF16 {
		panic("kernel: WordsIn: only words of bfloat16 need no other memory")
	}
	return Words{elem: e, words: m.ColRange(0, e.words(m.Cols))}
}

// Empty reports whether there are no words.
func (w Words) Empty() bool { return w.words.Data == nil }

// First returns the words of the first n rows.
func (w Words) First(n int) Words {
	if w.Empty() {
		return w
	}
	w.words = w.words.RowRange(0, n)
	if w.elem == I8 {
		w.quant = w.quant[:n]
	}
	return w
}

// setRow makes the words of row r from its numbers.
func (w *Words) setRow(r int, x []float32) {
	if w.elem == I8 {
		w.quant[r] = quantizeRow(w.words.Row(r), x)
		return
	}
	roundRow(w.words.Row(r), x)
}

// takesParts reports whether words can be made from a part of a row that begins at a multiple of n: those of bfloat16
// from whole vectors. Bytes need the range of the whole row.
func (w *Words) takesParts(n int) bool { return !w.Empty() && w.elem == BF16 && n%maxLanes == 0 }

// part returns the words from row r0 and column c0 on.
func (w *Words) part(r0, c0 int) Mat {
	return w.words.RowRange(r0, w.words.Rows).ColRange(c0/2, w.words.Cols)
}

// setPart makes the words of x, which begins in row r0 and column c0.
func (w *Words) setPart(r0, c0 int, x Mat) {
	n := x.Cols &^ (current.lanes - 1)
	if n > 0 && x.Rows > 0 {
		o := gridOperands{n: n, rows: x.Rows}
		o.set(0, w.part(r0, c0))
		o.set(1, x)
		asmGrid(gridBF16, &o)
	}
	if n == x.Cols {
		return
	}
	for r := range x.Rows {
		roundRow(w.words.Row(r0 + r)[(c0+n)/2:], x.Row(r)[n:])
	}
}
