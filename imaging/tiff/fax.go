package tiff

import (
	"errors"
	"fmt"
	"sync"
)

// Fax compressions of ITU-T T.4 (modified Huffman, modified READ) and T.6 (MMR).

// faxCode is an entry of a table that is indexed with the next bits.
type faxCode struct {
	length uint8
	value  int16 // a run length, or a mode
}

const (
	faxLook = 13 // bits of the longest code
	faxBad  = -1
)

// The modes of a row that is coded relative to the row above (T.4, table 4). Vertical modes are represented by
// their offset.
const (
	modePass       = 10
	modeHorizontal = 11
	modeExtension  = 12
)

// faxTables returns the tables for white runs, black runs and modes.
var faxTables = sync.OnceValue(func() (t [3][1 << faxLook]faxCode) {
	fill := func(table *[1 << faxLook]faxCode, code string, value int) {
		v := 0
		for _, c := range code {
			v = v<<1 | int(c-'0')
		}
		shift := faxLook - len(code)
		for i := v << shift; i < (v+1)<<shift; i++ {
			table[i] = faxCode{uint8(len(code)), int16(value)}
		}
	}
	for colour, codes := range [2][]string{whiteRuns, blackRuns} {
		for i, code := range codes {
			run := i
			if i >= 64 {
				run = 64 * (i - 63)
			}
			fill(&t[colour], code, run)
		}
		for i, code := range longRuns {
			fill(&t[colour], code, 1792+64*i)
		}
	}
	for code, mode := range map[string]int{"1": 0, "011": 1, "000011": 2, "0000011": 3, "010": -1, "000010": -2, "0000010": -3,
		"0001": modePass, "001": modeHorizontal, "0000001": modeExtension} {
		fill(&t[2], code, mode)
	}
	return t
})

// faxReader reads bits. After the end it returns zeros.
type faxReader struct {
	data []byte
	at   int // position in bits
}

func (r *faxReader) peek(n int) int {
	v, i := uint64(0), r.at/8
	for k := range 4 {
		v <<= 8
		if i+k < len(r.data) {
			v |= uint64(r.data[i+k])
		}
	}
	return int(v >> (32 - r.at%8 - n) & (1<<n - 1))
}

func (r *faxReader) over() bool { return r.at > 8*len(r.data) }

// run reads a run length: any number of make-up codes, and a terminating code.
func (r *faxReader) run(t *[1 << faxLook]faxCode, most int) (int, error) {
	n := 0
	for {
		c := t[r.peek(faxLook)]
		if c.length == 0 {
			if r.at >= 8*len(r.data) {
				return 0, errEnd
			}
			return 0, errCorrupt
		}
		r.at += int(c.length)
		n += int(c.value)
		if n > most {
			return 0, fmt.Errorf("%w: a run of %d pixels where %d are left", errCorrupt, n, most)
		}
		if c.value < 64 {
			return n, nil
		}
	}
}

// endOfLine skips an end-of-line code, with the zeros before it, and reports whether there was one.
func (r *faxReader) endOfLine() bool {
	at := r.at
	if r.peek(11) != 0 {
		return false
	}
	r.at += 11
	for r.at < 8*len(r.data) {
		if r.peek(1) == 1 {
			r.at++
			return true
		}
		r.at++
	}
	r.at = at
	return false
}

// unfax decodes rows of a fax into bits, where 1 is black.
func (p *Page) unfax(dst, data []byte, rows int, goOn func() error) error {
	tables := faxTables()
	r := &faxReader{data: data}
	width := p.cw
	stride := len(dst) / rows
	above, row := []int{width, width, width, width}, []int(nil)
	for y := range rows {
		if y%64 == 0 {
			if err := goOn(); err != nil {
				return err
			}
		}
		oneDimensional, err := p.faxRow(r, y)
		if err != nil {
			return err
		}
		if oneDimensional {
			row, err = r.oneRow(row[:0], width, &tables)
		} else {
			row, err = r.nextRow(row[:0], above, width, &tables)
		}
		if err != nil {
			return fmt.Errorf("row %d: %w", y, err)
		}
		if r.over() {
			return fmt.Errorf("row %d: %w", y, errEnd)
		}
		paint(dst[y*stride:(y+1)*stride], row, width)
		row = append(row, width, width, width, width)
		above, row = row, above
	}
	return nil
}

// faxRow skips what precedes a row, and reports how the row is coded.
func (p *Page) faxRow(r *faxReader, y int) (oneDimensional bool, err error) {
	switch p.compression {
	case fax4:
		if r.peek(12) == 1 {
			return false, fmt.Errorf("row %d: %w", y, errEnd) // end of the block
		}
		return false, nil
	case faxRows:
		r.at = (r.at + 7) &^ 7
		return true, nil
	case faxWords:
		r.at = (r.at + 15) &^ 15
		return true, nil
	}
	ends := 0
	for r.endOfLine() {
		ends++
		if p.t4&1 != 0 {
			oneDimensional = r.peek(1) == 1
			r.at++
		}
		if ends == 6 {
			return false, fmt.Errorf("row %d: %w", y, errEnd)
		}
	}
	if p.t4&1 == 0 {
		return true, nil
	}
	if ends == 0 {
		return false, errors.New("no end of line before a row of two-dimensional coding")
	}
	return oneDimensional, nil
}

// oneRow reads a row of runs. A row is represented by the positions where the colour changes; the first change
// is to black.
func (r *faxReader) oneRow(row []int, width int, t *[3][1 << faxLook]faxCode) ([]int, error) {
	for at, colour := 0, 0; at < width; colour ^= 1 {
		n, err := r.run(&t[colour], width-at)
		if err != nil {
			return row, err
		}
		at += n
		row = append(row, at)
	}
	return row, nil
}

// nextRow reads a row that is coded relative to the changes of the row above, which are padded with width.
func (r *faxReader) nextRow(row, above []int, width int, t *[3][1 << faxLook]faxCode) ([]int, error) {
	at, start, colour, b := -1, 0, 0, 0 // at is a0, start the position where its run continues, b the index of b1
	for start < width {
		for b = max(b-1, 0); b < len(above)-3 && above[b] <= at; {
			b++
		}
		if b%2 != colour {
			b++
		}
		c := t[2][r.peek(faxLook)]
		r.at += int(c.length)
		switch {
		case c.length == 0:
			if r.at >= 8*len(r.data) {
				return row, errEnd
			}
			return row, errCorrupt
		case c.value == modePass:
			at = above[b+1]
			start = at
		case c.value == modeHorizontal:
			for k := range 2 {
				n, err := r.run(&t[colour^k], width-start)
				if err != nil {
					return row, err
				}
				start += n
				row = append(row, start)
			}
			at = start
		case c.value == modeExtension:
			return row, fmt.Errorf("uncompressed mode of fax: %w", ErrUnsupported)
		default:
			to := above[b] + int(c.value)
			if to < start || to > width {
				return row, errCorrupt
			}
			at, start = to, to
			row = append(row, to)
			colour ^= 1
		}
		if r.over() {
			return row, errEnd
		}
	}
	return row, nil
}

// paint sets the bits of black runs.
func paint(dst []byte, row []int, width int) {
	clear(dst)
	for i := 0; i < len(row); i += 2 {
		to := width
		if i+1 < len(row) {
			to = row[i+1]
		}
		for x := row[i]; x < to; {
			if x%8 == 0 && to-x >= 8 {
				dst[x/8] = 0xff
				x += 8
				continue
			}
			dst[x/8] |= 0x80 >> (x % 8)
			x++
		}
	}
}
