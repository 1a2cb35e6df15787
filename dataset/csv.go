package dataset

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxTable bounds the size of a CSV file, in bytes.
const maxTable = 256 << 20

// table is a CSV file in memory.
type table struct {
	path   string
	header []string
	rows   [][]string
	lines  []int // line of each row in the file
}

// at says where a row stands: "labels.csv:17".
func (t *table) at(row int) string {
	return fmt.Sprintf("%s:%d", filepath.Base(t.path), t.lines[row])
}

// column returns the index of the first of the names that the header has, or -1.
func (t *table) column(names ...string) int {
	for _, name := range names {
		if i := slices.Index(t.header, name); i >= 0 {
			return i
		}
	}
	return -1
}

// named returns the column that an option names, or else the first of the usual ones, or -1.
func (t *table) named(option string, usual ...string) (int, error) {
	if option == "" {
		return t.column(usual...), nil
	}
	i := t.column(option)
	if i < 0 {
		return -1, badf("%s: no column %q: the columns are %s", t.path, option, listed(t.header))
	}
	return i, nil
}

func readTable(path string) (*table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	if st.Size() > maxTable {
		return nil, badf("%s: %d bytes: a table may have at most %d", path, st.Size(), maxTable)
	}
	t, err := parseTable(bufio.NewReader(io.LimitReader(f, maxTable)))
	if err != nil {
		return nil, badf("%s: %v", path, err)
	}
	t.path = path
	return t, nil
}

// parseTable reads a header and rows of the same length, separated by commas or, where the header has
// none, by semicolons or tabs.
func parseTable(r *bufio.Reader) (*table, error) {
	if bom, err := r.Peek(3); err == nil && string(bom) == "\xef\xbb\xbf" {
		_, _ = r.Discard(3) // cannot fail: the bytes are buffered
	}
	c := csv.NewReader(r)
	if head, _ := r.Peek(4096); len(head) > 0 {
		line, _, _ := strings.Cut(string(head), "\n")
		for _, sep := range []rune{';', '\t'} {
			if !strings.ContainsRune(line, ',') && strings.ContainsRune(line, sep) {
				c.Comma = sep
			}
		}
	}
	t := &table{}
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		if t.header == nil {
			t.header = row
			continue
		}
		line, _ := c.FieldPos(0)
		t.rows, t.lines = append(t.rows, row), append(t.lines, line)
	}
	if len(t.rows) == 0 {
		return nil, errors.New("no rows")
	}
	for i, name := range t.header {
		if j := slices.Index(t.header, name); j != i {
			return nil, fmt.Errorf("two columns are named %q", name)
		}
	}
	return t, nil
}

// columns are the meanings of a table's columns; -1 stands for none.
type columns struct {
	path, label, split, group int
	targets                   []int // of a multi-label table
	attrs                     []int // the rest
}

func (t *table) columns(opt Options) (c columns, err error) {
	c.path = t.column("path", "file", "filename", "image")
	if c.path < 0 {
		return c, badf("%s: no column \"path\": the columns are %s", t.path, listed(t.header))
	}
	if c.split, err = t.named(opt.SplitColumn, "split"); err != nil {
		return c, err
	}
	if c.group, err = t.named(opt.GroupColumn, "group", "patient", "patient_id"); err != nil {
		return c, err
	}
	c.label = -1
	if len(opt.LabelColumns) == 0 {
		if c.label, err = t.named(opt.LabelColumn, "label"); err != nil {
			return c, err
		}
	}
	for _, name := range opt.LabelColumns {
		i, err := t.named(name)
		if err != nil {
			return c, err
		}
		c.targets = append(c.targets, i)
	}
	for i := range t.header {
		switch {
		case i == c.path || i == c.label || i == c.split || i == c.group || slices.Contains(c.targets, i):
		case c.label < 0 && len(opt.LabelColumns) == 0 && t.isTarget(i):
			c.targets = append(c.targets, i)
		default:
			c.attrs = append(c.attrs, i)
		}
	}
	if c.label < 0 && len(c.targets) == 0 {
		return c, badf("%s: neither a column \"label\" nor columns of 0 and 1: the columns are %s", t.path, listed(t.header))
	}
	return c, nil
}

// parseTarget reads the value of a multi-label column.
func parseTarget(s string) (float32, bool) {
	switch s {
	case "0", "0.0":
		return 0, true
	case "1", "1.0":
		return 1, true
	}
	return 0, false
}

// isTarget tells whether a column holds 0 and 1 only.
func (t *table) isTarget(column int) bool {
	for _, row := range t.rows {
		if _, ok := parseTarget(row[column]); !ok {
			return false
		}
	}
	return true
}

// openCSV reads a table of labels. Paths in it are relative to its folder.
func openCSV(path string, opt Options) (*Dataset, error) {
	t, err := readTable(path)
	if err != nil {
		return nil, err
	}
	c, err := t.columns(opt)
	if err != nil {
		return nil, err
	}
	d := &Dataset{Root: filepath.Dir(path), Samples: make([]Sample, 0, len(t.rows))}
	if err := d.addRows(t, c); err != nil {
		return nil, err
	}
	if c.label >= 0 {
		err = d.setClasses(t, c, opt)
	} else {
		err = d.setTargets(t, c, opt)
	}
	if err != nil {
		return nil, err
	}
	return d, d.checkFiles(t)
}

// addRows takes everything but the labels.
func (d *Dataset) addRows(t *table, c columns) error {
	seen := make(map[string]int, len(t.rows))
	for i, row := range t.rows {
		s := Sample{Path: filepath.ToSlash(row[c.path]), Label: -1, Source: t.at(i)}
		if s.Path == "" {
			return badf("%s: empty path", s.Source)
		}
		if j, ok := seen[s.Path]; ok {
			return badf("%s: %s stands in line %d already", s.Source, s.Path, t.lines[j])
		}
		seen[s.Path] = i
		if c.group >= 0 {
			s.Group = row[c.group]
		}
		if c.split >= 0 {
			name, ok := splitName(row[c.split])
			if !ok {
				return badf("%s: split %q: expected train, val or test", s.Source, row[c.split])
			}
			s.Split = name
		}
		for _, a := range c.attrs {
			if s.Attr == nil {
				s.Attr = make(map[string]string, len(c.attrs))
			}
			s.Attr[t.header[a]] = row[a]
		}
		d.Samples = append(d.Samples, s)
	}
	return nil
}

// setClasses reads the label column.
func (d *Dataset) setClasses(t *table, c columns, opt Options) error {
	index := map[string]int{}
	for i, row := range t.rows {
		if row[c.label] == "" {
			return badf("%s: %s has no label", t.at(i), row[c.path])
		}
		index[row[c.label]] = 0
	}
	found := make([]string, 0, len(index))
	for name := range index {
		found = append(found, name)
	}
	slices.Sort(found)
	d.setLabels(found, opt)
	clear(index)
	for l, name := range d.Labels {
		index[name] = l
	}
	for i, row := range t.rows {
		l, ok := index[row[c.label]]
		if !ok {
			return badf("%s: label %q: expected one of %s", t.at(i), row[c.label], listed(d.Labels))
		}
		d.Samples[i].Label = l
	}
	return nil
}

// setTargets reads the 0/1 columns.
func (d *Dataset) setTargets(t *table, c columns, opt Options) error {
	d.Task = MultiLabel
	found := make([]string, len(c.targets))
	for i, col := range c.targets {
		found[i] = t.header[col]
	}
	d.setLabels(found, opt)
	order := make([]int, len(d.Labels))
	for l, name := range d.Labels {
		if order[l] = t.column(name); order[l] < 0 {
			return badf("%s: no column for label %q: the columns are %s", t.path, name, listed(t.header))
		}
	}
	all := make([]float32, len(t.rows)*len(order))
	for i, row := range t.rows {
		d.Samples[i].Targets = all[i*len(order) : (i+1)*len(order)]
		for l, col := range order {
			v, ok := parseTarget(row[col])
			if !ok {
				return badf("%s: column %q is %q: expected 0 or 1", t.at(i), t.header[col], row[col])
			}
			d.Samples[i].Targets[l] = v
		}
	}
	return nil
}

// checkFiles demands that every row has its file, and warns of images that have no row.
func (d *Dataset) checkFiles(t *table) error {
	var missing []string
	rows := make(map[string]bool, len(d.Samples))
	for i := range d.Samples {
		st, err := os.Stat(d.File(i))
		if err != nil || !st.Mode().IsRegular() {
			missing = append(missing, fmt.Sprintf("%s: %s", t.at(i), d.Samples[i].Path))
		}
		rows[filepath.Clean(d.File(i))] = true
	}
	if len(missing) > 0 {
		return badf("%s: %d of %d rows have no file: %s", t.path, len(missing), len(d.Samples), listed(missing))
	}
	d.warnWithoutRow(t.path, rows)
	return nil
}

// warnWithoutRow looks for images that have no row: in the folders of those that have, and in the folders beside these.
func (d *Dataset) warnWithoutRow(table string, rows map[string]bool) {
	folders := map[string]bool{}
	for path := range rows {
		folders[filepath.Dir(path)] = true
	}
	var without []string
	for _, dir := range besideThem(folders, d.Root) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // not ours to read; what the rows name was found
		}
		for _, e := range entries {
			if path := filepath.Join(dir, e.Name()); !e.IsDir() && isImage(e.Name()) && !rows[path] {
				without = append(without, path)
			}
		}
	}
	if len(without) > 0 {
		d.warnf("%s: %d images have no row: %s", table, len(without), listed(without))
	}
}

// besideThem returns the folders and, below root, those with the same parent, sorted: a class that the table forgot is
// such a folder.
func besideThem(folders map[string]bool, root string) []string {
	all, parents := maps.Clone(folders), map[string]bool{}
	for dir := range folders {
		parent := filepath.Dir(dir)
		if rel, err := filepath.Rel(root, dir); err != nil || rel == "." || !filepath.IsLocal(rel) || parents[parent] {
			continue
		}
		parents[parent] = true
		names, err := subfolders(parent)
		if err != nil {
			continue // not ours to read
		}
		for _, name := range names {
			all[filepath.Join(parent, name)] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}
