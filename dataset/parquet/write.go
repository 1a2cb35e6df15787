package parquet

import (
	"fmt"
	"io"

	pq "github.com/parquet-go/parquet-go"
)

// Kind is the type of a column to write.
type Kind uint8

// The types of columns.
const (
	Text    Kind = iota // string
	Numbers             // float64
	Floats              // []float32: a list per row
)

// Field is a column to write.
type Field struct {
	Name string
	Kind Kind
}

// Writer writes a table row by row. It buffers the rows of a row group in memory.
type Writer struct {
	out    *pq.GenericWriter[any]
	fields []Field
	at     []int // column index in the file of each field
	row    pq.Row
}

// NewWriter starts a table. metadata is stored in the file's footer; it may be nil.
func NewWriter(w io.Writer, fields []Field, metadata map[string]string) *Writer {
	group := pq.Group{}
	for _, f := range fields {
		group[f.Name] = map[Kind]pq.Node{Text: pq.String(), Numbers: pq.Leaf(pq.DoubleType), Floats: pq.List(pq.Leaf(pq.FloatType))}[f.Kind]
	}
	schema := pq.NewSchema("table", group)
	options := []pq.WriterOption{schema, pq.Compression(&pq.Snappy)}
	for key, value := range metadata {
		options = append(options, pq.KeyValueMetadata(key, value))
	}
	x := &Writer{out: pq.NewGenericWriter[any](w, options...), fields: fields, at: make([]int, len(fields))}
	for k, path := range schema.Columns() {
		for i, f := range fields {
			if f.Name == path[0] {
				x.at[i] = k
			}
		}
	}
	return x
}

// Row writes a row with a string, a float64 or a []float32 per field.
func (x *Writer) Row(values ...any) error {
	columns := make([][]pq.Value, len(x.fields))
	for i, f := range x.fields {
		k := x.at[i]
		switch v := values[i].(type) {
		case string:
			columns[k] = []pq.Value{pq.ByteArrayValue([]byte(v)).Level(0, 0, k)}
		case float64:
			columns[k] = []pq.Value{pq.DoubleValue(v).Level(0, 0, k)}
		case []float32:
			for j, n := range v {
				columns[k] = append(columns[k], pq.FloatValue(n).Level(min(j, 1), 1, k))
			}
			if len(v) == 0 {
				columns[k] = []pq.Value{pq.NullValue().Level(0, 0, k)}
			}
		default:
			return fmt.Errorf("parquet: column %s is %T: expected a string, a float64 or a []float32", f.Name, v)
		}
	}
	x.row = x.row[:0]
	for _, c := range columns {
		x.row = append(x.row, c...)
	}
	if _, err := x.out.WriteRows([]pq.Row{x.row}); err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	return nil
}

// Flush ends a row group.
func (x *Writer) Flush() error {
	if err := x.out.Flush(); err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	return nil
}

// Close ends the table.
func (x *Writer) Close() error {
	if err := x.out.Close(); err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	return nil
}

// Write writes a table of text and numbers to w. Columns are []string or []float64 of equal length.
func Write(w io.Writer, names []string, columns []any) error {
	fields, rows := make([]Field, len(names)), 0
	for i, name := range names {
		switch c := columns[i].(type) {
		case []string:
			fields[i], rows = Field{name, Text}, len(c)
		case []float64:
			fields[i], rows = Field{name, Numbers}, len(c)
		default:
			return fmt.Errorf("parquet: column %s is %T: expected []string or []float64", name, columns[i])
		}
	}
	for i, name := range names {
		if n := length(columns[i]); n != rows {
			return fmt.Errorf("parquet: column %s has %d rows, the last %d", name, n, rows)
		}
	}
	out, row := NewWriter(w, fields, nil), make([]any, len(names))
	for r := range rows {
		for i := range names {
			switch c := columns[i].(type) {
			case []string:
				row[i] = c[r]
			case []float64:
				row[i] = c[r]
			}
		}
		if err := out.Row(row...); err != nil {
			return err
		}
	}
	return out.Close()
}

func length(column any) int {
	switch c := column.(type) {
	case []string:
		return len(c)
	case []float64:
		return len(c)
	}
	return -1
}
