package kernel

// Words is a pre-rounded operand: rows in the form in which products with narrow weights read them. That is
// bfloat16, two values per word, or bytes, four per word, with a zero point and a scale per row. The operation
// that computes a row also writes its Words while the row is in the cache, so that every product that reads it
// uses the same rounding. The zero value is empty.
type Words struct {
	elem  Elem
	words Mat     // of type float32, so that packing and tiles are the same for all element types
	quant []quant // per row, for I8
}

// NewWords returns room for rows x cols values of type e. It is empty for F32, whose products read the values
// directly.
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

// WordsIn is NewWords in the memory of m, whose values are overwritten.
func WordsIn(e Elem, m Mat) Words {
	if e != BF16 {
		panic("kernel: WordsIn: only words of bfloat16 need no other memory")
	}
	return Words{elem: e, words: m.ColRange(0, e.words(m.Cols))}
}

// Empty reports whether w holds no rows.
func (w Words) Empty() bool { return w.words.Data == nil }

// First returns the first n rows.
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

// setRow rounds x into row r.
func (w *Words) setRow(r int, x []float32) {
	if w.elem == I8 {
		w.quant[r] = quantizeRow(w.words.Row(r), x)
		return
	}
	roundRow(w.words.Row(r), x)
}

// takesParts reports whether a row can be rounded in parts that start at multiples of n. That is possible for
// bfloat16 and whole vectors. Bytes need the range of the whole row.
func (w *Words) takesParts(n int) bool { return !w.Empty() && w.elem == BF16 && n%maxLanes == 0 }

// part returns the words from row r0 and column c0 on.
func (w *Words) part(r0, c0 int) Mat {
	return w.words.RowRange(r0, w.words.Rows).ColRange(c0/2, w.words.Cols)
}

// setPart rounds x, whose first element belongs to row r0 and column c0.
func (w *Words) setPart(r0, c0 int, x Mat) { roundRows(w.part(r0, c0), x) }
