// Package table reads text tables: CSV with commas, semicolons or tabs, in UTF-8, UTF-16 or Windows-1252, and
// JSON lines. It does not interpret the columns.
package table

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// MaxBytes limits the size of a table, and MaxCells the number of its cells.
const (
	MaxBytes = 512 << 20
	MaxCells = 100_000_000
)

// Table is a header and rows of equal length. Cells have no surrounding white space.
type Table struct {
	Path   string // for messages
	Header []string
	Rows   [][]string
	Lines  []int    // line of each row in the file, from 1
	Notes  []string // decisions made while reading
}

// At returns the location of a row: "labels.csv:17".
func (t *Table) At(row int) string {
	return fmt.Sprintf("%s:%d", path.Base(strings.ReplaceAll(t.Path, "\\", "/")), t.Lines[row])
}

// Column returns the index of the first of the names that is in the header, or -1.
func (t *Table) Column(names ...string) int {
	for _, name := range names {
		if i := slices.Index(t.Header, name); i >= 0 {
			return i
		}
	}
	return -1
}

// Is reports whether a file has the extension of a table that Parse reads.
func Is(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".gz")
	for _, ext := range []string{".csv", ".tsv", ".tab", ".jsonl", ".ndjson"} {
		if strings.HasSuffix(name, ext) {
			return true
		}
	}
	return false
}

// Parse reads a table. The extension of name determines the format; .gz after it means compressed. Errors do
// not name the file.
func Parse(data []byte, name string) (*Table, error) {
	lower := strings.ToLower(name)
	if rest, ok := strings.CutSuffix(lower, ".gz"); ok {
		lower = rest
		var err error
		if data, err = unpack(data); err != nil {
			return nil, err
		}
	}
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%d bytes: a table may have at most %d", len(data), MaxBytes)
	}
	t := &Table{Path: name}
	data, err := t.text(data)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(lower, ".jsonl") || strings.HasSuffix(lower, ".ndjson") {
		err = t.readLines(data)
	} else {
		err = t.readCSV(data)
	}
	if err != nil {
		return nil, err
	}
	if len(t.Rows) == 0 {
		return nil, errors.New("no rows")
	}
	return t, nil
}

func unpack(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return out, nil
}

// text converts a table to UTF-8. Without a byte order mark a table is taken as UTF-8, or, if it is not valid
// UTF-8, as Windows-1252, which includes the printable characters of Latin-1.
func (t *Table) text(data []byte) ([]byte, error) {
	for _, c := range []struct {
		mark, name string
		order      unicode.Endianness
	}{{"\xff\xfe", "UTF-16", unicode.LittleEndian}, {"\xfe\xff", "UTF-16", unicode.BigEndian}} {
		if !bytes.HasPrefix(data, []byte(c.mark)) {
			continue
		}
		out, err := unicode.UTF16(c.order, unicode.ExpectBOM).NewDecoder().Bytes(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		t.Notes = append(t.Notes, "read as "+c.name)
		data = out
		break
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if bytes.IndexByte(data, 0) >= 0 {
		return nil, errors.New("has zero bytes: expected text in UTF-8, in UTF-16 with its mark, or in Windows-1252")
	}
	if utf8.Valid(data) {
		return data, nil
	}
	for _, b := range data {
		if b == 0x81 || b == 0x8d || b == 0x8f || b == 0x90 || b == 0x9d {
			return nil, errors.New("is neither UTF-8 nor Windows-1252 (Latin-1): save it as UTF-8")
		}
	}
	if !plausible(data) {
		return nil, errors.New("is not UTF-8, and looks like neither Latin-1 nor Windows-1252 (perhaps GBK, Cyrillic, Mac or DOS letters): save it as UTF-8")
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(data)
	if err != nil {
		return nil, fmt.Errorf("Windows-1252: %w", err)
	}
	t.Notes = append(t.Notes, "is not UTF-8 and was read as Windows-1252 (Latin-1): save it as UTF-8 if letters are wrong")
	return out, nil
}

// readCSV reads a header and rows separated by commas, semicolons, tabs or bars. Empty rows are skipped. Cells
// beyond the header must be empty, and columns with neither name nor content are dropped.
func (t *Table) readCSV(data []byte) error {
	skipped := 0
	if line, rest, ok := bytes.Cut(data, []byte("\n")); ok && bytes.HasPrefix(line, []byte("sep=")) {
		data, skipped = rest, 1 // Excel's own first line
	}
	if bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') >= 0 {
		data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n")) // line ends of old Macs
	}
	c := csv.NewReader(bytes.NewReader(data))
	c.FieldsPerRecord = -1
	c.Comma = separator(data)
	cells := 0
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		line, _ := c.FieldPos(0)
		line += skipped
		if t.Header == nil {
			t.Header = row
			continue
		}
		if !slices.ContainsFunc(row, func(cell string) bool { return cell != "" }) {
			continue // an emptied row
		}
		if row, err = t.fit(row, line); err != nil {
			return err
		}
		if cells += len(row); cells > MaxCells {
			return fmt.Errorf("more than %d cells", MaxCells)
		}
		t.Rows, t.Lines = append(t.Rows, row), append(t.Lines, line)
	}
	t.dropNameless()
	return t.checkHeader()
}

// fit makes a row as long as the header.
func (t *Table) fit(row []string, line int) ([]string, error) {
	n := len(t.Header)
	for len(row) > n && row[len(row)-1] == "" {
		row = row[:len(row)-1]
	}
	missing := n - len(row)
	if missing > 0 && t.Header[len(row)] == "" {
		row = append(row, slices.Repeat([]string{""}, missing)...) // cells of columns without a name
	}
	if len(row) != n {
		return nil, fmt.Errorf("line %d has %d fields, the header %d", line, len(row), n)
	}
	return row, nil
}

// dropNameless removes columns with neither name nor content, as trailing commas create. A nameless column with
// content gets the name that pandas would give it.
func (t *Table) dropNameless() {
	var keep []int
	dropped := false
	for i, name := range t.Header {
		if name != "" {
			keep = append(keep, i)
			continue
		}
		if slices.ContainsFunc(t.Rows, func(row []string) bool { return row[i] != "" }) {
			t.Header[i] = fmt.Sprintf("Unnamed: %d", i)
			keep = append(keep, i)
			continue
		}
		dropped = true
	}
	if !dropped {
		return
	}
	pick := func(row []string) []string {
		out := make([]string, len(keep))
		for k, i := range keep {
			out[k] = row[i]
		}
		return out
	}
	t.Header = pick(t.Header)
	for r, row := range t.Rows {
		t.Rows[r] = pick(row)
	}
}

func (t *Table) checkHeader() error {
	seen := make(map[string]bool, len(t.Header))
	for _, name := range t.Header {
		if seen[name] {
			return fmt.Errorf("two columns are named %q", name)
		}
		seen[name] = true
	}
	return nil
}

// Where keeps the rows that satisfy all conditions: "COLUMN=VALUE" or "COLUMN!=VALUE".
func (t *Table) Where(conditions []string) error {
	for _, c := range conditions {
		name, value, ok := strings.Cut(c, "=")
		if !ok {
			return fmt.Errorf("%q: expected COLUMN=VALUE", c)
		}
		name, not := strings.CutSuffix(name, "!")
		col := t.Column(strings.TrimSpace(name))
		if col < 0 {
			return fmt.Errorf("no column %q: the columns are %s", name, Listed(t.Header))
		}
		value = strings.TrimSpace(value)
		rows, lines := t.Rows[:0:0], t.Lines[:0:0]
		for i, row := range t.Rows {
			if (row[col] == value) != not {
				rows, lines = append(rows, row), append(lines, t.Lines[i])
			}
		}
		if len(rows) == 0 {
			return fmt.Errorf("no row is left by %q: the column has %s", c, Listed(t.Values(col)))
		}
		t.Rows, t.Lines = rows, lines
	}
	return nil
}

// Values returns the distinct values of a column, sorted.
func (t *Table) Values(col int) []string {
	seen := map[string]bool{}
	for _, row := range t.Rows {
		seen[row[col]] = true
	}
	out := make([]string, 0, len(seen))
	for v := range seen {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

// Listed joins at most ten items, and says how many more there are.
func Listed(items []string) string {
	const most = 10
	if len(items) <= most {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:most], ", "), len(items)-most)
}
