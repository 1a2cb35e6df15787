package train

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
)

// CacheLimits limits a Cache.
type CacheLimits struct {
	// Memory is the number of bytes of prefixes kept in memory. The rest goes to a file in Dir, which must have
	// enough space; Close removes it.
	Memory int64
	Dir    string
}

// prefixes stores one row of values per sample, in memory first, then in a file.
type prefixes struct {
	size   int // values per row
	limits CacheLimits
	used   int64
	memory map[int][]float32
	places map[int]int64 // offsets in file
	file   *os.File
	buf    []byte
}

func newPrefixes(size int, limits CacheLimits) *prefixes {
	return &prefixes{size: size, limits: limits, memory: map[int][]float32{}, places: map[int]int64{}}
}

// put keeps a copy of a sample's row.
func (p *prefixes) put(sample int, row []float32) error {
	if bytes := 4 * int64(p.size); p.used+bytes <= p.limits.Memory {
		p.used += bytes
		p.memory[sample] = append([]float32(nil), row...)
		return nil
	}
	if p.file == nil {
		f, err := os.CreateTemp(p.limits.Dir, ".melo-*.tmp")
		if err != nil {
			return fmt.Errorf("train: file for cached activations: %w", err)
		}
		p.file = f
	}
	p.buf = p.buf[:0]
	for _, v := range row {
		p.buf = binary.LittleEndian.AppendUint32(p.buf, math.Float32bits(v))
	}
	at := int64(len(p.places)) * int64(len(p.buf))
	if _, err := p.file.WriteAt(p.buf, at); err != nil {
		return fmt.Errorf("train: cached activations: %w", err)
	}
	p.places[sample] = at
	return nil
}

// appendTo appends a sample's row to dst.
func (p *prefixes) appendTo(dst []float32, sample int) ([]float32, error) {
	if row, ok := p.memory[sample]; ok {
		return append(dst, row...), nil
	}
	p.buf = append(p.buf[:0], make([]byte, 4*p.size)...)
	if _, err := p.file.ReadAt(p.buf, p.places[sample]); err != nil {
		return dst, fmt.Errorf("train: cached activations: %w", err)
	}
	for i := 0; i < len(p.buf); i += 4 {
		dst = append(dst, math.Float32frombits(binary.LittleEndian.Uint32(p.buf[i:])))
	}
	return dst, nil
}

// close removes the file.
func (p *prefixes) close() error {
	if p.file == nil {
		return nil
	}
	err := errors.Join(p.file.Close(), os.Remove(p.file.Name()))
	p.file = nil
	return err
}
